"""Somebody whose body and camera are known, for files of each published layout to be written of."""

import pickle
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.data.folders import read_content
from kinemesh.data.sources import Dataset, load_dataset
from kinemesh.demo.body import write_body_files
from kinemesh.prepare.datasets.prepare import Request, prepare_dataset
from kinemesh.prepare.motions.sequences import Bodies
from tests.prepare.conftest import FEMALE_SHAPE, FEMALE_SHIFT_M
from tools.published import scene
from tools.published.scene import FPS


@pytest.fixture(scope="session")
def body_root(tmp_path_factory) -> Path:
    """The stand-in as the neutral body, another shape of it as the female one, and a deformed one as the male."""
    folder = tmp_path_factory.mktemp("genders")
    write_body_files(folder)
    content = pickle.loads((folder / "SMPL_NEUTRAL.pkl").read_bytes())
    female = content | {"v_template": content["v_template"] + content["shapedirs"] @ FEMALE_SHAPE + FEMALE_SHIFT_M}
    male = content | {"v_template": content["v_template"] * [1.04, 0.98, 1.06]}
    for name, body in (("FEMALE", female), ("MALE", male)):
        (folder / f"SMPL_{name}.pkl").write_bytes(pickle.dumps(body, protocol=2))
    return folder


@pytest.fixture(scope="session")
def gendered(body_root) -> Bodies:
    """The three, read once."""
    return Bodies(body_root, instead="--betas ignore")


@pytest.fixture(scope="session")
def make_scene(gendered) -> Callable[..., scene.Scene]:
    """Builds a scene of a gender: `make_scene("female")`; `stands`: the camera does; `is_mean`: the mean shape."""

    return cache(partial(scene.make_scene, gendered))


@pytest.fixture
def prepare(body_root, gendered, tmp_path) -> Callable[..., Any]:
    """Prepares tmp_path/raw to tmp_path/out: `prepare("3dpw", betas="ignore")` gives the summary."""

    def run(source: str, out: str = "out", **choices: Any):
        choices = {"betas": "refit", "data_root": body_root} | choices
        bodies = gendered if choices["data_root"] == body_root else None
        return prepare_dataset(Request(source, tmp_path / "raw", tmp_path / out, **choices), bodies)

    return run


@pytest.fixture
def loaded(tmp_path) -> Callable[..., Dataset]:
    """What was prepared, as training loads it."""

    def load(name: str = "own", out: str = "out", fps: float | None = FPS) -> Dataset:
        return load_dataset(name, tmp_path / out, fps=fps)

    return load


@pytest.fixture
def shown_px(gendered, tmp_path) -> Callable[..., np.ndarray]:
    """(F, 17, 2) where the bodies of a prepared folder's split are seen by its own cameras, which training does not ask."""
    body = PosedBody(gendered.assets, dtype=torch.float64)

    def show(split: str = "train", out: str = "out") -> np.ndarray:
        held = read_content(tmp_path / out, "what was prepared")[0][split]
        poses, betas, trans, K = (np.array(held[key], float) for key in ("smpl_pose", "smpl_shape", "trans", "K"))
        posed = body(params_from_axis_angle(*map(torch.from_numpy, (poses, betas))))
        joints = posed.joints_mm.numpy() / 1000 + trans[:, None]
        return np.einsum("fij,fkj->fki", K, joints)[..., :2] / joints[..., 2:]

    return show
