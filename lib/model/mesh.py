"""Backbone and head joined: the two models that are trained, and how a Config builds them."""

from torch import Tensor, nn

from lib.config import Config
from lib.model.dstformer import DSTformer
from lib.model.heads import ResidualHead, SMPLHead
from lib.structures import BodyParams


class MeshRegressor(nn.Module):
    """Keypoint clips -> bodies."""

    def __init__(self, backbone: DSTformer, head: SMPLHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, keypoints: Tensor) -> BodyParams:
        """Keypoints (B, T, K, 3) -> rotations (B, T, J, 3, 3) and betas (B, T, 10)."""
        return self.head(self.backbone.representation(keypoints))


class MeshRefiner(nn.Module):
    """Keypoint clips and another estimator's bodies -> better bodies."""

    def __init__(self, backbone: DSTformer, head: ResidualHead):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, keypoints: Tensor, estimate: BodyParams) -> BodyParams:
        """Keypoints (B, T, K, 3) and an estimate (B, T, ...) -> rotations (B, T, J, 3, 3) and betas (B, T, 10)."""
        return self.head(self.backbone.representation(keypoints), estimate)


def build_backbone(config: Config) -> DSTformer:
    """A backbone with fresh weights. Its 3D pose `head` is in every checkpoint but unused here: it gets no gradient."""
    return DSTformer(
        dim_feat=config.dim_feat,
        dim_rep=config.dim_rep,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        maxlen=config.maxlen,
        num_joints=config.num_joints,
        att_fuse=config.att_fuse,
    )


def build_regressor(config: Config, mean_pose_6d: Tensor, mean_betas: Tensor) -> MeshRegressor:
    """A MeshRegressor with fresh weights; `mean_pose_6d` (144,) and `mean_betas` (10,) are the body files' mean."""
    head = SMPLHead(config.dim_rep, config.num_joints, config.hidden_dim, config.dropout, mean_pose_6d, mean_betas)
    return MeshRegressor(build_backbone(config), head)


def build_refiner(config: Config) -> MeshRefiner:
    """A MeshRefiner with fresh weights."""
    head = ResidualHead(config.dim_rep, config.num_joints, config.hidden_dim, config.dropout, config.refine_rotation)
    return MeshRefiner(build_backbone(config), head)
