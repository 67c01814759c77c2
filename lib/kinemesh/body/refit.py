"""Fits a body model to vertices of another one of the same mesh, such as the neutral body to a male one's.

Least squares over all vertices: they are linear in the shape while bones stand, and move as those of rigid parts do where
bones turn a little. A step solves both together (Gauss and Newton's, with one shape for all frames taken out by the Schur
complement); what pose blend shapes add is taken from the step before. The start is the other body's own pose, or how
each bone's own vertices have turned. Where the vertices are those of a body that the model can make, that body is where
the steps end.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import chain_along_tree, tree_levels
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT, SMPL_PARENTS
from kinemesh.geometry.alignment import nearest_rotation, relative_to_mean
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.machine.progress import progress

_SHAPE_STEPS, _TURN_STEPS = 6, 4
_SHAPED_FRAMES = 24  # evenly spaced, that share one shape
_FRAMES_AT_ONCE = 32
# Of the mean diagonal: how a bone turns about itself where hardly a vertex tells.
_RIDGE = 1e-6
_LEVELS = tree_levels(SMPL_PARENTS, needed=np.ones(SMPL_JOINT_COUNT, dtype=bool))
_ORDER = [joint for joints, _ in _LEVELS for joint in joints]
_TURNS = 3 * SMPL_JOINT_COUNT


class BodyFit(NamedTuple):
    """F frames of one person."""

    rotations: Tensor  # (F, 24, 3, 3)
    betas: Tensor  # (10,)
    trans_m: Tensor  # (F, 3) added to the posed body
    error_m: Tensor  # (F,) mean distance of the vertices


class BodyFitter:
    """The model that is fitted, in float64."""

    stride = 8  # of the vertices that are looked at: 862 of them tell as much as 6890

    def __init__(self, assets: BodyAssets):
        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64)

        self._template, self._directions = (
            tensor(assets.v_template[:: self.stride]),
            tensor(assets.shapedirs[:: self.stride]),
        )
        self._pose_directions = tensor(assets.posedirs[:: self.stride]).flatten(0, 1)  # (V * 3, 207)
        self._weights = tensor(assets.skinning_weights[:: self.stride])  # (V, 24)
        self._joints = tensor(assets.J_regressor @ assets.v_template)  # (24, 3)
        self._joint_directions = tensor(np.einsum("jv,vdk->jdk", assets.J_regressor, assets.shapedirs))
        # Row k: the bones that bone k moves, itself included.
        self._below = torch.eye(SMPL_JOINT_COUNT, dtype=torch.float64)
        for joint in range(SMPL_JOINT_COUNT - 1, 0, -1):
            self._below[SMPL_PARENTS[joint]] += self._below[joint]

    def fit(self, vertices_m: Tensor, start: Tensor, start_betas: Tensor | None = None) -> BodyFit:
        """The body nearest to vertices (F, V, 3), each `stride`-th of one person's; rotations `start` (F, 24, 3, 3) are near by.

        `start_betas` (10,) default to the mean shape.
        """
        target, start = vertices_m.double(), start.double()
        betas = torch.zeros(BETA_COUNT, dtype=torch.float64) if start_betas is None else start_betas.double()
        few = torch.linspace(0, len(target) - 1, min(len(target), _SHAPED_FRAMES)).round().long()
        rotations = start[few]
        for _ in range(_SHAPE_STEPS):
            rotations, betas = self._step(target[few], rotations, betas, with_shape=True)
        parts = []
        starts = range(0, len(target), _FRAMES_AT_ONCE)
        for first in progress(
            starts, len(starts), f"fitting bodies to vertices, {_FRAMES_AT_ONCE} frames each", every=50
        ):
            chosen = slice(first, first + _FRAMES_AT_ONCE)
            rotations = start[chosen]
            for _ in range(_TURN_STEPS):
                rotations, _ = self._step(target[chosen], rotations, betas, with_shape=False)
            turned = _chained(rotations)
            rest = self._rest_vertices(rotations, betas)
            missing = target[chosen] - self._skinned(rest, turned, _shifts(turned, self._rest_joints(betas)))
            trans_m = missing.mean(dim=1)
            parts.append((rotations, trans_m, (missing - trans_m[:, None]).norm(dim=-1).mean(dim=1)))
        rotations, trans_m, error_m = (torch.cat(column) for column in zip(*parts, strict=True))
        return BodyFit(rotations, betas, trans_m, error_m)

    def near(self, vertices_m: Tensor) -> Tensor:
        """Rotations (F, 24, 3, 3) to start at, where nothing is known: each bone turned as its own vertices (F, V, 3) are."""
        target, weights = vertices_m.double(), self._weights.square().T
        share = weights / weights.sum(dim=1, keepdim=True)
        # Of each bone's vertices about their mean, by how much they are its own.
        product = torch.einsum("kv,fvi,vj->fkij", share, target, self._template)
        means = (share @ target)[..., None] * (share @ self._template)[:, None]
        turned = nearest_rotation(product - means)
        local = turned.clone()
        local[:, 1:] = turned[:, list(SMPL_PARENTS[1:])].mT @ turned[:, 1:]
        return local

    def _rest_joints(self, betas: Tensor) -> Tensor:
        return self._joints + self._joint_directions @ betas

    def _rest_vertices(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(F, V, 3) of the shape at rest, with what the pose adds to it."""
        feature = (rotations[:, 1:] - torch.eye(3, dtype=torch.float64)).flatten(1)
        blend = (feature @ self._pose_directions.T).unflatten(1, (-1, 3))
        return self._template + self._directions @ betas + blend

    def _skinned(self, rest: Tensor, turned: Tensor, shifts: Tensor) -> Tensor:
        """(F, V, 3) points at rest, (V, 3) or (F, V, 3), moved by bones that turn and shift them."""
        matrices = (self._weights @ turned.flatten(2)).unflatten(2, (3, 3))
        return (matrices @ rest[..., None])[..., 0] + self._weights @ shifts

    def _step(self, target: Tensor, rotations: Tensor, betas: Tensor, *, with_shape: bool) -> tuple[Tensor, Tensor]:
        """Rotations (F, 24, 3, 3) and betas (10,) after one step towards vertices (F, V, 3), wherever each frame stands."""
        joints, turned = self._rest_joints(betas), _chained(rotations)
        shifts = _shifts(turned, joints)
        rest = self._rest_vertices(rotations, betas)
        missing = relative_to_mean(target - self._skinned(rest, turned, shifts)).flatten(1)[..., None]
        slopes = self._turn_slopes(rest, joints, turned, shifts)  # (F, 72, V * 3)
        matrix, right = slopes @ slopes.mT, slopes @ missing
        ridge = _RIDGE * matrix.diagonal(dim1=1, dim2=2).mean(dim=1)
        matrix = matrix + ridge[:, None, None] * torch.eye(_TURNS, dtype=torch.float64)
        if not with_shape:
            return _turned(rotations, turned, torch.linalg.solve(matrix, right)), betas
        by_shape = [
            relative_to_mean(
                self._skinned(self._directions[..., n], turned, _shifts(turned, self._joint_directions[..., n]))
            )
            for n in range(BETA_COUNT)
        ]
        by_shape = torch.stack(by_shape, dim=1).flatten(2)  # (F, 10, V * 3)
        both = slopes @ by_shape.mT
        solved = torch.linalg.solve(matrix, torch.cat((both, right), dim=2))  # of the turns, by shape and alone
        square = (by_shape @ by_shape.mT - both.mT @ solved[..., :-1]).sum(dim=0)
        step = torch.linalg.solve(square, (by_shape @ missing - both.mT @ solved[..., -1:]).sum(dim=0))
        return _turned(rotations, turned, solved[..., -1:] - solved[..., :-1] @ step), betas + step[:, 0]

    def _turn_slopes(self, rest: Tensor, joints: Tensor, turned: Tensor, shifts: Tensor) -> Tensor:
        """(F, 72, V * 3) how vertices move as each joint, with all that it carries, turns about the world's axes."""
        # What each bone makes of each vertex, by its weight; then what all that a joint carries do, about that joint.
        parts = torch.einsum("fkij,fvj->fkvi", turned, rest) + shifts[:, :, None]
        parts = self._weights.T[..., None] * parts
        arms = (self._below @ parts.flatten(2)).unflatten(2, (-1, 3))
        places = shifts + (turned @ joints[..., None])[..., 0]
        arms = arms - (self._below @ self._weights.T)[..., None] * places[:, :, None]
        arms = arms - arms.mean(dim=2, keepdim=True)
        slopes = torch.zeros(*arms.shape[:2], 3, *arms.shape[2:], dtype=torch.float64)
        for axis in range(3):
            after, last = (axis + 1) % 3, (axis + 2) % 3
            slopes[:, :, axis, :, after] = -arms[..., last]
            slopes[:, :, axis, :, last] = arms[..., after]
        return slopes.flatten(3).flatten(1, 2)


def _turned(rotations: Tensor, turned: Tensor, step: Tensor) -> Tensor:
    """Local rotations after turns (F, 72, 1) about the world's axes of joints with all that they carry."""
    step = step[..., 0].unflatten(1, (SMPL_JOINT_COUNT, 3))
    local = step.clone()
    local[:, 1:] = (turned[:, list(SMPL_PARENTS[1:])].mT @ step[:, 1:, :, None])[..., 0]
    return axis_angle_to_matrix(local) @ rotations


def _chained(rotations: Tensor) -> Tensor:
    """(F, 24, 3, 3) of each bone relative to the world."""
    return chain_along_tree(rotations, _LEVELS)[:, torch.tensor(_ORDER).argsort()]


def _shifts(turned: Tensor, joints: Tensor) -> Tensor:
    """(F, 24, 3) what a bone adds to a point that it has turned about the origin: its place, less its turned rest place."""
    places = [joints[0].expand(len(turned), 3)]
    for joint in range(1, SMPL_JOINT_COUNT):
        parent = SMPL_PARENTS[joint]
        places.append(places[parent] + turned[:, parent] @ (joints[joint] - joints[parent]))
    return torch.stack(places, dim=1) - (turned @ joints[..., None])[..., 0]
