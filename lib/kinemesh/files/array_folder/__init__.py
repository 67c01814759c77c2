"""Arrays too large for memory: a folder of .npy files and a manifest, written in pieces and read where it lies.

`manifest.json` says what kind of data it is, where it is from, and of each array the type, shape, bytes and SHA-256.
The manifest names arrays, never files: array `train.joint_2d` is in `train.joint_2d.npy` beside it.
"""
