"""Keypoint files of every program that people use, as `Detections`: the file's own joints, H36M's 17 a view of them."""

from kinemesh.keypoints.detections import Detections
from kinemesh.keypoints.reading import Reading, read_keypoints

__all__ = ["Detections", "Reading", "read_keypoints"]
