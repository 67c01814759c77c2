"""Rotation representations: axis-angle (radians), 3x3 matrices, unit quaternions x, y, z, w, and 6D in two conventions.

Every function keeps the input's dtype and has finite gradients everywhere, at angle 0 and pi too; but Euler
angles have none where two axes are one.
"""

import torch
from torch import Tensor

from kinemesh.geometry.constants import constant_tensor

_MIN_NORM = 1e-6
# Row i: where the i-th row of 4 q q^T stands among its ten different entries, the diagonal first.
_OUTER_ENTRIES = ((0, 4, 5, 6), (4, 1, 7, 8), (5, 7, 2, 9), (6, 8, 9, 3))
# Cosine of the middle Euler angle below which the outer two turn about one axis.
_LOCKED = 1e-7


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians -> (..., 3, 3)."""
    # By half the angle: 1 - cos(angle) would cancel at small ones.
    return quaternion_to_matrix(axis_angle_to_quaternion(axis_angle))


def matrix_to_axis_angle(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) radians, angle at most pi."""
    quaternion = matrix_to_quaternion(rotation)
    # q and -q are one rotation: the one with w above 0 turns by at most pi.
    quaternion = torch.where(quaternion[..., 3:] > 0, quaternion, -quaternion)
    xyz, w = quaternion[..., :3], quaternion[..., 3:]
    sine = _safe_norm(xyz)
    return 2 * torch.atan2(sine, w) / sine * xyz


def axis_angle_to_quaternion(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians -> (..., 4) x, y, z, w; w is at least 0 up to an angle of pi."""
    angle = _safe_norm(axis_angle)
    half = 0.5 * angle
    return torch.cat((half.sin() / angle * axis_angle, half.cos()), dim=-1)


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Unit quaternions (..., 4) x, y, z, w -> (..., 3, 3)."""
    x, y, z, w = quaternion.unbind(-1)
    xx, yy, zz, ww = x * x, y * y, z * z, w * w
    xy, xz, yz, xw, yw, zw = x * y, x * z, y * z, x * w, y * w, z * w
    # Of all squares: shorter with 1 - 2 (yy + zz), but a quarter less exact in float32.
    entries = (
        xx - yy - zz + ww, 2 * (xy - zw), 2 * (xz + yw),
        2 * (xy + zw), yy - zz - xx + ww, 2 * (yz - xw),
        2 * (xz - yw), 2 * (yz + xw), zz - xx - yy + ww,
    )  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> unit quaternions (..., 4) x, y, z, w, of the two the one whose largest number is positive.

    The matrix gives 4 q q^T; its row with the largest diagonal entry, at least 1, has q's direction without cancelling.
    Source: Markley, Unit Quaternion from Rotation Matrix, 2008.
    """
    r00, r01, r02, r10, r11, r12, r20, r21, r22 = rotation.flatten(-2).unbind(-1)
    squares = (1 + r00 - r11 - r22, 1 + r11 - r22 - r00, 1 + r22 - r00 - r11, 1 + r00 + r11 + r22)
    products = (r10 + r01, r02 + r20, r21 - r12, r21 + r12, r02 - r20, r10 - r01)
    entries = torch.stack((*squares, *products), dim=-1)
    largest = entries[..., :4].argmax(dim=-1)
    row = entries.gather(-1, constant_tensor(_OUTER_ENTRIES, rotation.device)[largest])
    return torch.nn.functional.normalize(row, dim=-1)


def matrix_to_euler_zxy(rotation: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) radians about z, x, y, so that R = Rz Rx Ry; x is in [-pi/2, pi/2].

    Where x is a quarter turn, z and y turn about one axis: y is 0 there.
    """
    cosine = torch.hypot(rotation[..., 0, 1], rotation[..., 1, 1])
    is_locked = cosine <= _LOCKED
    z = torch.atan2(
        torch.where(is_locked, rotation[..., 1, 0], -rotation[..., 0, 1]),
        torch.where(is_locked, rotation[..., 0, 0], rotation[..., 1, 1]),
    )
    x = torch.atan2(rotation[..., 2, 1], cosine)
    y = torch.atan2(-rotation[..., 2, 0], rotation[..., 2, 2]).masked_fill(is_locked, 0.0)
    return torch.stack((z, x, y), dim=-1)


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
    one, other = matrix_to_quaternion(first), matrix_to_quaternion(second)
    return quaternion_to_matrix(torch.nn.functional.normalize(one + nearer_sign(one, other), dim=-1))


def nearer_sign(first: Tensor, second: Tensor) -> Tensor:
    """Of q and -q, which are one rotation, the one nearer to the first: the short way leads there. Both (..., 4)."""
    return torch.where((first * second).sum(-1, keepdim=True) < 0, -second, second)


def slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Unit quaternions (..., 4) `share` (...) of the way from the first to the second, the short way, at an even pace.

    Source: Shoemake, Animating Rotation with Quaternion Curves, 1985.
    """
    second = nearer_sign(first, second)
    # By atan2, since an arc cosine is inexact at small angles.
    angle = 2 * torch.atan2(_safe_norm(first - second), _safe_norm(first + second))
    share = share[..., None]
    # sin(share * angle) / sin(angle), which at a small angle is share.
    weights = [part * torch.sinc(part * angle / torch.pi) / torch.sinc(angle / torch.pi) for part in (1 - share, share)]
    return torch.nn.functional.normalize(weights[0] * first + weights[1] * second, dim=-1)


def turn_part_way(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Rotations (..., 3, 3) that are `share` (...) of the way from `first` to `last` by the shortest arc."""
    return axis_angle_to_matrix(share[..., None] * matrix_to_axis_angle(last @ first.mT)) @ first


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


def _safe_norm(vectors: Tensor) -> Tensor:
    """(..., n) -> (..., 1), at least the dtype's precision: what is divided by it then has finite gradients.

    sin(x) / x and atan(x) / x are 1 to rounding below that, in value and slope.
    """
    return torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).eps)
