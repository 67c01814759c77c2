"""A track as animation programs hold it: a mesh at rest, joints, strongest weights, turning bones, y up.

The y-up axes are the camera's turned by half a turn about x: x right, y up, z towards the camera, the camera at the
origin. Pose blend shapes have no place in a skeleton and are left out; shape is baked into the mesh at rest.
"""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.geometry.rotation import axis_angle_to_matrix, axis_angle_to_quaternion
from kinemesh.structures import BodyParams, Track

# The same turn as a quaternion x, y, z, w and as factors of x, y, z.
Y_UP_QUATERNION = (1.0, 0.0, 0.0, 0.0)
Y_UP_SIGNS = np.array([1.0, -1.0, -1.0])


class RestBody(NamedTuple):
    """One person's body at rest, the body model's axes and origin, metres, float64."""

    vertices: np.ndarray  # (V, 3)
    joints: np.ndarray  # (J, 3)


class Skinning(NamedTuple):
    """What moves each vertex."""

    joints: np.ndarray  # (V, n) uint8, the strongest first; 0 where the weight is 0
    weights: np.ndarray  # (V, n) float32, sum 1


def rest_body(assets: BodyAssets, betas: np.ndarray) -> RestBody:
    """The body of shape betas (10,)."""
    vertices = assets.v_template + assets.shapedirs @ np.asarray(betas, dtype=np.float64)
    return RestBody(vertices, assets.J_regressor @ vertices)


def strongest_weights(skinning_weights: np.ndarray, count: int = 4) -> Skinning:
    """The `count` largest weights of each vertex of (V, J), scaled to sum 1: as many as glTF readers must support.

    SMPL has no more than four a vertex, so for it nothing is lost.
    """
    joints = np.argsort(-skinning_weights, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(skinning_weights, joints, axis=1).clip(min=0)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return Skinning(np.where(weights > 0, joints, 0).astype(np.uint8), weights)


def unit_quaternions(poses: np.ndarray) -> np.ndarray:
    """Axis-angle (F, 72) -> quaternions x, y, z, w (F, J, 4) float64.

    Of the two that stand for a rotation, the one nearer to the frame before's is taken, so that a reader that
    interpolates them component by component takes the short way.
    """
    quaternions = axis_angle_to_quaternion(_joint_vectors(poses)).numpy()
    turns_back = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0
    quaternions[1:][np.cumsum(turns_back, axis=0) % 2 == 1] *= -1
    return quaternions


def joint_rotations(track: Track) -> torch.Tensor:
    """Every joint's own rotation (F, J, 3, 3) float64."""
    return axis_angle_to_matrix(_joint_vectors(track.poses))


def _joint_vectors(poses: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(poses, dtype=np.float64)).unflatten(-1, (SMPL_JOINT_COUNT, 3))


def body_params(track: Track, rows: slice | np.ndarray, device: torch.device) -> BodyParams:
    """These rows of a track as rotations (n, J, 3, 3) and betas (n, 10) on the device."""
    poses = torch.from_numpy(track.poses[rows]).to(device).unflatten(-1, (SMPL_JOINT_COUNT, 3))
    betas = torch.from_numpy(track.betas).to(device)
    return BodyParams(axis_angle_to_matrix(poses), betas.expand(len(poses), -1))


def root_positions(track: Track, rest: RestBody) -> np.ndarray:
    """Where the pelvis joint is in each frame, (F, 3) m in camera axes: the body turns about it."""
    return track.trans_m.astype(np.float64) + rest.joints[0]


def joint_positions(track: Track, rest: RestBody, parents: tuple[int, ...]) -> np.ndarray:
    """Where the 24 joints are in each frame, (F, J, 3) m in camera axes."""
    rotations = joint_rotations(track).numpy()
    turned, joints = np.empty_like(rotations), np.empty(rotations.shape[:3])
    turned[:, 0], joints[:, 0] = rotations[:, 0], root_positions(track, rest)
    for joint in range(1, SMPL_JOINT_COUNT):
        above = parents[joint]
        turned[:, joint] = turned[:, above] @ rotations[:, joint]
        joints[:, joint] = joints[:, above] + turned[:, above] @ (rest.joints[joint] - rest.joints[above])
    return joints


def held_rows(frame_ids: np.ndarray, frame_count: int) -> np.ndarray:
    """For each frame of the video (frame_count,) the track's row to show: its own, or the last one before it.

    Before the first row the first is shown.
    """
    return np.maximum(np.searchsorted(frame_ids, np.arange(frame_count), side="right") - 1, 0)


def keyed_rows(frame_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) and their frames (n,), in the order of time, between which a reader may interpolate.

    Each gap gets a second key of the row before it, one frame before the gap ends: the pose is held, not stretched.
    """
    before_gap = np.flatnonzero(np.diff(frame_ids) > 1)
    rows = np.insert(np.arange(len(frame_ids)), before_gap + 1, before_gap)
    frames = np.insert(frame_ids, before_gap + 1, frame_ids[before_gap + 1] - 1)
    return rows, frames
