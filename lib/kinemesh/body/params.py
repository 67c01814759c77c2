"""SMPL's parameters as files hold them, 72 axis-angle numbers and 10 betas, and as the model does: rotation matrices."""

from torch import Tensor

from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from kinemesh.structures import BodyParams


def params_from_axis_angle(poses: Tensor, betas: Tensor) -> BodyParams:
    """Poses (..., 72) radians and betas (..., 10), or (10,) for all of them, as a body."""
    return BodyParams(rotations_from_axis_angle(poses), betas.expand(*poses.shape[:-1], -1))


def rotations_from_axis_angle(poses: Tensor) -> Tensor:
    """Poses (..., 72) radians -> rotation matrices (..., J, 3, 3)."""
    return axis_angle_to_matrix(poses.unflatten(-1, (SMPL_JOINT_COUNT, 3)))


def axis_angle_from_rotations(rotations: Tensor) -> Tensor:
    """Rotation matrices (..., J, 3, 3) -> poses (..., 72) radians, no joint turned by more than pi."""
    return matrix_to_axis_angle(rotations).flatten(-2)
