"""Rotation representations: axis-angle (radians), 3x3 matrices, and 6D in the two conventions in use.

Thin names over `roma`, except for 6D: the released refiner feeds degenerate 6D vectors, for which the library's
Gram-Schmidt gives NaN.
"""

import roma
import torch
from torch import Tensor

_MIN_NORM = 1e-6


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians -> (..., 3, 3)."""
    return roma.rotvec_to_rotmat(axis_angle)


def matrix_to_axis_angle(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) radians, angle at most pi."""
    return roma.rotmat_to_rotvec(rotation)


def rotation_angle(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (...) radians in [0, pi], with bounded gradients everywhere, degenerate matrices included.

    atan2 of sine and cosine: unlike an arc cosine of the trace it is exact and differentiable near 0 and near pi.
    """
    skew = torch.stack(
        (
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ),
        dim=-1,
    )
    # Below the rounding of a rotation's entries, and enough to keep the gradient in range for what a degenerate 6D
    # vector gives, where sine and cosine both vanish: diag(1, 0, 0).
    sine = 0.5 * (skew.square().sum(-1) + torch.finfo(rotation.dtype).eps ** 2).sqrt()
    cosine = 0.5 * (rotation[..., 0, 0] + rotation[..., 1, 1] + rotation[..., 2, 2] - 1.0)
    return torch.atan2(sine, cosine)


def mean_rotation(first: Tensor, second: Tensor) -> Tensor:
    """The rotation half-way between two, (..., 3, 3): both the chordal and the geodesic mean (Hartley et al., 2013).

    Half a turn apart there are two such rotations, and either may come back.
    """
    one, other = roma.rotmat_to_unitquat(first), roma.rotmat_to_unitquat(second)
    # q and -q are one rotation: the nearer of the two is meant.
    other = torch.where((one * other).sum(-1, keepdim=True) < 0, -other, other)
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(one + other, dim=-1))


def rotation_6d_to_matrix(rotation_6d: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3): two interleaved column vectors, made orthonormal (Zhou et al., CVPR 2019).

    Each vector is divided by max(norm, 1e-6), so that degenerate input gives finite output (behaviour contract,
    section 3).
    """
    # Contiguous, since a CPU is slow at norms of numbers that lie apart.
    first, second = (column.contiguous() for column in rotation_6d.unflatten(-1, (3, 2)).unbind(-1))
    first = torch.nn.functional.normalize(first, dim=-1, eps=_MIN_NORM)
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1, eps=_MIN_NORM)
    return torch.stack((first, second, torch.linalg.cross(first, second, dim=-1)), dim=-1)


def matrix_to_rotation_6d(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 6): the first two columns, interleaved; inverse of `rotation_6d_to_matrix`."""
    return rotation[..., :2].flatten(-2)


def matrix_to_rotation_6d_rows(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 6): the first two *rows*, one after the other.

    The released refiner encodes its input so, yet decodes columns: `rotation_6d_to_matrix` is not its inverse
    (behaviour contract, section 3).
    """
    return rotation[..., :2, :].flatten(-2)
