"""What a pinhole camera without distortion sees. Camera axes: x right, y down, z forward."""

import numpy as np


def project(
    points: np.ndarray,
    focal_px: float | np.ndarray,
    centre_px: tuple[float, float] | np.ndarray,
    least_depth: float = 0.2,
) -> np.ndarray:
    """Points (..., 3) in camera axes -> pixels (..., 2): focal_px * (x, y) / z + centre_px.

    `focal_px` and `centre_px` may be arrays that go with (..., 2). What is nearer than `least_depth`, in the points'
    own unit, is seen as if it were that far: by default 0.2 m.
    """
    return points[..., :2] / np.maximum(points[..., 2:], least_depth) * focal_px + centre_px
