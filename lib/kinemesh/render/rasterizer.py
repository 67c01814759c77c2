"""Which triangle each pixel of a picture sees: a z-buffer by rows of triangles, in NumPy alone.

Camera coordinates are those of the datasets: x right, y down, z away from the camera, in any one unit of length.
Pixel (column, row) = (0, 0) covers [0, 1) x [0, 1), its centre at (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

from kinemesh.geometry.camera import project
from kinemesh.render.raster.spans import Places, nearest
from kinemesh.render.raster.surface import Surface, triangles_of

_LEAST_DEPTH = 1e-6
_LARGEST_ROW = (1 << 16) - 1  # that a short integer holds, which is sorted fast


class Perspective(NamedTuple):
    """A pinhole camera: pixel = focal_px * (x, y) / z + centre_px."""

    focal_px: float
    centre_px: tuple[float, float]


class WeakPerspective(NamedTuple):
    """All points as if equally far: pixel = scale_px * (x, y) + centre_px, scale in pixels per unit of length."""

    scale_px: float
    centre_px: tuple[float, float]


Camera = Perspective | WeakPerspective


class Triangles(NamedTuple):
    """Those that face the camera, as projected; the first axis is the corner."""

    faces: np.ndarray  # (n,) row of `faces`
    x_px: np.ndarray  # (3, n)
    y_px: np.ndarray  # (3, n)
    nearness: np.ndarray  # (3, n)

    def chosen(self, which: np.ndarray) -> "Triangles":
        # take, since an index behind a slice would leave the corners of a triangle, not those of a kind, side by side.
        return Triangles(self.faces[which], *(values.take(which, axis=1) for values in self[1:]))


class Fragments(NamedTuple):
    """What each covered place shows: the nearest triangle."""

    places: np.ndarray  # (n,) as `rasterize` numbers them, each once, rising
    triangles: np.ndarray  # (n,) place in Triangles
    x_px: np.ndarray  # (n,) float32, the place's middle
    y_px: np.ndarray  # (n,) float32


def picture_places(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (..., 2) of points (..., 3), and a nearness (...) that is linear in the picture, greater being nearer."""
    if isinstance(camera, WeakPerspective):
        return camera.scale_px * points[..., :2] + camera.centre_px, -points[..., 2]
    pixels_px = project(points, camera.focal_px, camera.centre_px, _LEAST_DEPTH)
    return pixels_px, 1 / np.maximum(points[..., 2], _LEAST_DEPTH)


def front_triangles(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> Triangles:
    """The triangles to draw.

    Args:
        vertices: (V, 3) camera coordinates.
        faces: (F, 3) counter-clockwise seen from outside; back faces, and those not wholly before the camera, are
            left out.
    """
    pixels_px, nearness = picture_places(np.asarray(vertices, dtype=np.float64), camera)
    corners = np.ascontiguousarray(faces.T)
    x, y = np.ascontiguousarray(pixels_px[:, 0])[corners], np.ascontiguousarray(pixels_px[:, 1])[corners]
    is_drawn = (x[1] - x[0]) * (y[2] - y[0]) < (y[1] - y[0]) * (x[2] - x[0])
    if isinstance(camera, Perspective):
        is_drawn &= (vertices[:, 2] > _LEAST_DEPTH)[corners].all(axis=0)
    drawn = np.flatnonzero(is_drawn)
    # From above to below: neighbours in the picture lie side by side in memory, too, which is much faster to read.
    top = y.min(axis=0).take(drawn).clip(0, _LARGEST_ROW).astype(np.uint16)
    drawn = drawn.take(np.argsort(top, kind="stable"))
    return Triangles(np.arange(len(faces)), x, y, nearness[corners]).chosen(drawn)


def rasterize(
    triangles: Triangles,
    camera: Camera,
    image_size: tuple[int, int],
    wanted: np.ndarray | None = None,
    samples: int = 1,
) -> Fragments:
    """What each pixel of a picture of this width and height sees.

    Args:
        wanted: (height, width) bool limits it to K of the pixels.
        samples: n looks at n x n places of each pixel; 1 at its middle.

    Place (s, k) of (n * n, K) is the s-th of the k-th pixel (`kinemesh.render.raster.spans.Places`). Memory grows with the number of places,
    not with how many triangles lie one behind another.
    """
    places = Places(image_size, samples, None if wanted is None else np.flatnonzero(wanted).astype(np.int32))
    nearness = triangles.nearness
    is_flat = isinstance(camera, WeakPerspective)
    positive = nearness
    if is_flat and nearness.size:  # depth may be negative
        positive = nearness - nearness.min() + max(np.ptp(nearness), _LEAST_DEPTH)
    surface = Surface.of(triangles.x_px, triangles.y_px, positive)
    found = nearest(surface, places)

    seen = np.flatnonzero(found != 0).astype(np.int32)
    return Fragments(seen, triangles_of(found.take(seen)), *places.middles(seen))
