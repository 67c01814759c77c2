"""Datasets of bodies in cameras' axes with keypoints, from what others publish: bodies, keypoints, and what is written."""
