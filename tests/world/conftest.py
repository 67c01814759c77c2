"""Made-up people in a world that is known, and the camera that looks at them."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from kinemesh.demo.splits import StandIn, axis_angles
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.geometry.camera import project
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.motion import make_motion
from kinemesh.structures import Track, VideoCamera
from kinemesh.world.figures import POINT_NAMES, Figure, clearances_m

FPS = 30.0
CAMERA = VideoCamera(1400.0, (960.0, 540.0), (1920, 1080))
_HEIGHT_M, _DISTANCE_M = 1.7, 5.0


class Scene(NamedTuple):
    """P people before a camera that stands."""

    tracks: list[Track]  # true bodies in camera axes
    figures: list[Figure]
    keypoints_px: list[np.ndarray]  # (F, K, 3) of each, without an error
    points_m: np.ndarray  # (P, F, points, 3) `POINT_NAMES` in the world, y up, floor at 0
    turn: np.ndarray  # (3, 3) world to camera
    clearances_m: np.ndarray

    @property
    def up(self) -> np.ndarray:
        return self.turn[:, 1]


@pytest.fixture(scope="session")
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def resting(stand_in) -> BodyPoints:
    return BodyPoints(stand_in.assets, POINT_NAMES)


@pytest.fixture(scope="session")
def make_scene(stand_in, resting):
    """`make_scene(kinds, frames, pitch_deg, seed, rise)`; `rise` (F,) lifts everybody."""

    def make(kinds=("walk", "stand_talk"), frames=90, pitch_deg=20.0, seed=0, rise=0.0) -> Scene:
        rng = np.random.default_rng(seed)
        people = len(kinds)
        betas = np.clip(rng.standard_normal((people, 10)), -2, 2)
        rest = stand_in.shaped_rest_joints_m(betas)
        motion = make_motion(rng, list(kinds), frames, FPS, rest)
        root = motion.root_m - motion.root_m[:, frames // 2, None] * (1, 0, 1)
        root[..., 0] += 1.6 * np.arange(people)[:, None]
        root[..., 1] += rise
        turn = rotation_matrices(np.radians([0.0, 0.0, 2.0])) @ rotation_matrices(
            np.radians([180 + pitch_deg, 0.0, 0.0])
        )
        eye = np.array([0.0, 0.9, 0.0]) - turn.T @ (0.0, 0.0, _DISTANCE_M)
        rotations = motion.rotations.copy()
        rotations[:, :, 0] = turn @ rotations[:, :, 0]
        pelvis = rest[:, None, 0]
        trans = (root + pelvis - eye) @ turn.T - pelvis
        joints = stand_in.regressed_joints_m(rotations, betas) + trans[:, :, None]
        seen = project(joints, CAMERA.focal_px, CAMERA.centre_px)
        keypoints = np.concatenate((seen, np.ones((*seen.shape[:3], 1))), axis=-1).astype(np.float32)
        shape = torch.from_numpy(betas).float()
        points = [
            resting.places(torch.from_numpy(each).float(), shape[person].expand(frames, -1)).double().numpy()
            for person, each in enumerate(rotations)
        ]
        points = np.stack(points) + trans[:, :, None]
        poses, still = axis_angles(rotations).astype(np.float32), np.zeros(frames, dtype=bool)
        tracks = [
            Track(str(n), np.arange(frames), poses[n], betas[n].astype(np.float32), trans[n].astype(np.float32),
                  np.ones(frames, np.float32), still)
            for n in range(people)
        ]  # fmt: skip
        figures = [Figure(np.arange(frames), each, np.zeros((frames, 3)), ~still) for each in points]
        world = points @ turn + eye
        return Scene(tracks, figures, list(keypoints), world, turn, clearances_m(stand_in.assets))

    return make


@pytest.fixture(scope="session")
def scene(make_scene) -> Scene:
    return make_scene()
