"""Which triangle each pixel of a picture sees: a z-buffer by rows of triangles, in NumPy alone.

Camera coordinates are those of the datasets: x right, y down, z away from the camera, in any one unit of length.
Pixel (column, row) = (0, 0) covers [0, 1) x [0, 1), its centre at (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

from kinemesh.geometry.camera import project

_LEAST_DEPTH = 1e-6
# Of a pixel: centres this near outside an edge count as inside, so that rounding opens no crack between neighbours.
_EDGE_TOLERANCE_PX = 1e-7


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

    def scaled(self, factor: int) -> "Triangles":
        """The same in a picture of `factor` times as many pixels in each direction."""
        return self._replace(x_px=self.x_px * factor, y_px=self.y_px * factor)


class Fragments(NamedTuple):
    """What each covered pixel shows: the nearest triangle."""

    pixels: np.ndarray  # (n,) row * width + column, each once, in no order
    triangles: np.ndarray  # (n,) place in Triangles
    shares: np.ndarray  # (3, n) barycentric coordinates on the triangle in space, sum 1


class _Trapezoids(NamedTuple):
    """The parts of triangles above and below the middle corner: rows between a left and a right edge."""

    triangles: np.ndarray  # (n,) place in Triangles
    first_row: np.ndarray  # (n,)
    row_counts: np.ndarray  # (n,)
    left: np.ndarray  # (n,) px, where the first row's centre line meets the edge
    left_slope: np.ndarray  # (n,) px a row
    right: np.ndarray
    right_slope: np.ndarray


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
    return Triangles(np.arange(len(faces)), x, y, nearness[corners]).chosen(drawn)


def rasterize(
    triangles: Triangles, camera: Camera, image_size: tuple[int, int], wanted: np.ndarray | None = None
) -> Fragments:
    """What the centre of each pixel sees in a picture of this width and height.

    `wanted` (height, width) bool limits it to some of the pixels.
    """
    width, height = image_size
    pixels, owner = _covered(triangles, width, height)
    if wanted is not None:
        kept = np.flatnonzero(wanted.ravel()[pixels])
        pixels, owner = pixels[kept], owner[kept]
    number = np.arange(len(pixels), dtype=np.int32)
    x, y, nearness = triangles.x_px, triangles.y_px, triangles.nearness
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    # Barycentric coordinates of the second and third corner: slopes across and down.
    across = (y[2] - y[0]) / area, (y[0] - y[1]) / area
    down = (x[0] - x[2]) / area, (x[1] - x[0]) / area

    def shares_at(fragments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own, row = owner[fragments], pixels[fragments] // width
        from_x, from_y = pixels[fragments] - row * width + 0.5 - x[0, own], row + 0.5 - y[0, own]
        second, third = (from_x * a[own] + from_y * d[own] for a, d in zip(across, down, strict=True))
        return 1 - second - third, second, third

    def nearness_at(fragments: np.ndarray) -> np.ndarray:
        own = owner[fragments]
        return sum(share * of_corner[own] for share, of_corner in zip(shares_at(fragments), nearness, strict=True))

    # Later writes win. Few pixels are covered twice: those alone are compared, until no loser is nearer.
    winner = np.empty(width * height, dtype=np.int32)
    winner[pixels] = number
    losers = np.flatnonzero(winner[pixels] != number)
    while len(losers):
        places = pixels[losers]
        is_nearer = nearness_at(losers) > nearness_at(winner[places])
        losers, places = losers[is_nearer], places[is_nearer]
        winner[places] = losers
        losers = losers[winner[places] != losers]

    seen = np.flatnonzero(winner[pixels] == number)
    shares, own = shares_at(seen), owner[seen]
    if isinstance(camera, Perspective):
        shares = [share * of_corner[own] for share, of_corner in zip(shares, nearness, strict=True)]
        total = shares[0] + shares[1] + shares[2]
        shares = [share / total for share in shares]
    return Fragments(pixels[seen], own, np.stack(shares))


def _covered(triangles: Triangles, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n,) whose centres lie in triangles, row * width + column, and each one's triangle (n,)."""
    parts = _trapezoids(triangles, height)
    part, below = _expanded(parts.row_counts)
    left = parts.left[part] + parts.left_slope[part] * below
    right = parts.right[part] + parts.right_slope[part] * below
    first = np.ceil(left.clip(0, width) - (0.5 + _EDGE_TOLERANCE_PX)).astype(np.int32)
    last = np.floor(right.clip(0, width) - (0.5 - _EDGE_TOLERANCE_PX)).astype(np.int32)
    # A border of the picture may be crossed less than half a pixel inside it.
    first, last = np.maximum(first, 0), np.minimum(last, width - 1)
    kept = np.flatnonzero(first <= last)
    part, first, last = part[kept], first[kept], last[kept]
    row, column = _expanded(last - first + 1)
    first += (parts.first_row[part] + below[kept]) * width
    return first[row] + column, parts.triangles[part][row]


def _expanded(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts (n,) of elements: each element's place in `counts`, and its number among its like from 0, int32."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    starts = np.cumsum(counts, dtype=np.int32) - counts
    return owner, np.arange(len(owner), dtype=np.int32) - starts[owner]


def _trapezoids(triangles: Triangles, height: int) -> _Trapezoids:
    x, y = list(triangles.x_px), list(triangles.y_px)
    for one, other in ((0, 1), (1, 2), (0, 1)):
        is_lower = y[one] > y[other]
        x[one], x[other] = np.where(is_lower, x[other], x[one]), np.where(is_lower, x[one], x[other])
        y[one], y[other] = np.minimum(y[one], y[other]), np.maximum(y[one], y[other])
    # Rows whose centres lie from the top to the middle corner, and from there to the bottom.
    limits = np.stack([np.ceil(y[0] - 0.5), np.ceil(y[1] - 0.5), np.floor(y[2] - 0.5) + 1])
    limits = limits.clip(0, height).astype(np.int32)
    first_row, row_counts = limits[:2].ravel(), np.diff(limits, axis=0).ravel()
    kept = np.flatnonzero(row_counts > 0)

    # Where a difference in height is 0, so is whatever its slope is multiplied by.
    slopes = [(x[b] - x[a]) / np.maximum(y[b] - y[a], _LEAST_DEPTH) for a, b in ((0, 2), (0, 1), (1, 2))]
    is_middle_right = x[1] > x[0] + (y[1] - y[0]) * slopes[0]
    centres = limits[:2] + 0.5
    long = (x[0] + (centres - y[0]) * slopes[0]).ravel()[kept]
    short = np.concatenate([x[i] + (centres[i] - y[i]) * slopes[1 + i] for i in (0, 1)])[kept]
    long_slope, short_slope = np.tile(slopes[0], 2)[kept], np.concatenate(slopes[1:])[kept]
    is_right = np.tile(is_middle_right, 2)[kept]
    return _Trapezoids(
        np.tile(np.arange(len(x[0]), dtype=np.int32), 2)[kept],
        first_row[kept],
        row_counts[kept],
        np.where(is_right, long, short),
        np.where(is_right, long_slope, short_slope),
        np.where(is_right, short, long),
        np.where(is_right, short_slope, long_slope),
    )
