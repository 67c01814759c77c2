"""SMPL body meshes from 2D keypoint video: geometry, body, model, data, engine, and the program that joins them."""
