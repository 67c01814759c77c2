"""What a pinhole camera without distortion sees. Camera axes: x right, y down, z forward."""

import math

import numpy as np
from torch import Tensor

# Equivalent focal lengths go by the diagonal of film, as EXIF's `FocalLengthIn35mmFilm` does (CIPA DC-008).
DIAGONAL_35MM = math.hypot(36.0, 24.0)
# Turns to axes with y up: of a camera's, level with it (x right, z towards it), and of axes with z up.
CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
UP_TURNS = {"y": np.eye(3), "z": Z_UP_TO_Y_UP, "camera": CAMERA_TO_Y_UP}
_CLEARLY_UP = 0.6


def axis_upward(direction: np.ndarray) -> str | None:
    """The key of UP_TURNS that a direction (3,) is along; None if it is along none."""
    direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
    lifted = {name: float((turn @ direction)[1]) for name, turn in UP_TURNS.items()}
    name = max(lifted, key=lifted.get)
    return name if lifted[name] >= _CLEARLY_UP else None


def project(
    points: np.ndarray | Tensor,
    focal_px: float | np.ndarray | Tensor,
    centre_px: tuple[float, float] | np.ndarray | Tensor,
    least_depth: float = 0.2,
) -> np.ndarray | Tensor:
    """Points (..., 3) in camera axes -> pixels (..., 2): focal_px * (x, y) / z + centre_px.

    All arrays or all tensors; `focal_px` and `centre_px` may be such as go with (..., 2). What is nearer than
    `least_depth`, in the points' own unit, is seen as if it were that far: by default 0.2 m.
    """
    return points[..., :2] / points[..., 2:].clip(least_depth) * focal_px + centre_px
