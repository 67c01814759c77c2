"""Somebody whose body and camera are known, for files of each published layout to be written of."""

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.data.folders import read_content
from kinemesh.data.sources import Dataset, load_dataset
from kinemesh.demo.body import write_body_files
from kinemesh.keypoints.formats import FORMATS
from kinemesh.motion.motion import make_motion
from kinemesh.prepare.datasets import prepare as prepare_module
from kinemesh.prepare.datasets.prepare import Request, prepare_dataset
from kinemesh.prepare.motions.sequences import Bodies
from tests.prepare.conftest import FEMALE_SHAPE, FEMALE_SHIFT_M

FRAME_COUNT, FPS = 8, 30.0
SIZE = (1920, 1080)
K = np.array([[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]])
BETAS = np.array([0.8, -1.2, 0.4, 0.5, -0.3, 0.2, 1.1, -0.6, 0.1, 0.7])


class Scene(NamedTuple):
    """F frames of somebody in a world with y up before a camera that moves; SMPL's parameters and what is seen."""

    poses: np.ndarray  # (F, 72) world
    trans: np.ndarray  # (F, 3)
    betas: np.ndarray  # (10,)
    camera: np.ndarray  # (F, 4, 4) world to camera
    joints_m: np.ndarray  # (F, 17, 3) H36M joints in camera axes
    px: np.ndarray  # (F, 17, 2)
    smpl_px: np.ndarray  # (F, 24, 2)
    root: np.ndarray  # (F, 72) poses whose root is in camera axes
    camera_trans: np.ndarray  # (F, 3) to go with them

    def keypoints(self, order: str) -> np.ndarray:
        """(F, joints, 3) of a format that holds every H36M joint that it can hold."""
        row = FORMATS[order]
        points = np.zeros((len(self.px), row.joint_counts[0], 3))
        for joint, sources in enumerate(row.sources):
            for place in sources if len(sources) == 1 or joint == 10 else ():
                points[:, place, :2], points[:, place, 2] = self.px[:, joint], 0.9
        return points


# H36M joints that detectors have themselves; the others are middles of these.
NAMED = [joint for joint in range(17) if joint not in (0, 7, 8)]


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
def make_scene(gendered) -> Callable[..., Scene]:
    """Builds a scene of a gender: `make_scene("female")`; `stands`: the camera does; `is_mean`: the mean shape."""

    @cache
    def make(gender: str = "neutral", seed: int = 1, *, stands: bool = False, is_mean: bool = False) -> Scene:
        body = PosedBody(gendered.assets_of(gender), dtype=torch.float64)
        frames, betas = FRAME_COUNT, BETAS * (not is_mean)
        rest = gendered.of(gender).rest_joints_m(betas)
        motion = make_motion(np.random.default_rng(seed), ["dance"], frames, FPS, rest[None])
        poses = Rotation.from_matrix(motion.rotations[0].reshape(-1, 3, 3)).as_rotvec().reshape(frames, 72)
        trans = motion.root_m[0] - motion.root_m[0].mean(axis=0) + [0.3, 0.9, -0.2]
        angle = np.linspace(0.3, 0.3 if stands else 0.5, frames)
        turns = Rotation.from_euler("yx", np.stack([angle, np.full(frames, np.pi + 0.1)], axis=1)).as_matrix()
        camera = np.tile(np.eye(4), (frames, 1, 1))
        camera[:, :3, :3] = turns.transpose(0, 2, 1) if stands else turns
        camera[:, :3, 3] = np.array([0.1, 0.8, 4.5]) + (0 if stands else np.linspace(0, 0.2, frames)[:, None])

        def seen(points_mm):
            joints = points_mm.numpy() / 1000 + trans[:, None]
            joints = np.einsum("fij,fkj->fki", camera[:, :3, :3], joints) + camera[:, None, :3, 3]
            return joints, joints[..., :2] / joints[..., 2:] * K[0, 0] + K[:2, 2]

        mesh = body(params_from_axis_angle(torch.from_numpy(poses), torch.from_numpy(betas)))
        joints, px = seen(mesh.joints_mm)
        pelvis, smpl_px = seen(mesh.smpl_joints_mm)
        root = poses.copy()
        root[:, :3] = (Rotation.from_matrix(camera[:, :3, :3]) * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
        return Scene(poses, trans, betas, camera, joints, px, smpl_px, root, pelvis[:, 0] - rest[0])

    return make


@pytest.fixture
def prepare(body_root, gendered, tmp_path, monkeypatch) -> Callable[..., Any]:
    """Prepares tmp_path/raw to tmp_path/out: `prepare("3dpw", betas="ignore")` gives the summary."""
    monkeypatch.setattr(prepare_module, "Bodies", lambda *_, **__: gendered)

    def run(source: str, out: str = "out", **choices: Any):
        choices = {"betas": "refit", "data_root": body_root} | choices
        return prepare_dataset(Request(source, tmp_path / "raw", tmp_path / out, **choices))

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
        joints = (
            body(params_from_axis_angle(*map(torch.from_numpy, (poses, betas)))).joints_mm.numpy() / 1000
            + trans[:, None]
        )
        return np.einsum("fij,fkj->fki", K, joints)[..., :2] / joints[..., 2:]

    return show
