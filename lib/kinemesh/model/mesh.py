"""Backbone and head joined: the two models that are trained."""

from typing import Protocol

import torch
from torch import Tensor, nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.model.heads import ResidualHead, SMPLHead
from kinemesh.model.trust import blend_bodies, frame_shares, picture_differences
from kinemesh.structures import BodyParams


class Backbone(Protocol):
    """What a module has to offer to be a backbone; `kinemesh.model.building.BACKBONES` names those there are."""

    def representation(self, keypoints: Tensor) -> Tensor:
        """Features (B, T, K, dim_rep) of keypoint clips (B, T, K, 3)."""

    def unused_parameters(self) -> list[nn.Parameter]:
        """Those that `representation` does not read: they get no gradient."""

    def matrix_parameters(self) -> list[nn.Parameter]:
        """Weight matrices between two layers, which `opt: muon` steps as such; embeddings and outputs are none."""


class MeshRegressor(nn.Module):
    """Keypoint clips -> bodies."""

    def __init__(self, backbone: Backbone, head: SMPLHead, is_bf16: bool = False):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.is_bf16 = is_bf16

    def forward(self, keypoints: Tensor) -> BodyParams:
        """Keypoints (B, T, K, 3) -> rotations (B, T, J, 3, 3) and betas (B, T, 10)."""
        return self.head(_represent(self.backbone, keypoints, self.is_bf16))


class MeshRefiner(nn.Module):
    """Keypoint clips and another estimator's bodies -> better bodies.

    Args:
        kinematics: the body's joints, with `has_feedback` or `has_trust`; else None.
        has_feedback: the head also reads how far the projections of its input are from the keypoints.
        has_trust: outside training, output is a mean of input and refined body: by joint, as `trust_percent` says, and
            by frame, as `frame_shares` does.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: ResidualHead,
        is_bf16: bool = False,
        kinematics: JointKinematics | None = None,
        *,
        has_feedback: bool = False,
        has_trust: bool = False,
    ):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.is_bf16 = is_bf16
        self.kinematics = kinematics
        self.has_feedback, self.has_trust = has_feedback, has_trust
        if has_trust:
            # Whole numbers, since those of averaged weights that are not would lag behind.
            self.register_buffer("trust_percent", torch.full((SMPL_JOINT_COUNT,), 100, dtype=torch.uint8))

    def forward(self, keypoints: Tensor, estimate: BodyParams) -> BodyParams:
        """Keypoints (B, T, K, 3) and an estimate (B, T, ...) -> rotations (B, T, J, 3, 3) and betas (B, T, 10)."""
        refined = self.refine(keypoints, estimate)
        if self.training or not self.has_trust:
            return refined
        shares = frame_shares(self.kinematics, keypoints, estimate, refined)
        return blend_bodies(estimate, refined, shares[..., None] * self.trust_percent / 100)

    def refine(self, keypoints: Tensor, estimate: BodyParams) -> BodyParams:
        """The refined body, whatever it is trusted."""
        features = _represent(self.backbone, keypoints, self.is_bf16)
        feedback = self._feedback(keypoints, estimate) if self.has_feedback else None
        return self.head(features, estimate, feedback)

    def _feedback(self, keypoints: Tensor, estimate: BodyParams) -> Tensor:
        """(B, T, K * 3): differences in the picture, in tenths of a metre, and how sure the keypoints are."""
        differences = picture_differences(self.kinematics(estimate), keypoints)
        return torch.cat((10 * differences, keypoints[..., 2:]), dim=-1).flatten(2)


def _represent(backbone: Backbone, keypoints: Tensor, is_bf16: bool) -> Tensor:
    """The backbone's features in the input's precision; only what is inside the backbone may be bf16."""
    with torch.autocast(keypoints.device.type, torch.bfloat16, enabled=is_bf16):
        features = backbone.representation(keypoints)
    return features.to(keypoints.dtype)
