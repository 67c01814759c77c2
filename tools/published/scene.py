"""Somebody whose body, camera and joints are known, of whom files are written."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.keypoints.formats import FORMATS
from kinemesh.motion.motion import make_motion
from kinemesh.prepare.motions.sequences import Bodies

FRAME_COUNT, FPS = 8, 30.0
SIZE = (1920, 1080)
K = np.array([[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]])
BETAS = np.array([0.8, -1.2, 0.4, 0.5, -0.3, 0.2, 1.1, -0.6, 0.1, 0.7])
# H36M joints that detectors have themselves; the others are middles of these.
NAMED = [joint for joint in range(17) if joint not in (0, 7, 8)]


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
    rest_pelvis_m: np.ndarray  # (3,)

    def keypoints(self, order: str) -> np.ndarray:
        """(F, joints, 3) of a format that holds every H36M joint that it can hold."""
        row = FORMATS[order]
        points = np.zeros((len(self.px), row.joint_counts[0], 3))
        for joint, sources in enumerate(row.sources):
            for place in sources if len(sources) == 1 or joint == 10 else ():
                points[:, place, :2], points[:, place, 2] = self.px[:, joint], 0.9
        return points

    @property
    def world_joints_m(self) -> np.ndarray:
        """(F, 17, 3)."""
        turns, shifts = self.camera[:, :3, :3], self.camera[:, :3, 3]
        return np.einsum("fji,fkj->fki", turns, self.joints_m - shifts[:, None])

    @property
    def smplx_trans(self) -> np.ndarray:
        """(F, 3) of SMPL-X, which turns about another pelvis: here 30 cm higher up than this body's."""
        return self.trans + self.rest_pelvis_m - [0, 0.3, 0.02]


def make_scene(
    bodies: Bodies, gender: str = "neutral", seed: int = 1, *, stands: bool = False, is_mean: bool = False
) -> Scene:
    """A scene of somebody of a gender; `stands`: the camera does; `is_mean`: the mean shape."""
    body = PosedBody(bodies.assets_of(gender), dtype=torch.float64)
    frames, betas = FRAME_COUNT, BETAS * (not is_mean)
    rest = bodies.of(gender).rest_joints_m(betas)
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
    return Scene(poses, trans, betas, camera, joints, px, smpl_px, root, pelvis[:, 0] - rest[0], rest[0])
