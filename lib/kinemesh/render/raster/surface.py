"""Triangles of a picture as planes over it: what each place is of a triangle, and how near that is there."""

from typing import NamedTuple

import numpy as np


class Plane(NamedTuple):
    """What rises evenly over each of n triangles."""

    level: np.ndarray  # (n,) in the middle of the picture's first pixel
    across: np.ndarray  # (n,) rise a column
    down: np.ndarray  # (n,) a row

    def at(self, triangles: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(m,) of these triangles (m,) at these places (m,)."""
        level, across, down = (values.take(triangles) for values in self)
        return level + columns * across + rows * down


class Surface(NamedTuple):
    """Triangles in a picture; nearness is positive."""

    x: np.ndarray  # (3, n) corners, in pixels
    y: np.ndarray  # (3, n)
    second: Plane  # shares of the second corner and of the third
    third: Plane
    near: Plane
    lowest: np.ndarray  # (n,) nearness of the corners
    highest: np.ndarray  # (n,)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, nearness: np.ndarray) -> "Surface":
        """Of corners (3, n) and their nearness (3, n)."""
        slopes = share_slopes(x, y)
        second, third = (Plane((0.5 - x[0]) * across + (0.5 - y[0]) * down, across, down) for across, down in slopes)
        rises = nearness[1] - nearness[0], nearness[2] - nearness[0]
        level, *rise = (rises[0] * one + rises[1] * other for one, other in zip(second, third, strict=True))
        near = Plane(nearness[0] + level, *rise)
        return cls(x, y, second, third, near, nearness.min(axis=0), nearness.max(axis=0))


def share_slopes(x: np.ndarray, y: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """How the shares of the second and of the third corner rise (n,) a column and a row, of corners (3, n)."""
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    return ((y[2] - y[0]) / area, (x[0] - x[2]) / area), ((y[0] - y[1]) / area, (x[1] - x[0]) / area)


def laid(near: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Numbers int64, the greater the nearer, of float32 nearness, which is positive, and whose it is.

    Of positive floats the greater has the greater bits: one maximum finds both.
    """
    return near.view(np.int32).astype(np.int64) << 32 | triangles


def triangles_of(found: np.ndarray) -> np.ndarray:
    """Whose nearness `laid` was given."""
    return found.astype(np.int32)  # the lower half


def nearness_of(found: np.ndarray) -> np.ndarray:
    """What `laid` was given."""
    return (found >> 32).astype(np.int32).view(np.float32)
