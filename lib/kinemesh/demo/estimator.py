"""A simulated estimator of body meshes from single frames: the refiner's input.

It errs the way such systems do (Li et al., HybrIK, 2021, and the failure cases papers show): jitter from frame to
frame, errors that stay for a second, more of them at the limbs, along the line of sight and where the detector is
unsure, now and then a wrong frame or legs taken for each other, and a body shape near the average.
"""

from typing import NamedTuple

import numpy as np

from kinemesh.body.chain import global_rotations
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES, SMPL_MIRROR_ORDER, SMPL_PARENTS
from kinemesh.estimates.errors import ERRORS_BY_AXIS, JOINT_ERRORS_DEGREES, SEEN_BY_KEYPOINT
from kinemesh.motion.anatomy import MIRROR_MATRIX, rotation_matrices
from kinemesh.motion.signals import random_runs, smooth_noise

_IS_LEG = np.array([name.endswith(("hip", "knee", "ankle", "foot")) for name in SMPL_JOINT_NAMES])


class Estimate(NamedTuple):
    """An estimator's output."""

    rotations: np.ndarray  # (videos, frames, 24, 3, 3) camera axes
    betas: np.ndarray  # (videos, frames, 10)


def _error_vectors(rng: np.random.Generator, confidence: np.ndarray, fps: float) -> np.ndarray:
    """(videos, frames, 24, 3) rotation errors in camera axes, radians."""
    shape = confidence.shape[:2]
    video_count = shape[0]
    channels = (*shape, SMPL_JOINT_COUNT * 3)

    def correlated(rate_hz) -> np.ndarray:
        return smooth_noise(rng, channels, fps, rate_hz).reshape(*shape, SMPL_JOINT_COUNT, 3)

    bias = rng.standard_normal((video_count, 1, SMPL_JOINT_COUNT, 3))
    jitter = rng.standard_normal((*shape, SMPL_JOINT_COUNT, 3))
    error = 0.45 * bias + 0.8 * correlated(rng.uniform(1.0, 3.0, video_count)) + 0.08 * jitter
    doubt = 1.0 + 2.0 * (1.0 - confidence[:, :, SEEN_BY_KEYPOINT])[..., None]
    lost = random_runs(rng, shape, 0.01, (1, 4)) * rng.uniform(1.0, 2.5, shape)
    error += (lost[..., None] * (rng.random((*shape, SMPL_JOINT_COUNT)) < 0.4))[..., None] * correlated(6.0)
    quality = np.exp(rng.normal(0.0, 0.2, (video_count, 1, 1, 1)))
    return np.radians(JOINT_ERRORS_DEGREES)[:, None] * ERRORS_BY_AXIS * error * doubt * quality


def estimate(
    rng: np.random.Generator, rotations: np.ndarray, betas: np.ndarray, confidence: np.ndarray, fps: float
) -> Estimate:
    """What the estimator makes of true bodies.

    Args:
        rotations: (videos, frames, 24, 3, 3) true rotations, camera axes.
        betas: (videos, 10) true shapes.
        confidence: (videos, frames, 17) of the detected keypoints.
    """
    shape = rotations.shape[:2]
    legs_swapped = random_runs(rng, shape, 0.0012, (2, 8))
    mirrored = rotations[:, :, SMPL_MIRROR_ORDER] * MIRROR_MATRIX
    seen = np.where((legs_swapped[..., None] & _IS_LEG)[..., None, None], mirrored, rotations)
    turned = global_rotations(seen)
    turn = rotation_matrices(_error_vectors(rng, confidence, fps))
    out = np.empty_like(seen)
    out[:, :, 0] = turn[:, :, 0] @ seen[:, :, 0]
    # An error about a camera axis, written in the axes of the bone's parent.
    parents = turned[:, :, SMPL_PARENTS[1:]]
    out[:, :, 1:] = np.swapaxes(parents, -1, -2) @ turn[:, :, 1:] @ parents @ seen[:, :, 1:]

    guess = 0.45 * betas + 0.35 * rng.standard_normal(betas.shape)
    drift = 0.25 * smooth_noise(rng, (*shape, BETA_COUNT), fps, 1.5) + 0.15 * rng.standard_normal((*shape, BETA_COUNT))
    return Estimate(out, guess[:, None] + drift)
