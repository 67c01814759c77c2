import pytest
import torch

from lib.config import Config
from lib.engine.state import Posing
from lib.model.mesh import build_regressor


@pytest.fixture
def small_config():
    """A tiny model's config; keyword arguments change keys."""

    def make(**changes) -> Config:
        values = {
            "epochs": 1, "batch_size": 4, "lr_backbone": 1e-3, "lr_head": 1e-3, "weight_decay": 0.01, "lr_decay": 0.9,
            "maxlen": 27, "dim_feat": 16, "mlp_ratio": 2, "depth": 1, "dim_rep": 16, "num_heads": 2, "hidden_dim": 24,
            "dropout": 0.0, "clip_len": 8, "data_stride": 4, "lambda_3d": 0.5, "lambda_scale": 0, "lambda_3dv": 10,
            "lambda_lv": 0, "lambda_lg": 0, "lambda_a": 0, "lambda_av": 0, "lambda_pose": 1000, "lambda_shape": 1,
            "lambda_norm": 20,
        }  # fmt: skip
        return Config(**(values | changes))

    return make


@pytest.fixture
def posing(kinematics, posed_body) -> Posing:
    return Posing(kinematics, posed_body)


@pytest.fixture
def small_model(assets, small_config):
    """A tiny regressor with fresh weights; keyword arguments change config keys."""

    def make(**changes):
        torch.manual_seed(0)
        pose, betas = (torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas))
        return build_regressor(small_config(**changes), pose, betas)

    return make
