"""Training losses: one function a term, and their weighted sum.

Joints are millimetres, (B, T, K, 3), and relative to joint 0 in every term that compares positions; `Compared`
sees to that. Source: behaviour contract section 4; the 3D terms are those of Zhu et al., MotionBERT, ICCV 2023.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kinemesh.body.skeleton import LIMB_ANGLE_PAIRS, LIMBS
from kinemesh.config import LAMBDA_OF_TERM, Config
from kinemesh.geometry.alignment import relative_to_root
from kinemesh.geometry.constants import constant_tensor
from kinemesh.geometry.rotation import rotation_angle
from kinemesh.structures import BodyParams

LossType = Literal["L1", "MSE"]

# Largest cosine whose arc cosine still has a finite gradient in float32.
_MAX_COSINE = 1.0 - 1e-7
# mm^2; keeps the best scale finite where a predicted body has shrunk to a point.
_MIN_SQUARED_SIZE = 1e-8
# mm; a limb shorter than this has no direction worth a gradient.
_MIN_LIMB_MM = 1e-3


class Compared:
    """Predicted and target bodies as the terms see them; what several terms share is made once.

    `pred` and `target` hold rotations (B, T, J, 3, 3) and betas (B, T, 10), joints are (B, T, K, 3).
    """

    def __init__(
        self,
        pred: BodyParams,
        pred_joints_mm: Tensor,
        target: BodyParams,
        target_joints_mm: Tensor,
        loss_type: LossType,
    ):
        self.pred, self.target, self.loss_type = pred, target, loss_type
        self.pred_mm = relative_to_root(pred_joints_mm, pred_joints_mm)
        self.target_mm = relative_to_root(target_joints_mm, target_joints_mm)

    @cached_property
    def limbs_mm(self) -> tuple[Tensor, Tensor]:
        return limb_vectors(self.pred_mm), limb_vectors(self.target_mm)

    @cached_property
    def lengths_mm(self) -> tuple[Tensor, Tensor]:
        pred, target = self.limbs_mm
        return pred.norm(dim=-1), target.norm(dim=-1)

    @cached_property
    def angles(self) -> tuple[Tensor, Tensor]:
        pred, target = self.limbs_mm
        return limb_angles(pred), limb_angles(target)


# Every term, a scalar; its weight is the config key that LAMBDA_OF_TERM names.
LOSSES: dict[str, Callable[[Compared], Tensor]] = {
    "loss_3d_pos": lambda bodies: position_loss(bodies.pred_mm, bodies.target_mm),
    "loss_3d_scale": lambda bodies: scaled_position_loss(bodies.pred_mm, bodies.target_mm),
    "loss_3d_velocity": lambda bodies: velocity_loss(bodies.pred_mm, bodies.target_mm),
    "loss_lv": lambda bodies: limb_length_variance(bodies.lengths_mm[0]),
    "loss_lg": lambda bodies: limb_length_loss(*bodies.lengths_mm),
    "loss_a": lambda bodies: limb_angle_loss(*bodies.angles),
    "loss_av": lambda bodies: limb_angle_velocity_loss(*bodies.angles),
    "loss_pose": lambda bodies: parameter_loss(bodies.pred.rotations, bodies.target.rotations, bodies.loss_type),
    "loss_shape": lambda bodies: parameter_loss(bodies.pred.betas, bodies.target.betas, bodies.loss_type),
    "loss_norm": lambda bodies: parameter_norm(bodies.pred),
}


def compute_losses(
    pred: BodyParams,
    pred_joints_mm: Tensor,
    target: BodyParams,
    target_joints_mm: Tensor,
    loss_type: LossType,
) -> dict[str, Tensor]:
    """Every term of LOSSES, unweighted, as scalars on the device.

    The bodies are those of `Compared`. Nothing waits for the device.
    """
    bodies = Compared(pred, pred_joints_mm, target, target_joints_mm, loss_type)
    return {name: term(bodies) for name, term in LOSSES.items()}


def weighted_total(terms: dict[str, Tensor], config: Config) -> Tensor:
    """The sum of lambda * term over the terms whose lambda is not 0; what training minimises."""
    weights = {name: getattr(config, key) for name, key in LAMBDA_OF_TERM.items()}
    weighted = [weight * terms[name] for name, weight in weights.items() if weight != 0]
    return torch.stack(weighted).sum() if weighted else torch.zeros_like(next(iter(terms.values())))


def position_loss(pred_mm: Tensor, target_mm: Tensor) -> Tensor:
    """`loss_3d_pos`: mean distance of joints (B, T, K, 3), mm."""
    return (pred_mm - target_mm).norm(dim=-1).mean()


def scaled_position_loss(pred_mm: Tensor, target_mm: Tensor) -> Tensor:
    """`loss_3d_scale`: mean distance of joints (B, T, K, 3) after the least-squares scale of each frame, mm."""
    overlap = (target_mm * pred_mm).sum(dim=(-2, -1), keepdim=True)
    squared_size = pred_mm.square().sum(dim=(-2, -1), keepdim=True)
    return position_loss(overlap / squared_size.clamp(min=_MIN_SQUARED_SIZE) * pred_mm, target_mm)


def velocity_loss(pred_mm: Tensor, target_mm: Tensor) -> Tensor:
    """`loss_3d_velocity`: mean distance of frame-to-frame differences of joints (B, T, K, 3), mm a frame; 0 at T = 1."""
    if pred_mm.shape[1] < 2:
        return pred_mm.new_zeros(())
    return position_loss(pred_mm.diff(dim=1), target_mm.diff(dim=1))


def limb_vectors(joints_mm: Tensor) -> Tensor:
    """Joints (B, T, K, 3) -> the 16 limbs (B, T, 16, 3), child to parent, mm."""
    parents, children = zip(*LIMBS, strict=True)
    return _take(joints_mm, parents) - _take(joints_mm, children)


def limb_angles(limbs_mm: Tensor) -> Tensor:
    """Limbs (B, T, 16, 3) -> the angles of 18 pairs of them, (B, T, 18), radians."""
    first, second = zip(*LIMB_ANGLE_PAIRS, strict=True)
    # Unit vectors once for 16 limbs, not for 36 ends of pairs.
    directions = F.normalize(limbs_mm, dim=-1, eps=_MIN_LIMB_MM)
    cosines = (_take(directions, first) * _take(directions, second)).sum(dim=-1)
    return cosines.clamp(-_MAX_COSINE, _MAX_COSINE).acos()


def limb_length_variance(pred_lengths_mm: Tensor) -> Tensor:
    """`loss_lv`: mean over limbs (B, T, 16) of the unbiased variance of their length over T, mm^2; 0 at T = 1."""
    if pred_lengths_mm.shape[1] < 2:
        return pred_lengths_mm.new_zeros(())
    return pred_lengths_mm.var(dim=1).mean()


def limb_length_loss(pred_lengths_mm: Tensor, target_lengths_mm: Tensor) -> Tensor:
    """`loss_lg`: mean absolute difference of limb lengths (B, T, 16), mm."""
    return F.l1_loss(pred_lengths_mm, target_lengths_mm)


def limb_angle_loss(pred_angles: Tensor, target_angles: Tensor) -> Tensor:
    """`loss_a`: mean absolute difference of limb angles (B, T, 18), radians."""
    return F.l1_loss(pred_angles, target_angles)


def limb_angle_velocity_loss(pred_angles: Tensor, target_angles: Tensor) -> Tensor:
    """`loss_av`: mean absolute difference of frame-to-frame changes of limb angles (B, T, 18); 0 at T = 1."""
    if pred_angles.shape[1] < 2:
        return pred_angles.new_zeros(())
    return F.l1_loss(pred_angles.diff(dim=1), target_angles.diff(dim=1))


def parameter_loss(pred: Tensor, target: Tensor, loss_type: LossType) -> Tensor:
    """`loss_pose` on rotation matrices, `loss_shape` on betas: mean absolute (L1) or squared (MSE) difference."""
    return F.l1_loss(pred, target) if loss_type == "L1" else F.mse_loss(pred, target)


def parameter_norm(pred: BodyParams) -> Tensor:
    """`loss_norm`: mean over frames of the L2 norm of a body's 72 axis-angle numbers and 10 betas.

    An axis-angle vector is as long as its angle, so the matrices need not be converted.
    """
    return torch.cat((rotation_angle(pred.rotations), pred.betas), dim=-1).norm(dim=-1).mean()


def _take(values: Tensor, rows: tuple[int, ...]) -> Tensor:
    return values.index_select(-2, constant_tensor(rows, values.device))
