"""Which triangle each place of a picture sees.

Camera coordinates are those of the datasets: x right, y down, z away from the camera, in any one unit of length.
Pixel (column, row) = (0, 0) covers [0, 1) x [0, 1), its centre at (0.5, 0.5).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.geometry.camera import project
from kinemesh.render.raster.kernels import clear, lay_faces

_LEAST_DEPTH = 1e-6
# Places looked at at once: memory does not grow with the picture, nor with how many triangles lie one behind another.
_PLACES_AT_ONCE = 1 << 19


class Perspective(NamedTuple):
    """A pinhole camera: pixel = focal_px * (x, y) / z + centre_px."""

    focal_px: float
    centre_px: tuple[float, float]


class WeakPerspective(NamedTuple):
    """All points as if equally far: pixel = scale_px * (x, y) + centre_px, scale in pixels per unit of length."""

    scale_px: float
    centre_px: tuple[float, float]


Camera = Perspective | WeakPerspective


def picture_places(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (..., 2) of points (..., 3), and a nearness (...) that is linear in the picture, greater being nearer."""
    if isinstance(camera, WeakPerspective):
        return camera.scale_px * points[..., :2] + camera.centre_px, -points[..., 2]
    pixels_px = project(points, camera.focal_px, camera.centre_px, _LEAST_DEPTH)
    return pixels_px, 1 / np.maximum(points[..., 2], _LEAST_DEPTH)


class Projected(NamedTuple):
    """A mesh in a picture whose pixels are looked at in S places."""

    x_px: np.ndarray  # (V,) float64
    y_px: np.ndarray  # (V,) float64
    nearness: np.ndarray  # (V,) float64, linear in the picture, the greater the nearer; NaN behind the camera
    faces: np.ndarray  # (F, 3) int32, counter-clockwise seen from outside
    offsets: np.ndarray  # (2, S) float64, down and across: the places from a pixel's upper left corner

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, camera: Camera, samples: int) -> "Projected":
        """Of vertices (V, 3) in camera coordinates, looked at in samples x samples places a pixel.

        Each is in a row and a column of its own, so that an edge that is nearly level or upright is as smooth as one that is
        not (rotated grid supersampling).
        """
        pixels_px, nearness = picture_places(np.asarray(vertices, dtype=np.float64), camera)
        if isinstance(camera, Perspective):
            nearness = np.where(vertices[:, 2] > _LEAST_DEPTH, nearness, np.nan)
        row, column = np.divmod(np.arange(samples**2), samples)
        own = np.stack([row * samples + column, column * samples + samples - 1 - row])
        x_px, y_px = np.ascontiguousarray(pixels_px.T)
        return cls(x_px, y_px, nearness, np.ascontiguousarray(faces, dtype=np.int32), (own + 0.5) / samples**2)


class Seen(NamedTuple):
    """What a part of a picture sees."""

    corner: np.ndarray  # (2,) its first row and column
    faces: np.ndarray  # (rows, S, columns) int32, the nearest face at each place; -1: none
    spans: np.ndarray  # (rows, 2) int32, from and to which column, exclusive, anything is seen


def seen_faces(mesh: Projected, image_size: tuple[int, int]) -> Iterator[Seen]:
    """What a picture of this width and height sees, strip by strip from above, as far as the mesh reaches.

    Strips begin at even rows and columns, as 2 x 2 pixels of a stored video share colours. Each is valid until the next.
    """
    is_before = np.isfinite(mesh.x_px + mesh.y_px + mesh.nearness)
    rows, columns = (
        _reach(values[is_before], end) for values, end in zip((mesh.y_px, mesh.x_px), image_size[::-1], strict=True)
    )
    places = mesh.offsets.shape[1]
    if not rows or not columns:
        return
    height = min(max(2, _PLACES_AT_ONCE // (len(columns) * places) // 2 * 2), len(rows))
    near = np.full((height, places, len(columns)), -np.inf, dtype=np.float32)
    faces = np.full(near.shape, -1, dtype=np.int32)
    spans = np.tile(np.array([len(columns), 0], dtype=np.int32), (height, 1))
    for first in rows[::height]:
        corner, count = np.array([first, columns.start]), min(height, rows.stop - first)
        strip = near[:count], faces[:count], spans[:count]
        lay_faces(mesh, corner, *strip)
        yield Seen(corner, *strip[1:])
        clear(*strip)


def _reach(values_px: np.ndarray, end: int) -> range:
    """The pixels of [0, end) among which all of these lie, the first of them even."""
    if not len(values_px):
        return range(0)
    first, stop = (int(np.clip(edge, 0, end)) for edge in (np.floor(values_px.min()) - 1, np.ceil(values_px.max()) + 1))
    return range(first // 2 * 2, stop)
