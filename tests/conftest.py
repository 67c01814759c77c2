"""Fixtures that several packages' tests use."""

import functools
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, settings

from kinemesh.body.assets import BodyAssets, load_body_assets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.smpl import PosedBody
from kinemesh.config import Config
from kinemesh.data.sources import Dataset, load_dataset
from kinemesh.demo.body import write_body_files
from kinemesh.demo.datasets import make_demo_data
from kinemesh.files.array_folder.writing import TEXT, Column, writing_folder
from kinemesh.model.building import build_regressor
from kinemesh.motion.recorded import FRAME_ARRAYS, KIND, SEQUENCE_ARRAYS, TEXTS
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REGRESSOR
from tools.fuzz.joblib_layout import write_joblib

ROOT = Path(__file__).parent.parent

# A machine that is busy with other work fails no test.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("patient", **PATIENT)
settings.load_profile("patient")
torch.set_num_threads(1)  # tests are small, and many threads on few cores only wait for one another


@pytest.fixture(autouse=True)
def log_as_found():
    """What a script that ran in this process did to the log stays in the test that ran it."""
    logger = logging.getLogger("kinemesh")
    logger.propagate = True  # else nothing is captured
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    for handler in set(logger.handlers) - set(handlers):
        logger.removeHandler(handler)


@pytest.fixture(scope="session")
def reference():
    """Loads a file of reference vectors made by the released code, by name."""
    return lambda name: np.load(Path(__file__).parent / "golden" / f"{name}.npz")


@pytest.fixture(scope="session")
def unsmoothed_body_path() -> Path:
    """The stand-in before it was made a mannequin: the body that reference vectors were made with."""
    return Path(__file__).parent / "golden" / "unsmoothed_body.npz"


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
    make_demo_data(folder, scale=0.015)
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


TINY_RUN = {"epochs": 2, "warmup_h36m": 2, "warmup_coco": 2, "batch_size_img": 64, "data_stride": 16}
TINY_REFINER = {"epochs": 1, "warmup_h36m": 1, "warmup_coco": 1, "batch_size_img": 64, "ema": 0}


def write_tiny_config(path: Path, data_root: Path, name: str, changes: dict) -> str:
    """The config of configs/mesh of this name for a tiny model on small data, with changed keys."""
    values = yaml.safe_load((ROOT / "configs/mesh" / name).read_text())
    values |= {
        "data_root": str(data_root), "batch_size": 8, "dim_feat": 16, "dim_rep": 16, "depth": 1, "num_heads": 2,
        "hidden_dim": 24, "clip_len": 8, "dropout": 0.1,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(values | changes))
    return str(path)


@pytest.fixture
def write_config(demo_folder, tmp_path):
    """Writes the config of configs/mesh of this name for a tiny model on the small demo data, with changed keys."""
    return lambda name, changes: write_tiny_config(tmp_path / "tiny.yaml", demo_folder, name, changes)


@pytest.fixture
def config_file(write_config):
    """Writes a config of a tiny regressor; keyword arguments change keys."""
    return lambda **changes: write_config("MB_demo.yaml", TINY_RUN | changes)


@pytest.fixture
def refiner_config_file(write_config):
    """Writes a config of a tiny refiner; keyword arguments change keys."""
    return lambda **changes: write_config("MB_demo_refine_hybrik.yaml", TINY_REFINER | changes)


@pytest.fixture
def program():
    """The main of the program that `call` runs."""
    return functools.partial(main, REGRESSOR)


@pytest.fixture
def call(program, capsys):
    """Runs the program in this process: (status, standard output, standard error)."""

    def _call(*arguments: str | Path):
        return program([str(argument) for argument in arguments]), *capsys.readouterr()

    return _call


@pytest.fixture
def succeeds(call):
    """Calls the program, which does what it is asked to: its standard output."""

    def _call(*arguments: str | Path) -> str:
        status, output, error = call(*arguments)
        assert status == 0, error
        return output

    return _call


