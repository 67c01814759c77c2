"""Similarity Procrustes: the best scale, rotation and translation of one point set onto another."""

import torch
from torch import Tensor

_SMALLEST_SIZE = 1e-12


def align_similarity(pred: Tensor, target: Tensor) -> Tensor:
    """Points `pred` (..., K, 3) moved onto `target` (..., K, 3), each set of K by its own least-squares similarity.

    The rotation is never a reflection, however much better that would fit. Points that all coincide land on the
    target's mean; points that are not finite give NaN. Source: Umeyama, PAMI 1991.
    """
    pred_mean, target_mean = pred.mean(dim=-2, keepdim=True), target.mean(dim=-2, keepdim=True)
    # Reported errors must not depend on how training multiplies: TF32 and autocast leave float64 alone.
    centred = (pred - pred_mean).double()
    covariance = centred.mT @ (target - target_mean).double()
    turn = best_similarity(covariance, centred.square().sum(dim=(-2, -1)))
    return (centred @ turn).to(pred.dtype) + target_mean


def best_similarity(covariance: Tensor, spread: Tensor) -> Tensor:
    """Scale times rotation, (..., 3, 3), that multiplies centred points as rows from the right.

    `covariance` (..., 3, 3) is pred^T target and `spread` (...) the sum of squares of pred, both sets centred, float64.
    """
    # One frame that is not finite gives NaN for that frame; as it is, it would stop the batch.
    left, stretch, right = torch.linalg.svd(covariance.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0))
    # Turning the least significant axis is what the closest proper rotation costs.
    handedness = torch.linalg.det(left @ right).sign()
    flips = torch.stack((torch.ones_like(handedness), torch.ones_like(handedness), handedness), dim=-1)
    scale = (stretch * flips).sum(dim=-1) / spread.clamp(min=_SMALLEST_SIZE)
    return scale[..., None, None] * ((left * flips[..., None, :]) @ right)
