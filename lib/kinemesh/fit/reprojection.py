"""Reprojection errors and their normal equations in a body's turning, place and shape; a pinhole camera.

With alpha = f / z, a point (X, Y, Z) that moves by d moves in the picture by (a_u . d, a_v . d), a_u = (alpha, 0, -alpha X / Z),
a_v = (0, alpha, -alpha Y / Z). Turning joint k by phi in its parent's axes G moves it by (G phi) x s_k, so that the row
of phi is G^T (s_k x a).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.fit.landmarks import MovingPoints
from kinemesh.geometry import camera as pinhole

LEAST_DEPTH_M = 0.3


class Camera(NamedTuple):
    """What projects; the centre as (2,) tensor."""

    focal_px: float
    centre_px: Tensor


class NormalEquations(NamedTuple):
    """Of N frames, n = 3 A + 3 unknowns each: turning of A joints, then the translation; and P of the shape, or 0."""

    matrix: Tensor  # (N, n, n)
    right: Tensor  # (N, n)
    mixed: Tensor  # (N, n, P)
    shape_matrix: Tensor  # (N, P, P)
    shape_right: Tensor  # (N, P)


def project(points_m: Tensor, camera: Camera) -> Tensor:
    """Points (N, K, 3) in camera axes -> pixels (N, K, 2)."""
    return pinhole.project(points_m, camera.focal_px, camera.centre_px, LEAST_DEPTH_M)


def jacobian(points: MovingPoints, trans_m: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Movement in the picture: (N, 2 K, 3 A + 3) a unit of turning and translation, (N, 2 K, 10 or 0) a unit of shape.

    Rows: all points' u, then all points' v.
    """
    x, y, z = (points.places + trans_m[:, None]).unbind(-1)  # (N, K)
    z = z.clamp(min=LEAST_DEPTH_M)
    scale = camera.focal_px / z
    u_depth, v_depth = -scale * x / z, -scale * y / z
    arm_x, arm_y, arm_z = points.arms.unbind(2)  # (N, A, K)
    wide, deep_u, deep_v = (part[:, None] for part in (scale, u_depth, v_depth))
    turned_u = torch.stack((arm_y * deep_u, arm_z * wide - arm_x * deep_u, -arm_y * wide), dim=2)
    turned_v = torch.stack((arm_y * deep_v - arm_z * wide, -arm_x * deep_v, arm_x * wide), dim=2)
    turned = points.frames.mT @ torch.cat((turned_u, turned_v), dim=3)  # (N, A, 3, 2 K)
    nothing = torch.zeros_like(scale)
    moved = torch.stack(
        (torch.cat((scale, nothing), 1), torch.cat((nothing, scale), 1), torch.cat((u_depth, v_depth), 1)), dim=1
    )
    by_frame = torch.cat((turned.flatten(1, 2), moved), dim=1).mT
    if points.by_shape is None:
        return by_frame, by_frame[..., :0]
    shape_x, shape_y, shape_z = points.by_shape.unbind(2)  # (N, 10, K)
    shaped = torch.cat((shape_x * wide + shape_z * deep_u, shape_y * wide + shape_z * deep_v), dim=2)
    return by_frame, shaped.mT


def normal_equations(
    points: MovingPoints, trans_m: Tensor, camera: Camera, residuals: Tensor, weights: Tensor, shape_basis: Tensor
) -> NormalEquations:
    """Of residuals (N, K, 2) with weights (N, K); the shape moves along the columns of `shape_basis` (10, P)."""
    by_frame, by_shape = jacobian(points, trans_m, camera)
    by_shape = by_shape if points.by_shape is None else by_shape @ shape_basis
    both = torch.cat((by_frame, by_shape, residuals.mT.flatten(1)[..., None]), dim=2)
    count = by_frame.shape[2]
    product = (both[..., :-1] * weights.repeat(1, 2)[..., None]).mT @ both
    return NormalEquations(
        product[:, :count, :count],
        product[:, :count, -1],
        product[:, :count, count:-1],
        product[:, count:, count:-1],
        product[:, count:, -1],
    )
