"""How a camera stands or moves: what a user says of it, and what people's feet say against it."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.errors import UserError
from kinemesh.files.arrays import read_npz
from kinemesh.geometry.neighbours import mean_around
from kinemesh.world.figures import FEET, Figure

logger = logging.getLogger(__name__)

_EXPECTED = "an npz with R (N, 3, 3) and t (N, 3), world to camera, of each of the video's frames, and perhaps up (3,)"
_ORTHONORMAL = 1e-2
_LARGEST = 1e6
# Beside a path's own scale: metres a unit of it, tried from the least to the largest.
_SCALES = np.geomspace(0.02, 50.0, 120)
_LEAST_PATH = 1e-6
# Somebody who stands or walks has a foot at rest; all feet of everybody moving faster than that is the camera's movement.
_DRIFT_M_PER_S = 0.25
_SMOOTHED_S, _STEADY_S = 0.3, 1.0


class CameraPath(NamedTuple):
    """A camera that moves, of N frames: x_camera = rotations @ x + trans, in axes that stand still."""

    rotations: np.ndarray  # (N, 3, 3)
    trans: np.ndarray  # (N, 3), in units of its own until `in_metres`
    up: np.ndarray | None = None  # (3,) the vertical in those axes, where the file says it

    @property
    def eyes(self) -> np.ndarray:
        """(N, 3) where the camera is."""
        return -np.einsum("nji,nj->ni", self.rotations, self.trans)

    def still(self, points: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """Points (F, ..., 3) in camera axes of `frames` (F,) in the axes that stand still."""
        flat = points.reshape(len(points), -1, 3) - self.trans[frames][:, None]
        return (flat @ self.rotations[frames]).reshape(points.shape)


def read_camera_path(path: Path | str) -> CameraPath:
    """The path that the file of `--camera` says. Raises UserError for what is none."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"--camera {path} not found. Expected {_EXPECTED}.")
    arrays = read_npz(path, ("R", "t"), ("up",), what=_EXPECTED)
    shapes = {"R": (3, 3), "t": (3,)}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype.kind not in "fiu" or array.shape[1:] != shape or array.ndim != len(shape) + 1:
            raise UserError(f"{path}: '{name}' is {array.dtype} {array.shape}. Expected {_EXPECTED}.")
        if not np.isfinite(array).all():
            raise UserError(f"{path}: '{name}' holds nan or infinity. Expected {_EXPECTED}.")
        if np.abs(array).max(initial=0) > _LARGEST:
            raise UserError(f"{path}: '{name}' holds {np.abs(array).max():.4g}. Expected {_EXPECTED}.")
    rotations, trans = arrays["R"].astype(np.float64), arrays["t"].astype(np.float64)
    if len(rotations) != len(trans) or not len(rotations):
        raise UserError(f"{path}: 'R' is of {len(rotations)} frames, 't' of {len(trans)}. Expected {_EXPECTED}.")
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    off = np.maximum(off, np.abs(np.linalg.det(rotations) - 1))
    if off.max() > _ORTHONORMAL:
        raise UserError(f"{path}: 'R' of frame {int(off.argmax())} is no rotation. Expected {_EXPECTED}.")
    up = arrays.get("up")
    if up is not None:
        if up.shape != (3,) or up.dtype.kind not in "fiu" or not np.isfinite(up).all() or np.linalg.norm(up) < 1e-6:
            raise UserError(f"{path}: 'up' is no direction. Expected {_EXPECTED}.")
        up = up / np.linalg.norm(up)
    return CameraPath(rotations, trans, up)


def up_of_angles(pitch_deg: float, roll_deg: float) -> np.ndarray:
    """(3,) the vertical in the axes of a camera that looks down by `pitch_deg`, turned clockwise by `roll_deg`."""
    pitch, roll = np.radians((pitch_deg, roll_deg))
    return np.array([-np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])


def in_metres(path: CameraPath, points_m: list[np.ndarray], frame_ids: list[np.ndarray]) -> tuple[CameraPath, float]:
    """The path, and metres a unit of it: such that feet, points (F, P, 3) of people in camera axes, rest most.

    Of a camera that only turns the scale says nothing: 1.
    """
    turned = path._replace(trans=np.zeros_like(path.trans))
    moved = [np.linalg.norm(np.diff(path.eyes[frames], axis=0), axis=1).sum() for frames in frame_ids]
    if max(moved, default=0.0) < _LEAST_PATH:
        return path, 1.0
    feet = [turned.still(points[:, FEET], frames) for points, frames in zip(points_m, frame_ids, strict=True)]
    eyes = [path.eyes[frames] for frames in frame_ids]
    costs = []
    for scale in _SCALES:
        rests = []
        for places, seen_from in zip(feet, eyes, strict=True):
            speed = np.linalg.norm(np.diff(places + scale * seen_from[:, None], axis=0), axis=-1)
            rests.append(np.partition(speed, 1, axis=1)[:, :2].mean(axis=1))
        rests = np.concatenate(rests)
        # Steps of a large unit are large errors of a few frames.
        costs.append(np.minimum(rests, 0.05).mean())
    best = int(np.argmin(costs))
    scale = float(_SCALES[best])
    return path._replace(trans=path.trans * scale), scale


def warn_of_movement(figures: list[Figure], fps: float) -> bool:
    """Whether nobody's feet ever rest, but all drift one way, as when the camera moves; one line says so.

    The slowest foot's velocity is averaged over a second first: estimates that tremble move to and fro, a camera does not.
    Then over people: bodies that slide as each walks are badly estimated.
    """
    frames, drifts, width = [], [], max(1, round(_SMOOTHED_S * fps))
    for figure in figures:
        for rows in figure.segments:
            feet = figure.points_m[rows][:, FEET]
            if len(feet) <= width:
                continue
            speed = (feet[width:] - feet[:-width]) * (fps / width)
            rays = figure.rays[rows][:-width, FEET]
            across = speed - (speed * rays).sum(axis=-1, keepdims=True) * rays
            slowest = across[np.arange(len(across)), np.linalg.norm(across, axis=-1).argmin(axis=1)]
            drifts.append(mean_around(torch.from_numpy(slowest.T), round(_STEADY_S / 2 * fps)).numpy().T)
            frames.append(figure.frame_ids[rows][:-width])
    if not drifts:
        return False
    _, place, count = np.unique(np.concatenate(frames), return_inverse=True, return_counts=True)
    common = np.zeros((len(count), 3))
    np.add.at(common, place, np.concatenate(drifts))
    drift = float(np.median(np.linalg.norm(common, axis=1) / count))
    if drift < _DRIFT_M_PER_S:
        return False
    logger.warning(
        "nobody's feet rest (%.1f m/s at least, half of the time): does the camera move? Give its path as --camera FILE.npz",
        drift,
    )  # fmt: skip
    return True
