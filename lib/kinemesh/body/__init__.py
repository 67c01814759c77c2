"""The SMPL body: its files, its skeletons, its posing with and without vertices, and its mirror image."""
