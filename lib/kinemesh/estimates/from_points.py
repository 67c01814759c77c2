"""SMPL bodies fitted to what files hold instead: vertices of its own mesh, or 3D keypoints of another body, MHR's.

To keypoints: damped least squares, frame by frame, one shape a person. Unknowns a frame: the turning of each joint that
the points show, from rest, and the translation, which nobody asks for. What points do not show stays as at rest: hands,
and how a bone is twisted where no joint below it bends.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.params import axis_angle_from_rotations
from kinemesh.body.refit import BodyFitter
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import UserError, fail
from kinemesh.estimates.systems.amass import before_a_camera
from kinemesh.estimates.table import Table
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.prior import Hinges, relative_spreads
from kinemesh.geometry.alignment import nearest_rotation, relative_to_mean
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

# MHR's keypoints, `sam_3d_body/metadata/mhr70.py` in facebookresearch/sam-3d-body, by what SMPL's landmarks are called.
MHR_POINTS = {
    "nose_tip": 0, "left_eye": 1, "right_eye": 2, "left_ear": 3, "right_ear": 4, "left_shoulder": 5, "right_shoulder": 6,
    "left_elbow": 7, "right_elbow": 8, "left_hip": 9, "right_hip": 10, "left_knee": 11, "right_knee": 12,
    "left_ankle": 13, "right_ankle": 14, "left_big_toe": 15, "left_small_toe": 16, "left_heel": 17,
    "right_big_toe": 18, "right_small_toe": 19, "right_heel": 20, "right_wrist": 41, "left_wrist": 62,
}  # fmt: skip
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_ITERATIONS = 15
_FIRST_OF_SHAPE = 3
# How well the two bodies' points are the same ones, how far joints turn from rest, and how far shapes are from the mean.
_POINT_SPREAD_M = 0.02
_TURN_SPREAD = math.radians(60.0)
_SHAPE_SPREAD = 1.5
_LARGEST_TURN = 0.6
_DAMPING = 1e-3
_FRAMES_AT_ONCE = 1024
# From its points on the mean, a body that is none of theirs.
_FARTHEST_OFF_M = 0.2


def with_bodies_fitted(tables: list[Table], assets: Callable[[], BodyAssets] | None) -> list[Table]:
    """The tables with a body for each row of those that hold points instead, which is said in their notes.

    Vertices may be of a world: how the pelvises then stand tells the axis that is up. Raises UserError where no body has
    such points, or there is none to fit.
    """
    out = list(tables)
    for column, fit, held in _FITS:
        numbers = [number for number, table in enumerate(tables) if getattr(table, column) is not None]
        if not numbers:
            continue
        own = [tables[number] for number in numbers]
        if assets is None:
            raise UserError(f"{own[0].path}: holds {held}, which need a body to fit. Expected SMPL's bodies.")
        points_m, video, person = (
            np.concatenate([getattr(table, name) for table in own]) for name in (column, "video", "person")
        )
        people: dict[tuple[str, str], int] = {}
        owner = [people.setdefault(name, len(people)) for name in zip(video.tolist(), person.tolist(), strict=True)]
        poses, betas, left_m = fit(points_m, np.array(owner), assets())
        poses, up = before_a_camera(poses, "camera") if column == "vertices_m" else (poses, "")
        said = (
            f"SMPL's body fitted to {held}, {1000 * left_m.mean():.0f} mm from them on the mean; nothing else is read"
        )
        first = 0
        for number, table in zip(numbers, own, strict=True):
            rows = slice(first, first + len(table.frame))
            first = rows.stop
            if not (left_m[rows] < _FARTHEST_OFF_M).all():
                row = int((~(left_m[rows] < _FARTHEST_OFF_M)).argmax())
                fail(
                    table.path,
                    f"row {row}: no body is nearer than {left_m[rows][row]:.3g} m to {held}",
                    "a person's, in metres",
                )
            out[number] = table._replace(poses=poses[rows], betas=betas[rows], world_up=up, notes=(said,))
    return out


def fit_to_vertices(vertices_m: np.ndarray, owner: np.ndarray, assets: BodyAssets) -> tuple[np.ndarray, ...]:
    """As `fit_to_points`, to each BodyFitter.stride-th vertex (F, V, 3) of SMPL's mesh."""
    fitter = BodyFitter(assets)
    poses, betas, left_m = (
        np.empty((len(owner), 72), np.float32),
        np.empty((len(owner), 10), np.float32),
        np.empty(len(owner)),
    )
    for person in range(int(owner.max()) + 1):
        rows = np.flatnonzero(owner == person)
        wanted = torch.from_numpy(vertices_m[rows])
        found = fitter.fit(wanted, fitter.near(wanted))
        poses[rows] = axis_angle_from_rotations(found.rotations).numpy()
        betas[rows], left_m[rows] = found.betas.numpy(), found.error_m.numpy()
    return poses, betas, left_m


