"""SMPL's parameters as files hold them, 72 axis-angle numbers and 10 betas, and as the model does: rotation matrices."""

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.geometry.rotation import (
    axis_angle_to_matrix,
    axis_angle_to_quaternion,
    matrix_to_axis_angle,
    quaternion_to_matrix,
    slerp,
)
from kinemesh.structures import BodyParams

# Frames whose rotations exist at once.
_FRAMES_AT_ONCE = 4096


def params_from_axis_angle(poses: Tensor, betas: Tensor) -> BodyParams:
    """Poses (..., 72) radians and betas (..., 10), or (10,) for all of them, as a body."""
    return BodyParams(rotations_from_axis_angle(poses), betas.expand(*poses.shape[:-1], -1))


def rotations_from_axis_angle(poses: Tensor) -> Tensor:
    """Poses (..., 72) radians -> rotation matrices (..., J, 3, 3)."""
    return axis_angle_to_matrix(poses.unflatten(-1, (SMPL_JOINT_COUNT, 3)))


def axis_angle_from_rotations(rotations: Tensor) -> Tensor:
    """Rotation matrices (..., J, 3, 3) -> poses (..., 72) radians, no joint turned by more than pi."""
    return matrix_to_axis_angle(rotations).flatten(-2)


def with_root_turned(poses: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Poses (F, n) of bodies turned as a whole by (3, 3), or by (F, 3, 3)."""
    root = torch.from_numpy(turn).double() @ axis_angle_to_matrix(torch.from_numpy(poses[:, :3]).double())
    return np.concatenate([matrix_to_axis_angle(root).numpy().astype(poses.dtype), poses[:, 3:]], axis=1)


def turned(
    poses: np.ndarray, trans_m: np.ndarray, turn: np.ndarray, pelvis_m: np.ndarray, own_pelvis_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (F, 72) and trans (F, 3) of the same motion in turned axes, with every joint turned about the world's origin.

    SMPL turns about its pelvis, which is not its origin: what the world turns is pelvis + trans.

    Args:
        turn: (3, 3), or (F, 3, 3) where a camera turns too.
        pelvis_m, own_pelvis_m: (3,) at rest, of the body that trans was made for, and of the one that it is for now.
    """
    return with_root_turned(poses, turn), (turn @ (trans_m + pelvis_m)[..., None])[..., 0] - own_pelvis_m


def poses_between(poses: np.ndarray, frames: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Poses (F, 72) at the `wanted` frames (F,), of poses (N, 72) at the rising `frames` (N,), all counted alike.

    Between two every joint turns the short way at an even pace; before the first and after the last it stays. A pose of
    that very frame is taken as it is.
    """
    after = np.searchsorted(frames, wanted).clip(max=len(frames) - 1)
    before = np.where(frames[after] > wanted, after - 1, after).clip(min=0)
    found = poses[before]
    between = np.flatnonzero(after > before)
    for first in range(0, len(between), _FRAMES_AT_ONCE):
        some = between[first : first + _FRAMES_AT_ONCE]
        start, stop = before[some], after[some]
        share = torch.from_numpy((wanted[some] - frames[start]) / (frames[stop] - frames[start]))
        ends = (torch.from_numpy(poses[rows]).double().unflatten(1, (SMPL_JOINT_COUNT, 3)) for rows in (start, stop))
        turned = quaternion_to_matrix(slerp(*map(axis_angle_to_quaternion, ends), share[:, None]))
        found[some] = axis_angle_from_rotations(turned).numpy()
    return found
