"""Fixtures of the model tests: reference vectors as tensors, and a small config."""

from dataclasses import replace

import pytest
import torch

from kinemesh.body.smpl import PosedBody
from kinemesh.config import Config
from kinemesh.demo.body import load_stand_in


@pytest.fixture
def read_reference(reference):
    """name -> the arrays of one file of reference vectors, as tensors; text stays an array."""

    def read(name: str) -> dict:
        with reference(name) as arrays:
            return {key: array if array.dtype.kind == "U" else torch.from_numpy(array) for key, array in arrays.items()}

    return read


@pytest.fixture
def weights_of():
    """Reference arrays -> the state_dict stored in them under `w.`, in stored order."""
    return lambda arrays: {key[2:]: value for key, value in arrays.items() if key.startswith("w.")}


@pytest.fixture
def build_config(small_config):
    """Keys -> a Config of the size that the reference vectors have, released lambdas and these keys."""

    def build(**keys) -> Config:
        rates = {"lr_backbone": 5e-5, "lr_head": 5e-4, "lr_decay": 0.98, "data_stride": 8}
        size = {"dim_feat": 32, "depth": 2, "dim_rep": 48, "num_heads": 4, "hidden_dim": 40}
        return small_config(**(rates | size | keys))

    return build


@pytest.fixture
def reference_body(assets, unsmoothed_body_path) -> PosedBody:
    """The body that the reference vectors were made with: other vertices, the same joints."""
    body = load_stand_in(unsmoothed_body_path)
    return PosedBody(replace(assets, **{name: body[name] for name in ("v_template", "shapedirs", "posedirs")}))