def fit_to_points(points_m: np.ndarray, owner: np.ndarray, assets: BodyAssets) -> tuple[np.ndarray, ...]:
    """Poses (F, 72), betas (F, 10), and the mean distance (F,) m that is left.

    Args:
        points_m: (F, 70, 3) in camera axes, wherever the origin is.
        owner: (F,) whose each row is, from 0; a person has one shape.
    """
    names = tuple(MHR_POINTS)
    body = BodyPoints(assets, names)
    wanted = torch.from_numpy(points_m[:, list(MHR_POINTS.values())]).float()
    people, owner = int(owner.max()) + 1, torch.from_numpy(owner)
    rotations = torch.eye(3).expand(len(wanted), SMPL_JOINT_COUNT, 3, 3).clone()
    betas = torch.zeros(people, BETA_COUNT)
    rotations[:, 0] = _facing(body, wanted, [names.index(name) for name in _TRUNK])
    solver = _Solver(body)
    for iteration in range(_ITERATIONS):
        sums = torch.zeros(people, BETA_COUNT, BETA_COUNT + 1)
        for rows in torch.arange(len(wanted)).split(_FRAMES_AT_ONCE):
            shape = solver.step(rotations, rows, betas[owner[rows]], wanted[rows])
            sums.index_add_(0, owner[rows], shape)
        if _FIRST_OF_SHAPE <= iteration < _ITERATIONS - 1:
            counts = torch.bincount(owner, minlength=people)[:, None].float()
            precision = counts * (_POINT_SPREAD_M / _SHAPE_SPREAD) ** 2
            matrix = sums[..., :-1] + torch.diag_embed(precision.expand(-1, BETA_COUNT))
            betas = betas + torch.linalg.solve(matrix, sums[..., -1] - precision * betas)
    left = torch.cat(
        [
            relative_to_mean(wanted[rows] - body.places(rotations[rows], betas[owner[rows]])).norm(dim=2).mean(dim=1)
            for rows in torch.arange(len(wanted)).split(_FRAMES_AT_ONCE)
        ]
    )
    return axis_angle_from_rotations(rotations).numpy(), betas[owner].numpy(), left.numpy()


def _facing(body: BodyPoints, wanted: Tensor, trunk: list[int]) -> Tensor:
    """(F, 3, 3) by which the trunk at rest is turned."""
    identity = torch.eye(3).expand(1, SMPL_JOINT_COUNT, 3, 3)
    rest = relative_to_mean(body.places(identity, torch.zeros(1, BETA_COUNT))[:, trunk])
    return nearest_rotation(relative_to_mean(wanted[:, trunk]).mT @ rest)


class _Solver:
    """Gauss and Newton's step of frames; the translation is what leaves the points' means together."""

    def __init__(self, body: BodyPoints):
        self.body, self.joints, self.hinges = body, list(body.joints), Hinges(body.joints)
        spreads = relative_spreads(body.joints) * _TURN_SPREAD
        self.precision = (_POINT_SPREAD_M / spreads) ** 2
        self.precision[:3] = 0  # whichever way somebody faces

    def step(self, rotations: Tensor, rows: Tensor, betas: Tensor, wanted: Tensor) -> Tensor:
        """Turn the joints of `rows`, in place; what those frames say of their shapes, (N, 10, 11)."""
        points = self.body(rotations[rows], betas)
        residual = relative_to_mean(wanted - points.places).flatten(1)
        jacobian = relative_to_mean(points.by_turning()).flatten(1, 2)  # (N, 3 K, 3 A)
        now = rotations[rows[:, None], self.joints]
        away = matrix_to_axis_angle(now).flatten(1)
        matrix = jacobian.mT @ jacobian
        matrix.diagonal(dim1=1, dim2=2).add_(self.precision + _DAMPING * _POINT_SPREAD_M)
        right = (jacobian.mT @ residual[..., None])[..., 0] - self.precision * away
        turns = torch.linalg.solve(matrix, right).unflatten(1, (-1, 3))
        turns = turns * (_LARGEST_TURN / turns.norm(dim=2, keepdim=True).clamp(min=_LARGEST_TURN))
        turned = axis_angle_to_matrix(turns) @ now
        rotations[rows[:, None], self.joints] = self.hinges.unbend(turned, torch.eye(3).expand_as(now))
        by_shape = relative_to_mean(points.by_shape.permute(0, 3, 2, 1)).flatten(1, 2)  # (N, 3 K, 10)
        return torch.cat((by_shape.mT @ by_shape, by_shape.mT @ residual[..., None]), dim=2)


# Of a table: its column, what fits bodies to it, and what it is.
_FITS = (
    ("points_m", fit_to_points, f"{len(MHR_POINTS)} of MHR's keypoints"),
    ("vertices_m", fit_to_vertices, "the vertices of SMPL's mesh"),
)
