"""Backbone and head joined: the two models that are trained, and how a Config builds them."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.model.dstformer import DSTformer
from kinemesh.model.heads import ResidualHead, SMPLHead
from kinemesh.model.trust import blend_bodies, frame_shares, picture_differences
from kinemesh.structures import BodyParams


class Backbone(Protocol):
    """What a module has to offer to be a backbone; BACKBONES names those there are."""

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


def build_dstformer(config: Config) -> DSTformer:
    """A DSTformer with fresh weights."""
    backbone = DSTformer(
        dim_feat=config.dim_feat,
        dim_rep=config.dim_rep,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        maxlen=config.maxlen,
        num_joints=config.num_joints,
        att_fuse=config.att_fuse,
        crop_input=config.crop_input,
    )
    if config.compile:
        # Block by block: they are alike, so that a few are compiled and the rest reuse them.
        for block in (*backbone.blocks_st, *backbone.blocks_ts):
            block.compile()
    return backbone


# What the config's `backbone` may name.
BACKBONES: dict[str, Callable[[Config], Backbone]] = {"DSTformer": build_dstformer}


def build_backbone(config: Config) -> Backbone:
    """The config's backbone with fresh weights. Raises UserError where no backbone has that name."""
    if config.backbone not in BACKBONES:
        raise UserError(f"backbone is {config.backbone[:40]!r}, expected one of {', '.join(BACKBONES)}.")
    return BACKBONES[config.backbone](config)


def build_regressor(config: Config, mean_pose_6d: Tensor, mean_betas: Tensor) -> MeshRegressor:
    """A MeshRegressor with fresh weights; `mean_pose_6d` (144,) and `mean_betas` (10,) are the body files' mean."""
    head = SMPLHead(config.dim_rep, config.num_joints, config.hidden_dim, config.dropout, mean_pose_6d, mean_betas)
    return MeshRegressor(build_backbone(config), head, is_bf16=config.precision == "bf16")


def build_refiner(config: Config, assets: BodyAssets | None = None) -> MeshRefiner:
    """A MeshRefiner with fresh weights; `assets` is its body, which trust and feedback need."""
    is_posing = config.refine_feedback or config.chooses_trust
    head = ResidualHead(
        config.dim_rep, config.num_joints, config.hidden_dim, config.dropout, config.refine_rotation,
        feedback_dim=3 * config.num_joints if config.refine_feedback else 0,
    )  # fmt: skip
    return MeshRefiner(
        build_backbone(config), head, config.precision == "bf16", JointKinematics(assets) if is_posing else None,
        has_feedback=config.refine_feedback, has_trust=config.chooses_trust,
    )  # fmt: skip
