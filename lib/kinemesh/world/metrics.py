"""Errors of bodies in a world: one function a metric, each with its definition and source.

Joints are in axes that stand still, true and predicted ones each in their own. WHAM's evaluation (Shin et al., CVPR 2024)
defines all but the last two, after SLAHMR (Ye et al., CVPR 2023).
"""

import torch
from torch import Tensor

from kinemesh.body.skeleton import MM_PER_M
from kinemesh.geometry.alignment import best_similarity, nearest_rotation

CHUNK_FRAMES = 100
# Vertices at the big toes and heels, left and right; a foot that moves less in a frame is in contact.
FOOT_VERTICES = (3216, 3387, 6617, 6787)
_STILL_M = 0.01


def wa_mpjpe_mm(pred_m: Tensor, target_m: Tensor, chunk_frames: int = CHUNK_FRAMES) -> Tensor:
    """Mean distance of joints (F, K, 3) once each chunk, the last perhaps shorter, is aligned by one similarity: (F,)."""
    return _by_chunk(pred_m, target_m, chunk_frames, chunk_frames)


def w_mpjpe_mm(pred_m: Tensor, target_m: Tensor, chunk_frames: int = CHUNK_FRAMES) -> Tensor:
    """The same, each chunk aligned by its first two frames alone: (F,)."""
    return _by_chunk(pred_m, target_m, chunk_frames, 2)


def rte_percent(pred_root_m: Tensor, target_root_m: Tensor) -> Tensor:
    """Distance of roots (F, 3) in percent of the true path's length, the whole aligned by one rotation and shift: (F,).

    Nan of somebody who does not move.
    """
    pred, target = (root.double() for root in (pred_root_m, target_root_m))
    centred, goal = pred - pred.mean(dim=0), target - target.mean(dim=0)
    error = (centred @ nearest_rotation(centred.mT @ goal) - goal).norm(dim=-1)
    length = target.diff(dim=0).norm(dim=-1).sum()
    return (100 * error / torch.where(length > 0, length, torch.nan)).to(pred_root_m.dtype)


def foot_sliding_mm(pred_m: Tensor, target_m: Tensor) -> Tensor:
    """How far feet (F, 4, 3), of `FOOT_VERTICES`, move in a frame while the true one moves less than 10 mm: (contacts,)."""
    return MM_PER_M * pred_m.diff(dim=0).norm(dim=-1)[are_still(target_m)]


def are_still(points_m: Tensor) -> Tensor:
    """(F - 1, ...) bool: which of points (F, ..., 3) move less than 10 mm from the frame before."""
    return points_m.diff(dim=0).norm(dim=-1) < _STILL_M


def jitter_10_m_s3(joints_m: Tensor, fps: float) -> Tensor:
    """Mean length of the jerks of joints (F, K, 3), in tens of metres a second cubed: (F - 3,)."""
    return joints_m.diff(n=3, dim=0).norm(dim=-1).mean(dim=-1) * (fps**3 / 10)


def penetration_mm(lowest_m: Tensor) -> Tensor:
    """How far the lowest point of each body, at heights (...) above the floor, is below it, 0 where it is not: (...)."""
    return MM_PER_M * (-lowest_m).clamp(min=0)


def float_mm(lowest_m: Tensor) -> Tensor:
    """How far it is above it, of bodies that touch the floor: (...)."""
    return MM_PER_M * lowest_m.clamp(min=0)


def _by_chunk(pred_m: Tensor, target_m: Tensor, chunk_frames: int, aligned_frames: int) -> Tensor:
    errors = []
    for pred, target in zip(pred_m.double().split(chunk_frames), target_m.double().split(chunk_frames), strict=True):
        some, goal = (points[:aligned_frames].flatten(0, 1) for points in (pred, target))
        centre, goal_centre = some.mean(dim=0), goal.mean(dim=0)
        centred = some - centre
        turn = best_similarity(centred.mT @ (goal - goal_centre), centred.square().sum())
        errors.append(((pred - centre) @ turn + goal_centre - target).norm(dim=-1).mean(dim=-1))
    return MM_PER_M * torch.cat(errors).to(pred_m.dtype)
