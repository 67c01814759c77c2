"""Fixtures that several packages' tests use."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.body.assets import BodyAssets, load_body_assets
from lib.body.kinematics import JointKinematics
from lib.body.smpl import PosedBody
from lib.data.sources import Dataset, load_dataset
from lib.demo.body import write_body_files
from lib.demo.datasets import make_demo_data
from tools.fuzz.joblib_layout import write_joblib

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
def joblib_bytes():
    """What joblib writes, by its layout alone."""
    return write_joblib
