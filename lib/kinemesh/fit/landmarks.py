"""Points of the body that keypoints show, and how they move when a joint turns or the shape changes.

With the constants of `kinemesh.body.kinematics.fold_body` a point is X = root(x) + sum_b G_b N_b x over bones b. Turning joint k by a
small omega (camera axes) turns every bone at or below k, so X moves by omega x s_k with s_k the sum of G_b N_b x over
these bones: the folding holds the offsets between joints, and no joint's place is needed.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import chain_along_tree, fold_body, tree_levels
from kinemesh.body.skeleton import BETA_COUNT, H36M_JOINT_NAMES, SMPL_JOINT_NAMES, VERTEX_COUNT, VERTEX_LANDMARKS

# Joints whose turning the 17 keypoints show. The others' stays as it was.
_TURNED = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "spine3", "neck",
    "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
)  # fmt: skip
_SHOWS = {"toe": "ankle", "heel": "ankle"}
_FRAMES_AT_ONCE = 4096


class MovingPoints(NamedTuple):
    """K points of N bodies, of which A joints may turn; metres, the body's own origin."""

    places: Tensor  # (N, K, 3)
    arms: Tensor  # (N, A, 3, K): s_k of each point
    by_shape: Tensor | None  # (N, 10, 3, K) movement a unit of beta; None: the shape is known
    frames: Tensor  # (N, A, 3, 3) axes of each joint's parent; of the root the camera's

    def first(self, count: int) -> "MovingPoints":
        """The first `count` points alone."""
        by_shape = None if self.by_shape is None else self.by_shape[..., :count]
        return self._replace(places=self.places[:, :count], arms=self.arms[..., :count], by_shape=by_shape)

    def by_turning(self, first: int = 0) -> Tensor:
        """(N, K - first, 3, 3 A): how points from number `first` on move a unit of turning, in the axes of `frames`."""
        arms = self.arms[..., first:].permute(0, 3, 1, 2)  # (N, K, A, 3)
        axes = self.frames.mT[:, None].expand(-1, arms.shape[1], -1, -1, -1)  # rows are the axes
        return torch.linalg.cross(axes, arms[..., None, :]).flatten(2, 3).mT


def landmark_regressor(assets: BodyAssets, names: tuple[str, ...]) -> np.ndarray:
    """(K, V): rows of the H36M joints and of vertices, by name; "a+b" is the middle of both."""
    rows = np.zeros((len(names), VERTEX_COUNT))
    for row, name in zip(rows, names, strict=True):
        parts = name.split("+")
        for part in parts:
            if part in VERTEX_LANDMARKS:
                row[VERTEX_LANDMARKS[part]] += 1 / len(parts)
            else:
                row += assets.J_regressor_h36m[H36M_JOINT_NAMES.index(part)] / len(parts)
    return rows


