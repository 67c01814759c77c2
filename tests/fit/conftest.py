"""People who walk before a camera, an estimator's bodies that err by some degrees, and what a detector sees."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.demo.splits import StandIn, axis_angles
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.geometry.translation import project, solve_translation
from kinemesh.metrics import pa_mpjpe_mm
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.motion import make_motion
from kinemesh.motion.signals import smooth_noise
from kinemesh.structures import Track, VideoCamera

CAMERA = VideoCamera(1400.0, (640.0, 360.0), (1280, 720))
FPS = 30.0
_TURNED = [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 14, 16, 17, 18, 19]


class Clip(NamedTuple):
    """One person, F frames: what is true, what was estimated and what was detected."""

    track: Track  # estimated
    keypoints_px: np.ndarray  # (F, K, 3)
    true_poses: np.ndarray  # (F, 72)
    true_betas: np.ndarray  # (10,)

    def pa_mm(self, kinematics: JointKinematics, track: Track) -> np.ndarray:
        """(F,) joint error of a track's bodies after alignment."""
        pred, target = (
            _joints_mm(kinematics, *body) for body in ((track.poses, track.betas), (self.true_poses, self.true_betas))
        )
        return pa_mpjpe_mm(pred, target).numpy()


def _joints_mm(kinematics: JointKinematics, poses: np.ndarray, betas: np.ndarray) -> torch.Tensor:
    return kinematics(params_from_axis_angle(torch.from_numpy(poses).float(), torch.from_numpy(betas).float()))


@pytest.fixture(scope="session")
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def body(stand_in) -> BodyPoints:
    return BodyPoints(stand_in.assets)


@pytest.fixture(scope="session")
def make_clip(stand_in):
    """`make_clip(frames, kind, degrees, noise_px, seed)`."""

    def make(frames=60, kind="walk", degrees=10.0, noise_px=3.0, seed=0) -> Clip:
        rng = np.random.default_rng(seed)
        betas = rng.standard_normal((1, BETA_COUNT))
        rest = stand_in.shaped_rest_joints_m(betas)
        motion = make_motion(rng, [kind], frames, FPS, rest)
        rotations = motion.rotations.copy()
        turn = rotation_matrices(np.array([np.pi + 0.1, 0.0, 0.0])) @ rotation_matrices(np.array([0.0, 0.7, 0.0]))
        rotations[:, :, 0] = turn @ rotations[:, :, 0]
        joints = stand_in.regressed_joints_m(rotations, betas)[0]
        trans = np.array([0.3, 0.1, 6.0]) + 0.3 * smooth_noise(rng, (1, frames, 3), FPS, 0.3)[0]
        points = project(joints + trans[:, None], CAMERA.focal_px, CAMERA.centre_px)
        points = points + noise_px * rng.standard_normal((frames, 17, 2))
        keypoints = np.concatenate((points, rng.uniform(0.8, 1.0, (frames, 17, 1))), axis=2).astype(np.float32)
        errors = np.zeros((1, frames, SMPL_JOINT_COUNT, 3))
        drift = smooth_noise(rng, (1, frames, len(_TURNED) * 3), FPS, 1.0).reshape(1, frames, -1, 3)
        errors[:, :, _TURNED] = np.radians(degrees) * (0.7 * rng.standard_normal((1, 1, len(_TURNED), 3)) + 0.7 * drift)
        poses = axis_angles(rotation_matrices(errors) @ rotations)[0].astype(np.float32)
        guess = (0.6 * betas[0] + 0.3 * rng.standard_normal(BETA_COUNT)).astype(np.float32)
        start = _joints_mm(JointKinematics(stand_in.assets), poses, guess).double().numpy() / 1000
        place = solve_translation(start, keypoints, CAMERA, FPS)[1].astype(np.float32)
        track = Track("0", np.arange(frames), poses, guess, place, keypoints[..., 2].mean(1), np.zeros(frames, bool))
        return Clip(track, keypoints, axis_angles(rotations)[0].astype(np.float32), betas[0].astype(np.float32))

    return make
