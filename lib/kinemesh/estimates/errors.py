"""How estimators of body meshes err, and estimates of every quality made from the truth to train a refiner on.

Errors are of the kinds that papers show (Li et al., HybrIK, 2021; Shin et al., WHAM, 2024): lasting ones, such that
change within a second, jitter, wrong frames, habits of another rig, more of them at the limbs, along the line of sight and where
the detector is unsure. How much of each an estimate has is an assumed range.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.chain import chain_along_tree, tree_levels
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.geometry.constants import constant_tensor
from kinemesh.geometry.rotation import axis_angle_to_matrix, turn_part_way
from kinemesh.structures import Batch, BodyParams, RefineInputs

_SPREAD = {"pelvis": 3.6, "hip": 3.8, "knee": 5.0, "ankle": 6.3, "foot": 4.0, "spine1": 2.3, "spine2": 2.3, "spine3": 2.0,
           "neck": 2.9, "head": 4.0, "collar": 2.3, "shoulder": 5.2, "elbow": 7.0, "wrist": 6.3, "hand": 2.7}  # fmt: skip
# Typical error of each joint, (24,).
JOINT_ERRORS_DEGREES = np.array(
    [_SPREAD[name.removeprefix("left_").removeprefix("right_")] for name in SMPL_JOINT_NAMES]
)
# The picture shows turns about the line of sight best; turns that move a limb in depth it hides.
ERRORS_BY_AXIS = np.array([1.25, 1.25, 0.6])
# The H36M keypoint whose confidence tells how well each joint's bone was seen.
SEEN_BY_KEYPOINT = np.array([0, 5, 2, 7, 6, 3, 7, 6, 3, 8, 6, 3, 9, 11, 14, 10, 12, 15, 13, 16, 13, 16, 13, 16])

# Of an estimate's errors by one joint's typical one: at best none, at worst so many times; and how much one joint's may
# differ from another's, as the standard deviation of a logarithm.
_LARGEST_SCALE = 1.5
_JOINT_SPREAD = 0.4
# How often a clip keeps its file's estimate, whose error is then scaled, and how often a frame is wrong.
_KEPT = 0.4
_WRONG = 0.02
_LEVELS = tree_levels(SMPL_PARENTS, np.ones(SMPL_JOINT_COUNT, dtype=bool))
_ORDER = [joint for joints, _ in _LEVELS for joint in joints]


class Errors(NamedTuple):
    """Errors of N clips of T frames."""

    vectors: Tensor  # (N, T, J, 3) rotation vectors in camera axes, in parts of each joint's typical error
    scales: Tensor  # (N,) what they and the file's estimate's errors are multiplied by
    keeps_own: Tensor  # (N,) bool, the file's estimate's errors instead of these
    betas: Tensor  # (N, 10) standard normal


def draw_errors(clips: int, frames: int, device: torch.device) -> Errors:
    """Errors by PyTorch's own generator; frames of a clip follow one another."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(clips, *shape, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(clips, *shape, device=device)

    lasting, changing, jitter = (
        normal(1, SMPL_JOINT_COUNT, 3),
        normal(frames, SMPL_JOINT_COUNT, 3),
        normal(frames, SMPL_JOINT_COUNT, 3),
    )
    # From a few frames to a second: each row of weights is a bell around its frame.
    width = 1.5 * 20 ** uniform(1, 1)
    places = torch.arange(frames, device=device, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((places[:, None] - places) / width).square())
    weights = weights / weights.norm(dim=-1, keepdim=True)
    changing = (weights @ changing.flatten(2)).unflatten(2, (SMPL_JOINT_COUNT, 3))
    # Shares of the three kinds: any mixture, and so also almost one of them alone.
    shares = torch.softmax(2 * normal(3), dim=-1).sqrt()[:, :, None, None, None]
    vectors = shares[:, 0] * lasting + shares[:, 1] * changing + 0.5 * shares[:, 2] * jitter
    vectors = vectors * (_JOINT_SPREAD * normal(1, SMPL_JOINT_COUNT, 1)).exp()
    is_wrong = (uniform(frames, 1, 1) < _WRONG) & (uniform(frames, SMPL_JOINT_COUNT, 1) < 0.4)
    vectors = vectors + 3 * is_wrong * normal(frames, SMPL_JOINT_COUNT, 3)
    return Errors(vectors, _LARGEST_SCALE * uniform(), uniform() < _KEPT, normal(BETA_COUNT))


@torch.no_grad()
def estimate_anew(batch: Batch) -> Batch:
    """The batch with estimates of every quality instead of its own."""
    keypoints, estimate = batch.inputs
    drawn = draw_errors(batch.whole, *batch.frames.shape[1:], batch.frames.device)
    made = err(batch.target, estimate, keypoints[..., 2], Errors(*map(batch.own, drawn)))
    return batch._replace(inputs=RefineInputs(keypoints, made))


def err(truth: BodyParams, estimate: BodyParams, confidence: Tensor, errors: Errors) -> BodyParams:
    """Bodies (N, T, ...) that err from the truth as `errors` say; `confidence` (N, T, K) is the keypoints'."""
    device = truth.betas.device
    scales = errors.scales[:, None, None]
    own = turn_part_way(truth.rotations, estimate.rotations, scales.expand(truth.rotations.shape[:3]))
    degrees = constant_tensor(tuple(JOINT_ERRORS_DEGREES), device, torch.float32)[:, None]
    by_axis = constant_tensor(tuple(ERRORS_BY_AXIS), device, torch.float32)
    seen_by = constant_tensor(tuple(SEEN_BY_KEYPOINT), device)
    doubt = 1 + 2 * (1 - confidence.clamp(0, 1)[..., seen_by, None])
    turns = axis_angle_to_matrix((degrees * by_axis).deg2rad() * doubt * errors.vectors * scales[..., None])
    made = turn_in_camera(truth.rotations, turns)
    betas = truth.betas + errors.scales[:, None, None] * (0.35 * errors.betas[:, None] - 0.55 * truth.betas)
    is_own = errors.keeps_own
    return BodyParams(
        torch.where(is_own[:, None, None, None, None], own, made),
        torch.where(is_own[:, None, None], torch.lerp(truth.betas, estimate.betas, scales), betas),
    )


def turn_in_camera(rotations: Tensor, turns: Tensor) -> Tensor:
    """Local rotations (..., J, 3, 3), each bone turned about the camera's axes by (..., J, 3, 3)."""
    leading = rotations.shape[:-3]
    chained = chain_along_tree(rotations.reshape(-1, SMPL_JOINT_COUNT, 3, 3), _LEVELS)
    places = [_ORDER.index(parent) for parent in SMPL_PARENTS[1:]]
    parents = chained[:, constant_tensor(tuple(places), rotations.device)].unflatten(0, leading)
    # An error about a camera axis, written in the axes of the bone's parent.
    local = parents.mT @ turns[..., 1:, :, :] @ parents
    return torch.cat((turns[..., :1, :, :], local), dim=-3) @ rotations
