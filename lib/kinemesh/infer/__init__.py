"""Meshes from a video's keypoints: people found, bodies predicted in overlapping windows, placed before the camera."""

from kinemesh.infer.predictor import Inference, MeshPredictor
from kinemesh.infer.settings import Settings

__all__ = ["Inference", "MeshPredictor", "Settings"]
