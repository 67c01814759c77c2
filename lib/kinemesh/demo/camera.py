"""Cameras that look at made-up people: a pinhole, held or fixed, and what it sees."""

from typing import NamedTuple

import numpy as np

from kinemesh.geometry.camera import project
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.signals import smooth_noise

_NEAREST_M = 1.5


class View(NamedTuple):
    """How a dataset's cameras stand and what they show; ranges are drawn evenly, once a video."""

    focal_px: tuple[float, float]
    distance_m: tuple[float, float]
    # Corner (left, top, right, bottom) in px of where the pelvis may appear, one drawn per video.
    pelvis_px: tuple[tuple[float, float, float, float], ...]
    centre_px: tuple[tuple[float, float], ...]  # principal point that goes with each of `pelvis_px`
    is_held: bool = False  # in someone's hands: shakes, and follows the person
    any_attitude: float = 0.0  # chance of a person turned any way at all in the picture


class CameraTrack(NamedTuple):
    """Where a camera sees each frame's person."""

    rotations: np.ndarray  # (videos, frames, 3, 3) world, y up, to camera axes, y down
    pelvis_m: np.ndarray  # (videos, frames, 3) pelvis in camera coordinates
    focal_px: np.ndarray  # (videos,)
    centre_px: np.ndarray  # (videos, 2)


def _about(axis: int, radians: np.ndarray) -> np.ndarray:
    vectors = np.zeros((*np.shape(radians), 3))
    vectors[..., axis] = radians
    return rotation_matrices(vectors)


def point_cameras(rng: np.random.Generator, view: View, pelvis_path_m: np.ndarray, fps: float) -> CameraTrack:
    """One camera per video, from any side, mostly from chest height or a little above.

    Args:
        pelvis_path_m: (videos, frames, 3) pelvis in the world, y up.
    """
    video_count, frame_count = pelvis_path_m.shape[:2]
    yaw = rng.uniform(-np.pi, np.pi, video_count)
    # Looking down by this much; the usual range is that of a person holding the camera.
    usual = rng.random(video_count) < 0.85
    pitch = np.radians(np.where(usual, rng.uniform(-6, 21, video_count), rng.uniform(-15, 32, video_count)))
    roll = np.radians(rng.normal(0.0, 1.5, video_count))
    attitude = rng.standard_normal((video_count, 4))
    attitude /= np.linalg.norm(attitude, axis=-1, keepdims=True)
    angle = 2.0 * np.arccos(np.clip(attitude[:, :1], -1.0, 1.0))
    tumbled = rotation_matrices(angle * attitude[:, 1:] / np.linalg.norm(attitude[:, 1:], axis=-1, keepdims=True))
    is_tumbled = (rng.random(video_count) < view.any_attitude)[:, None, None]
    upright = _about(2, roll) @ _about(0, np.pi + pitch) @ _about(1, yaw)
    rotation = np.where(is_tumbled, tumbled, upright)[:, None]

    follow = rng.uniform(0.6, 1.0, (video_count, 1, 1)) if view.is_held else 0.0
    mean_place = pelvis_path_m.mean(axis=1, keepdims=True)
    aim = mean_place + follow * (pelvis_path_m - mean_place)
    offset = (rotation @ (pelvis_path_m - aim)[..., None])[..., 0]

    focal = np.exp(rng.uniform(*np.log(view.focal_px), video_count))
    distance = np.exp(rng.uniform(*np.log(view.distance_m), video_count))
    choice = rng.integers(len(view.pelvis_px), size=video_count)
    corners = np.array(view.pelvis_px)[choice]
    centre = np.array(view.centre_px)[choice]
    place = corners[:, :2] + (corners[:, 2:] - corners[:, :2]) * rng.random((video_count, 2))
    ray = np.concatenate([(place - centre) / focal[:, None], np.ones((video_count, 1))], axis=-1)
    pelvis = offset + (ray * distance[:, None])[:, None]
    too_near = np.maximum(0.0, _NEAREST_M - pelvis[..., 2].min(axis=1))
    pelvis += (ray * too_near[:, None])[:, None]

    if view.is_held:
        shake = smooth_noise(rng, (video_count, frame_count, 3), fps, rng.uniform(0.4, 3.0, video_count))
        turn = rotation_matrices(np.radians(rng.uniform(0.2, 2.0, (video_count, 1, 1)) * shake))
        rotation, pelvis = turn @ rotation, (turn @ pelvis[..., None])[..., 0]
    rotations = np.broadcast_to(rotation, (video_count, frame_count, 3, 3))
    return CameraTrack(rotations, pelvis, focal, centre)


def see(points_m: np.ndarray, camera: CameraTrack) -> np.ndarray:
    """Points (videos, frames, K, 3) in camera coordinates, m -> pixels (videos, frames, K, 2)."""
    return project(points_m, camera.focal_px[:, None, None, None], camera.centre_px[:, None, None])
