"""BVH files of any skeleton as SMPL motion."""
