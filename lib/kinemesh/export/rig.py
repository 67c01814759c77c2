"""A track as animation programs hold it: a mesh at rest, joints, strongest weights, turning bones.

Pose blend shapes have no place in a skeleton and are left out; shape is baked into the mesh at rest.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import joint_positions
from kinemesh.body.params import params_from_axis_angle, rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M, SMPL_JOINT_COUNT
from kinemesh.body.smpl import PosedBody
from kinemesh.geometry.rotation import axis_angle_to_quaternion
from kinemesh.structures import BodyParams, MeshTrack, Track


class Skinning(NamedTuple):
    """What moves each vertex."""

    joints: np.ndarray  # (V, n) uint8, the strongest first; 0 where the weight is 0
    weights: np.ndarray  # (V, n) float32, sum 1


class Rig:
    """A track's body at rest and how its bones turn, float64, each part computed once, when it is first asked for.

    In the track's axes, whatever these are (`kinemesh.export.scene.placed_in`).
    """

    def __init__(self, track: Track, assets: BodyAssets):
        self.track, self.assets = track, assets

    @cached_property
    def rest_vertices(self) -> np.ndarray:
        """(V, 3) m, the body model's axes and origin."""
        return self.assets.v_template + self.assets.shapedirs @ self.track.betas.astype(np.float64)

    @cached_property
    def rest_joints(self) -> np.ndarray:
        """(J, 3) m, the body model's axes and origin."""
        return self.assets.J_regressor @ self.rest_vertices

    @cached_property
    def offsets(self) -> np.ndarray:
        """(J, 3) m from each joint's parent to it at rest; the root's is its place."""
        offsets = self.rest_joints.copy()
        offsets[1:] -= self.rest_joints[list(self.assets.parents[1:])]
        return offsets

    @property
    def rotations(self) -> torch.Tensor:
        """Every joint's own rotation (F, J, 3, 3)."""
        return rotations_from_axis_angle(torch.from_numpy(self.track.poses).double())

    @cached_property
    def quaternions(self) -> np.ndarray:
        """The same as quaternions x, y, z, w (F, J, 4); see `unit_quaternions`."""
        return unit_quaternions(self.track.poses)

    @cached_property
    def root_positions(self) -> np.ndarray:
        """Where the pelvis joint is in each frame, (F, 3) m: the body turns about it."""
        return self.track.trans_m.astype(np.float64) + self.rest_joints[0]

    @cached_property
    def joint_positions(self) -> np.ndarray:
        """Where the 24 joints are in each frame, (F, J, 3) m."""
        return joint_positions(self.rotations.numpy(), self.rest_joints)[0] + self.track.trans_m[:, None]


def params_of_rows(track: Track, rows: slice | np.ndarray, device: torch.device) -> BodyParams:
    """These rows of a track as rotations (n, J, 3, 3) and betas (n, 10) on the device."""
    return params_from_axis_angle(*(torch.from_numpy(part).to(device) for part in (track.poses[rows], track.betas)))


@torch.inference_mode()
def placed_vertices_m(track: Track | MeshTrack, rows: slice | np.ndarray, body: PosedBody) -> np.ndarray:
    """(n, V, 3) float32 m of these rows in the track's axes."""
    if isinstance(track, MeshTrack):
        vertices_mm = mean_vertices_mm(track, rows, body)
    else:
        vertices_mm = body(params_of_rows(track, rows, body.identity.device)).vertices_mm.cpu().numpy()
    return vertices_mm / MM_PER_M + track.trans_m[rows, None]


@torch.inference_mode()
def mean_vertices_mm(track: MeshTrack, rows: slice | np.ndarray, body: PosedBody) -> np.ndarray:
    """(n, V, 3) float32 of these rows, in the body model's axes and origin: the released script's vertices."""
    device = body.identity.device
    first, *others = [
        body(BodyParams(*(values[rows].to(device) for values in params))).vertices_mm for params in track.bodies
    ]
    return (sum(others, start=first) / len(track.bodies)).cpu().numpy()


def strongest_weights(skinning_weights: np.ndarray) -> Skinning:
    """The four largest weights of each vertex of (V, J), scaled to sum 1: as many as glTF readers must support.

    SMPL has no more than four a vertex, so for it nothing is lost.
    """
    joints = np.argsort(-skinning_weights, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(skinning_weights, joints, axis=1).clip(min=0)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return Skinning(np.where(weights > 0, joints, 0).astype(np.uint8), weights)


def unit_quaternions(poses: np.ndarray) -> np.ndarray:
    """Axis-angle (F, 72) -> quaternions x, y, z, w (F, J, 4) float64, each the short way from the frame before's."""
    vectors = torch.from_numpy(poses).double().unflatten(-1, (SMPL_JOINT_COUNT, 3))
    return short_way(axis_angle_to_quaternion(vectors).numpy())


def short_way(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions (F, ..., 4), which are changed and given back.

    Of the two that stand for a rotation, the one nearer to the frame before's is taken, so that a reader that
    interpolates them component by component takes the short way.
    """
    turns_back = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0
    quaternions[1:][np.cumsum(turns_back, axis=0) % 2 == 1] *= -1
    return quaternions


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
