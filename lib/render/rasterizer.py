"""Which triangle each pixel of a picture sees: a z-buffer by rows of triangles, in NumPy alone.

Camera coordinates are those of the datasets: x right, y down, z away from the camera, in any one unit of length.
Pixel (column, row) = (0, 0) covers [0, 1) x [0, 1), its centre at (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

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
        return Triangles(self.faces[which], *(values[:, which] for values in self[1:]))

    def scaled(self, factor: int) -> "Triangles":
        """The same in a picture of `factor` times as many pixels in each direction."""
        return self._replace(x_px=self.x_px * factor, y_px=self.y_px * factor)


class Fragments(NamedTuple):
    """What each covered pixel shows: the nearest triangle."""

    pixels: np.ndarray  # (n,) row * width + column, each once, in no order
    faces: np.ndarray  # (n,) row of `faces`
    shares: np.ndarray  # (n, 3) barycentric coordinates on the triangle in space, sum 1


class _Spans(NamedTuple):
    """The pixels of one row that one triangle covers; barycentric coordinates are linear along them."""

    triangles: np.ndarray  # (n,) place in Triangles
    first: np.ndarray  # (n,) row * width + column of the first pixel
    lengths: np.ndarray  # (n,)
    shares: tuple[np.ndarray, np.ndarray]  # (n,) each, of the second and third corner at the first pixel
    slopes: tuple[np.ndarray, np.ndarray]  # (n,) each, change by pixel


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (..., 2) of points (..., 3), and a nearness (...) that is linear in the picture, greater being nearer."""
    if isinstance(camera, WeakPerspective):
        return camera.scale_px * points[..., :2] + camera.centre_px, -points[..., 2]
    nearness = 1 / np.maximum(points[..., 2], _LEAST_DEPTH)
    return camera.focal_px * points[..., :2] * nearness[..., None] + camera.centre_px, nearness


def front_triangles(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> Triangles:
    """The triangles to draw.

    Args:
        vertices: (V, 3) camera coordinates.
        faces: (F, 3) counter-clockwise seen from outside; back faces, and those not wholly before the camera, are
            left out.
    """
    pixels_px, nearness = project(np.asarray(vertices, dtype=np.float64), camera)
    corners = np.ascontiguousarray(faces.T)
    x, y = np.ascontiguousarray(pixels_px[:, 0])[corners], np.ascontiguousarray(pixels_px[:, 1])[corners]
    is_drawn = (x[1] - x[0]) * (y[2] - y[0]) < (y[1] - y[0]) * (x[2] - x[0])
    if isinstance(camera, Perspective):
        is_drawn &= (vertices[:, 2] > _LEAST_DEPTH)[corners].all(axis=0)
    drawn = np.flatnonzero(is_drawn)
    return Triangles(drawn, x[:, drawn], y[:, drawn], nearness[corners[:, drawn]])


def rasterize(triangles: Triangles, camera: Camera, image_size: tuple[int, int]) -> Fragments:
    """What the centre of each pixel sees in a picture of this width and height."""
    spans = _spans(triangles, image_size)
    number = np.arange(spans.lengths.sum(), dtype=np.int32)
    span = np.repeat(np.arange(len(spans.lengths), dtype=np.int32), spans.lengths)
    start = (np.cumsum(spans.lengths) - spans.lengths).astype(np.int32)
    pixels = number + np.repeat(spans.first - start, spans.lengths)

    def shares_at(fragments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = span[fragments]
        along = fragments - start[own]
        second, third = (
            share[own] + along * slope[own] for share, slope in zip(spans.shares, spans.slopes, strict=True)
        )
        return 1 - second - third, second, third

    def nearness_at(fragments: np.ndarray) -> np.ndarray:
        of_corners = triangles.nearness[:, spans.triangles[span[fragments]]]
        return sum(share * nearness for share, nearness in zip(shares_at(fragments), of_corners, strict=True))

    # Later writes win. Few pixels are covered twice: those alone are compared, until no loser is nearer.
    winner = np.empty(image_size[0] * image_size[1], dtype=np.int32)
    winner[pixels] = number
    losers = np.flatnonzero(winner[pixels] != number)
    while len(losers):
        places = pixels[losers]
        is_nearer = nearness_at(losers) > nearness_at(winner[places])
        losers, places = losers[is_nearer], places[is_nearer]
        winner[places] = losers
        losers = losers[winner[places] != losers]

    seen = np.flatnonzero(winner[pixels] == number)
    shares = np.stack(shares_at(seen), axis=1)
    own = spans.triangles[span[seen]]
    if isinstance(camera, Perspective):
        shares *= triangles.nearness.T[own]
        shares /= shares.sum(axis=1, keepdims=True)
    return Fragments(pixels[seen], triangles.faces[own], shares)


def _spans(triangles: Triangles, image_size: tuple[int, int]) -> _Spans:
    width, height = image_size
    x, y = triangles.x_px, triangles.y_px
    first_row = np.ceil(y.min(axis=0) - 0.5).clip(min=0).astype(np.int32)
    last_row = np.floor(y.max(axis=0) - 0.5).clip(max=height - 1).astype(np.int32)
    drawn = np.flatnonzero((first_row <= last_row) & (x.max(axis=0) >= 0.5) & (x.min(axis=0) <= width - 0.5))
    counts = (last_row - first_row + 1)[drawn]
    x, y = x[:, drawn], y[:, drawn]

    # Barycentric coordinates at the centre of column 0 in the first row, and their slopes across and down.
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    across = (y[2] - y[0]) / area, (y[0] - y[1]) / area
    down = (x[0] - x[2]) / area, (x[1] - x[0]) / area
    start_y = first_row[drawn] + 0.5 - y[0]
    start = [(0.5 - x[0]) * a + start_y * d for a, d in zip(across, down, strict=True)]

    owner = np.repeat(np.arange(len(drawn), dtype=np.int32), counts)
    below = np.arange(len(owner), dtype=np.int32) - np.repeat((np.cumsum(counts) - counts).astype(np.int32), counts)
    second, third = (s[owner] + below * d[owner] for s, d in zip(start, down, strict=True))
    slopes = across[0][owner], across[1][owner]

    # Each coordinate is positive from some column on, or up to one. Where it is the same in the whole row, the division
    # by 0 gives an infinity of the right sign, or NaN on the edge itself, which fmax and fmin pass over.
    left, right = np.zeros(len(owner)), np.full(len(owner), width - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        for share, slope in zip((1 - second - third, second, third), (-slopes[0] - slopes[1], *slopes), strict=True):
            crossing = -share / slope
            rises = slope > 0
            left = np.fmax(left, np.where(rises, crossing, -np.inf))
            right = np.fmin(right, np.where(rises, np.inf, crossing))
    first = np.ceil(left - _EDGE_TOLERANCE_PX)
    lengths = np.floor(right + _EDGE_TOLERANCE_PX) - first + 1
    kept = np.flatnonzero(lengths > 0)
    first, owner = first[kept], owner[kept]
    slopes = slopes[0][kept], slopes[1][kept]
    shares = second[kept] + first * slopes[0], third[kept] + first * slopes[1]
    first_pixel = (first_row[drawn][owner] + below[kept]) * width + first.astype(np.int32)
    return _Spans(drawn[owner], first_pixel, lengths[kept].astype(np.int32), shares, slopes)