def turned_joints(names: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of the SMPL joints whose turning landmarks of these names show."""
    shown = {f"{name.split('_')[0]}_{joint}" for name in names for part, joint in _SHOWS.items() if part in name}
    return tuple(number for number, name in enumerate(SMPL_JOINT_NAMES) if name in _TURNED or name in shown)


class BodyPoints(nn.Module):
    """Rotations and betas -> `MovingPoints`. `dtype` is float32, or float64 for checks."""

    def __init__(
        self,
        assets: BodyAssets,
        names: tuple[str, ...] = H36M_JOINT_NAMES,
        dtype: torch.dtype = torch.float32,
        joints: tuple[int, ...] | None = None,
    ):
        """`joints`: the SMPL joints that may turn of a body whose shape is known; None: all that these names show."""
        super().__init__()
        self.is_shape_known = joints is not None
        self.names, self.joints = names, turned_joints(names) if joints is None else joints
        folded, root = fold_body(assets, landmark_regressor(assets, names))
        self.levels = tree_levels(assets.parents, needed=np.abs(folded).max(axis=(0, 2, 3)) > 0)
        order = [joint for joints, _ in self.levels for joint in joints]
        matrix = np.concatenate((folded[:, order].transpose(3, 1, 2, 0), root.transpose(2, 1, 0)[:, None]), axis=1)
        is_below = np.zeros((len(self.joints) + 1, len(order), 3))
        is_below[-1] = 1.0
        for place, bone in enumerate(order):
            while bone >= 0:
                if bone in self.joints:
                    is_below[self.joints.index(bone), place] = 1.0
                bone = assets.parents[bone]
        rest = assets.J_regressor @ assets.v_template
        spread = np.einsum("jv,vdk->jdk", assets.J_regressor, assets.shapedirs)
        centred = rest - rest.mean(axis=0)
        # By how much of itself a unit of each beta makes the skeleton larger.
        growth = np.einsum("jd,jdk->k", centred, spread) / (centred**2).sum()
        for name, array in (
            ("matrix", matrix.reshape(len(matrix), -1)),  # (218, (bones + 1) * 3 * K)
            ("is_below", is_below.reshape(len(is_below), -1)),  # (A + 1, 3 * bones); the last says all
            ("identity", np.eye(3)),
            ("growth", growth / (growth @ growth)),  # (10,) betas that make it larger by a unit of itself
            ("proportions", _orthogonal_to(growth)),  # (10, 9) directions of betas that keep its size
        ):
            self.register_buffer(name, torch.tensor(array, dtype=dtype), persistent=False)
        # Place of each turned joint's parent among the bones; the camera's axes come last.
        self.parent_places = [order.index(assets.parents[joint]) if joint else len(order) for joint in self.joints]

    def forward(self, rotations: Tensor, betas: Tensor) -> MovingPoints:
        """Rotations (N, J, 3, 3) and betas (N, 10)."""
        rest, bones, axes = self._parts(rotations, betas)
        # Of each joint the bones below it, and of the last all: one product of each frame gives all sums.
        some = (axes[:, None] * self.is_below[:, None]).flatten(1, 2) @ rest[:, :-3]
        places, arms = some[:, -3:] + rest[:, -3:], some[:, :-3].unflatten(1, (-1, 3))
        frames = torch.cat((bones, self.identity.expand(len(bones), 1, 3, 3)), dim=1)[:, self.parent_places]
        if self.is_shape_known:
            return MovingPoints(places.mT, arms, None, frames)
        by_shape = self.matrix[1 : 1 + BETA_COUNT].view(BETA_COUNT, -1, 3, len(self.names))
        # All bones at once: (N, 3, 3 * bones) @ (3 * bones, 10 * K).
        lying = axes @ by_shape[:, :-1].permute(1, 2, 0, 3).flatten(2).flatten(0, 1)
        by_shape = lying.unflatten(2, (BETA_COUNT, -1)).transpose(1, 2) + by_shape[:, -1]
        return MovingPoints(places.mT, arms, by_shape, frames)

    def places(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(N, K, 3) alone, of any number of frames."""
        places = []
        for some in zip(rotations.split(_FRAMES_AT_ONCE), betas.split(_FRAMES_AT_ONCE), strict=True):
            rest, _, axes = self._parts(*some)
            places.append(torch.baddbmm(rest[:, -3:], axes, rest[:, :-3]).mT)
        return torch.cat(places)

    def _parts(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At rest (N, 3 (bones + 1), K), the bones' axes (N, bones, 3, 3), and the same side by side (N, 3, 3 bones)."""
        pose_feature = (rotations[:, 1:] - self.identity).flatten(1)
        feature = torch.cat((torch.ones_like(betas[:, :1]), betas, pose_feature), dim=1)
        rest = (feature @ self.matrix).view(len(betas), -1, len(self.names))
        bones = chain_along_tree(rotations, self.levels)
        return rest, bones, bones.transpose(1, 2).flatten(2)


def _orthogonal_to(direction: np.ndarray) -> np.ndarray:
    """(n, n - 1) orthonormal columns that span what is orthogonal to `direction` (n,)."""
    return np.linalg.svd(direction[None])[2][1:].T
