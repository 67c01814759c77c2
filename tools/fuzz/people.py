"""Bodies of a video's people, and the containers that other systems write them in."""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.geometry.rotation import axis_angle_to_matrix

SMPLX_JOINTS = 55


class People(NamedTuple):
    """P people in the F frames of a video, before its camera."""

    video: str
    poses: np.ndarray  # (P, F, 72) float32
    betas: np.ndarray  # (P, 10) float32
    places_m: np.ndarray  # (P, F, 3) float32
    fps: float = 30.0

    @property
    def frames(self) -> np.ndarray:
        return np.arange(self.poses.shape[1])

    @property
    def rotations(self) -> np.ndarray:
        """(P, F, 24, 3, 3)."""
        return rotations_from_axis_angle(torch.from_numpy(self.poses)).numpy()

    @property
    def shapes(self) -> np.ndarray:
        """(P, F, 10)."""
        return np.repeat(self.betas[:, None], self.poses.shape[1], axis=1)

    @property
    def smplx(self) -> np.ndarray:
        """(P, F, 165) SMPL-X's pose, jaw, eyes and hands at 0.1."""
        people, frames = self.poses.shape[:2]
        rest = np.full((people, frames, 3 * (SMPLX_JOINTS - 22)), 0.1, np.float32)
        return np.concatenate((self.poses[..., :66], rest), axis=2)

    @property
    def smplx_rotations(self) -> np.ndarray:
        """(P, F, 55, 3, 3)."""
        return axis_angle_to_matrix(torch.from_numpy(self.smplx).unflatten(-1, (-1, 3))).numpy()


Files = dict[str, bytes]  # by their place in a folder


def npz(**arrays) -> bytes:
    return saved(lambda file: np.savez(file, **arrays))


def torch_bytes(content) -> bytes:
    return saved(lambda file: torch.save(content, file))


def saved(write: Callable) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def objects(value) -> np.ndarray:
    """What np.savez and np.save make of a dict."""
    out = np.empty((), dtype=object)
    out[()] = value
    return out