@pytest.fixture
def fails(call):
    """Calls the program, which ends with status 2 and a user's error: that one line."""

    def _call(*arguments: str | Path) -> str:
        status, _, error = call(*arguments)
        assert (status, error[:7], error.count("\n")) == (2, "error: ", 1), error
        return error

    return _call


@pytest.fixture(scope="session")
def finished_run(demo_folder, tmp_path_factory) -> Path:
    """The checkpoint folder of a finished run: made once."""
    folder = tmp_path_factory.mktemp("finished")
    config = write_tiny_config(folder / "tiny.yaml", demo_folder, "MB_demo.yaml", TINY_RUN)
    assert main(REGRESSOR, ["--config", config, "--checkpoint", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def trained(finished_run, config_file, tmp_path):
    """Config and checkpoint folder of a finished run, a copy that a test may change."""
    return config_file(), Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture(scope="session")
def joblib_bytes():
    """What joblib writes, by its layout alone."""
    return write_joblib


CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def make_split(rng: np.random.Generator, dataset: str, video_lengths: tuple[int, ...]) -> dict:
    frame_count = sum(video_lengths)
    split = {
        "joint_2d": rng.uniform(0, 640, (frame_count, 17, 2)).astype("f4"),
        "smpl_pose": rng.normal(0, 0.5, (frame_count, 72)).astype("f4"),
        "smpl_shape": rng.normal(0, 1, (frame_count, 10)).astype("f4"),
        "pred_smpl_pose": rng.normal(0, 0.5, (frame_count, 72)).astype("f4"),
        "pred_smpl_shape": rng.normal(0, 1, (frame_count, 10)).astype("f4"),
        "source": [f"video_{i}" for i, length in enumerate(video_lengths) for _ in range(length)],
        "img_hw": np.full((frame_count, 2), 1000),
    }
    if dataset == "h36m":
        split["camera_name"] = [CAMERAS[i % 4] for i, length in enumerate(video_lengths) for _ in range(length)]
    else:
        split["confidence"] = rng.uniform(-0.2, 1.2, (frame_count, 17, 1)).astype("f4")
    return split


@pytest.fixture
def make_content() -> Callable[..., dict]:
    """Builds what a dataset file holds: `make_content("h36m", train=(40, 9), test=(20,))`, video lengths a split."""

    def make(dataset: str, train: tuple[int, ...] = (40, 9, 16, 33), test: tuple[int, ...] = (20, 12, 17)) -> dict:
        rng = np.random.default_rng(0)
        return {"train": make_split(rng, dataset, train), "test": make_split(rng, dataset, test)}

    return make


@pytest.fixture
def write_pickle(tmp_path) -> Callable[..., Path]:
    """Writes any value as a pickle file."""

    def write(content: object, protocol: int = 4) -> Path:
        path = tmp_path / "mesh_det.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write


@pytest.fixture
def write_motions(tmp_path) -> Callable[..., tuple[Path, dict]]:
    """Writes a motion folder of three sequences of 7, 1 and 12 frames; keyword arguments change its arrays and texts."""

    def write(kind: str = KIND, **changes) -> tuple[Path, dict]:
        rng = np.random.default_rng(0)
        arrays = {
            "pose": rng.normal(0, 0.1, (20, 72)).astype("<f4"), "trans": rng.normal(0, 0.01, (20, 3)).astype("<f4"),
            "length": np.array([7, 1, 12]), "fps": np.array([30.0, 60.0, 120.0]), "betas": np.zeros((3, 10), "<f4"),
        }  # fmt: skip
        texts = {name: [f"{name} {number}" for number in range(3)] for name in TEXTS}
        columns = {
            name: Column(np.dtype(dtype), row) for name, (dtype, row) in (FRAME_ARRAYS | SEQUENCE_ARRAYS).items()
        }
        columns |= dict.fromkeys(TEXTS, TEXT)
        provenance = {"body_model": "SMPL neutral"}
        with writing_folder(tmp_path / "motions", kind, columns, provenance=provenance) as writer:
            writer.append({name: changes.get(name, values) for name, values in arrays.items()})
            for name, values in texts.items():
                writer.append_text(name, changes.get(name, values))
        return tmp_path / "motions", arrays | changes

    return write
