"""A tiny model on the stand-in body."""

from pathlib import Path

import pytest
import torch
import yaml

from kinemesh.config import config_from_values
from kinemesh.demo.video import DemoVideo, make_video
from kinemesh.infer import MeshPredictor
from kinemesh.model.building import build_model

ROOT = Path(__file__).parent.parent.parent
TINY = {"dim_feat": 16, "dim_rep": 16, "depth": 1, "num_heads": 2, "hidden_dim": 24, "clip_len": 16, "maxlen": 64}


@pytest.fixture(scope="session")
def demo_video() -> DemoVideo:
    return make_video()


@pytest.fixture(scope="session")
def tiny_predictor(assets):
    """A predictor of a kind with random weights, large enough to move; keyword arguments change config keys."""

    def build(kind: str = "regressor", **changes) -> MeshPredictor:
        values = yaml.safe_load((ROOT / "configs/mesh/MB_demo.yaml").read_text()) | TINY | changes
        config = config_from_values(values, {}, "tiny")
        torch.manual_seed(1)
        model = build_model(kind, config, assets)
        for name, parameter in model.named_parameters():
            if name == "head.head_pose.weight":
                torch.nn.init.normal_(parameter, std=0.02)
        return MeshPredictor(model, assets, config, torch.device("cpu"), kind)

    return build
