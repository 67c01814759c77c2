"""SMPL body meshes from 2D keypoint video: train, evaluate, refine, infer."""
