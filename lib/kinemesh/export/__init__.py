"""What a tracked person is handed on as: parameters, animated skeletons and meshes, a page to look at, a video."""
