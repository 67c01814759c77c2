"""Fixtures that several packages' tests use."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from lib.body.assets import BodyAssets, load_body_assets
from lib.body.kinematics import JointKinematics
from lib.body.smpl import PosedBody
from lib.config import Config
from lib.data.sources import Dataset, load_dataset
from lib.demo.body import write_body_files
from lib.demo.datasets import make_demo_data
from lib.model.mesh import build_regressor

torch.set_num_threads(1)  # tests are small, and many threads on few cores only wait for one another


@pytest.fixture(scope="session")
def reference():
    """Loads a file of reference vectors made by the released code, by name."""
    return lambda name: np.load(Path(__file__).parent / "golden" / f"{name}.npz")


@pytest.fixture(scope="session")
def body_folder(tmp_path_factory) -> Path:
    """A data_root that holds the stand-in body's files."""
    folder = tmp_path_factory.mktemp("body")
    write_body_files(folder)
    return folder


@pytest.fixture(scope="session")
def assets(body_folder) -> BodyAssets:
    return load_body_assets(body_folder)


@pytest.fixture(scope="session")
def kinematics(assets) -> JointKinematics:
    return JointKinematics(assets)


@pytest.fixture(scope="session")
def posed_body(assets) -> PosedBody:
    return PosedBody(assets)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory) -> Path:
    """A data_root with every file, as the program makes it for itself, but small."""
    folder = tmp_path_factory.mktemp("demo")
    make_demo_data(folder, scale=0.02)
    return folder


@pytest.fixture(scope="session")
def small_dataset(demo_folder) -> Dataset:
    """The small 3DPW-like dataset."""
    return load_dataset("pw3d", demo_folder / "mesh_det_pw3d.pkl")


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def small_model(assets, small_config):
    """A tiny regressor with fresh weights; keyword arguments change config keys."""

    def make(**changes):
        torch.manual_seed(0)
        pose, betas = (torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas))
        return build_regressor(small_config(**changes), pose, betas)

    return make


@pytest.fixture(scope="session")
def joblib_bytes():
    """What joblib writes, by its layout alone: `joblib_bytes(value)`, for dicts, lists, numeric arrays and scalars.

    `alignment` None leaves out the padding, as joblib before 1.2 did; `change` alters an array's description, as a
    file that somebody tampered with.
    """

    def plain(value) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def write(value, alignment: int | None = 16, change: dict | None = None) -> bytes:
        out = bytearray(b"\x80\x04")

        def add(value) -> None:
            if isinstance(value, np.ndarray):
                add_array(value)
            elif isinstance(value, dict):
                out.extend(b"}")
                for key, item in value.items():
                    out.extend(plain(key))
                    add(item)
                    out.extend(b"s")
            elif isinstance(value, list):
                out.extend(b"]")
                for item in value:
                    add(item)
                    out.extend(b"a")
            else:
                out.extend(plain(value))

        def add_array(array: np.ndarray) -> None:
            order = "C" if array.flags.c_contiguous else "F"
            state = {"subclass": np.ndarray, "shape": array.shape, "order": order, "dtype": array.dtype}
            state |= {"allow_mmap": True}
            if alignment is not None:
                state["numpy_array_alignment_bytes"] = alignment
            out.extend(b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + plain(state | (change or {})) + b"b")
            if alignment is not None:
                padding = alignment - (len(out) + 1) % alignment
                out.extend(bytes([padding]) + b"\xff" * padding)
            out.extend(array.tobytes(order))

        add(value)
        return bytes(out + b".")

    return write
