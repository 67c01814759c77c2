"""A config made into a model with fresh weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.config import Config
from kinemesh.errors import UserError, require_one_of
from kinemesh.model.dstformer import DSTformer
from kinemesh.model.heads import ResidualHead, SMPLHead
from kinemesh.model.mesh import Backbone, MeshRefiner, MeshRegressor

# Twenty times the released model's; those of larger ones would fill the memory before anything says why.
_MOST_PARAMETERS = 1 << 30
# The config's that set the backbone's size and its input.
DSTFORMER_KEYS = (
    "dim_feat", "dim_rep", "depth", "num_heads", "mlp_ratio", "maxlen", "att_fuse", "num_joints", "crop_input",
)  # fmt: skip


def build_model(kind: str, config: Config, assets: BodyAssets) -> nn.Module:
    """A `regressor` or `refiner` with fresh weights. Raises `UserError` for another kind, and for sizes beyond reason."""
    require_one_of("kind", kind, ("regressor", "refiner"))
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in build_unchecked(kind, config, assets).parameters())
    if count > _MOST_PARAMETERS:
        raise UserError(
            f"the config asks for a model of {count:.2g} parameters, expected at most {_MOST_PARAMETERS:.2g}. Lower dim_feat, "
            "dim_rep, hidden_dim, mlp_ratio, maxlen or depth."
        )
    return build_unchecked(kind, config, assets)


def build_unchecked(kind: str, config: Config, assets: BodyAssets) -> nn.Module:
    """The same of any size."""
    if kind == "refiner":
        return build_refiner(config, assets)
    mean = (torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas))
    return build_regressor(config, *mean)


def build_dstformer(config: Config) -> DSTformer:
    """A DSTformer with fresh weights."""
    backbone = DSTformer(**{key: getattr(config, key) for key in DSTFORMER_KEYS})
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
