"""What a 2D keypoint detector makes of true keypoints: noise, outliers, misses, swaps, and a confidence.

Errors scale with the person's size in the picture. Part of the videos get plain Gaussian noise with a confidence
that tells the error exactly; the rest err the way detectors do: in runs, mostly at wrists and ankles, with a
definition of each joint a little off ours, and sure of themselves when they should not be.
"""

from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import H36M_JOINT_COUNT, H36M_JOINT_NAMES, H36M_MIRROR_PAIRS
from kinemesh.motion.signals import random_runs, smooth_noise

# How much harder than the average joint each is to place.
_DIFFICULTY = {"ankle": 1.35, "wrist": 1.6, "elbow": 1.15, "knee": 1.05, "hip": 1.0, "pelvis": 0.8, "head_top": 0.9}
_EASE = np.array([_DIFFICULTY.get(n.replace("left_", "").replace("right_", ""), 0.85) for n in H36M_JOINT_NAMES])
# An error of this part of the stature leaves no confidence (30 px of 480 px).
_LOST_AT = 0.0625
_PLAIN_SHARE = 0.35


class Detection(NamedTuple):
    """Detected keypoints."""

    keypoints_px: np.ndarray  # (videos, frames, 17, 2)
    confidence: np.ndarray  # (videos, frames, 17) 0 to 1


def _swapped(rng: np.random.Generator, keypoints: np.ndarray, chance: float) -> np.ndarray:
    """Left and right taken for each other in the legs or the arms, for short runs of frames."""
    order = np.arange(H36M_JOINT_COUNT)
    for group in (H36M_MIRROR_PAIRS[:3], H36M_MIRROR_PAIRS[3:]):
        swap = order.copy()
        for right, left in group:
            swap[right], swap[left] = left, right
        runs = random_runs(rng, keypoints.shape[:2], chance, (1, 5))
        keypoints = np.where(runs[..., None, None], keypoints[:, :, swap], keypoints)
    return keypoints


def _correlated(rng: np.random.Generator, shape: tuple[int, int], fps: float, rate_hz: np.ndarray) -> np.ndarray:
    """(videos, frames, 17, 2) smooth unit noise."""
    return smooth_noise(rng, (*shape, H36M_JOINT_COUNT * 2), fps, rate_hz).reshape(*shape, H36M_JOINT_COUNT, 2)


def detect(rng: np.random.Generator, keypoints_px: np.ndarray, stature_px: np.ndarray, fps: float) -> Detection:
    """Keypoints as a detector would report them.

    Args:
        keypoints_px: (videos, frames, 17, 2) true keypoints.
        stature_px: (videos, frames) how tall the person would stand in the picture.
    """
    shape = keypoints_px.shape[:2]
    video_count = shape[0]
    size = stature_px[..., None, None]
    is_plain = (rng.random(video_count) < _PLAIN_SHARE)[:, None, None]

    plain = rng.uniform(0.003, 0.013, (video_count, 1, 1, 1)) * rng.standard_normal(keypoints_px.shape)

    level = np.exp(rng.uniform(np.log(0.003), np.log(0.009), (video_count, 1, 1, 1)))
    slow = _correlated(rng, shape, fps, rng.uniform(1.0, 8.0, video_count))
    # Student's t with few degrees of freedom: mostly small, now and then far off.
    white = np.clip(rng.standard_t(3.0, keypoints_px.shape), -8.0, 8.0) * 0.6
    share = rng.uniform(0.2, 0.9, (video_count, 1, 1, 1))
    definition = rng.normal(0.0, 0.003, (video_count, 1, H36M_JOINT_COUNT, 2))
    missed = random_runs(rng, (*shape, H36M_JOINT_COUNT), 0.0025, (2, max(3, round(0.5 * fps))))
    astray = 0.03 * _correlated(rng, shape, fps, rng.uniform(1.0, 6.0, video_count))
    rough = level * _EASE[:, None] * (np.sqrt(share) * slow + np.sqrt(1.0 - share) * white)
    rough += definition + missed[..., None] * astray

    seen = np.where(is_plain[..., None], keypoints_px, _swapped(rng, keypoints_px, 0.001))
    error = np.where(is_plain[..., None], plain, rough)
    distance = np.linalg.norm(error, axis=-1)
    told = np.where(is_plain, distance, distance * rng.uniform(0.5, 1.0, (video_count, 1, 1)))
    doubt = np.abs(rng.standard_normal(distance.shape)) * np.where(is_plain, 0.015, 0.06)
    usual = np.where(is_plain, 1.0, rng.uniform(0.88, 1.0, (video_count, 1, H36M_JOINT_COUNT)))
    confidence = usual - told / _LOST_AT - doubt
    confidence -= np.where(is_plain, 0.0, missed * rng.uniform(0.2, 0.7, distance.shape))
    return Detection(seen + error * size, np.clip(confidence, 0.0, 1.0))
