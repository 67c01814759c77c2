"""Triangles cut into rows of pixels, and the nearest of all triangles at each place, in arrays of many at once."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.render.raster.surface import Surface, laid, nearness_of

# Of a pixel: middles this near outside an edge count as inside, so that rounding opens no crack between neighbours.
_TOLERANCE = 1e-6
# An edge as level as this bounds no row; what lies above and below it is cut by the corners' heights.
_LEAST_HEIGHT = 1e-6
# What is looked at at once: rows of triangles, and pixels of those.
_ROWS_AT_ONCE, _PIXELS_AT_ONCE = 1 << 17, 1 << 16
_LONGEST = (1 << 16) - 1  # that a short integer holds, which is sorted fast


class Places(NamedTuple):
    """Where a picture is looked at: place (s, k) of (samples * samples, K) is the s-th in the k-th pixel."""

    size: tuple[int, int]  # width and height of the picture
    samples: int
    pixels: np.ndarray | None  # (K,) row * width + column, rising; None: all

    @property
    def pixel_count(self) -> int:
        return self.size[0] * self.size[1] if self.pixels is None else len(self.pixels)

    @property
    def offsets(self) -> np.ndarray:
        """(2, samples * samples) float32, down and across: places from a pixel's middle, each in a row and column of its own.

        So an edge that is nearly level or upright is as smooth as one that is not (rotated grid supersampling).
        """
        row, column = np.divmod(np.arange(self.samples**2), self.samples)
        own = np.stack([row * self.samples + column, column * self.samples + self.samples - 1 - row])
        return ((own + 0.5) / self.samples**2 - 0.5).astype(np.float32)

    def middles(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x and y (n,) float32 px of these places, by their numbers (n,) int32."""
        width, down, across = np.int32(self.size[0]), np.float32(0.5), np.float32(0.5)
        pixels = numbers
        if self.samples > 1:
            sample = numbers // np.int32(self.pixel_count)
            pixels = numbers - sample * np.int32(self.pixel_count)
            down, across = ((offset + down).take(sample) for offset in self.offsets)
        if self.pixels is not None:
            pixels = self.pixels.take(pixels)
        rows = pixels // width
        return (pixels - rows * width).astype(np.float32) + across, rows.astype(np.float32) + down


class _Parts(NamedTuple):
    """Triangles as what lies between two lines on the left and two on the right; lines are columns in the first row."""

    triangles: np.ndarray  # (n,) int32
    rows: np.ndarray  # (n,) int32, the first
    counts: np.ndarray  # (n,) int32, of rows
    lines: np.ndarray  # (4, n) the left ones first; as far as is reached beyond them
    slopes: np.ndarray  # (4, n) a row


class _Spans(NamedTuple):
    """Pixels of one row which a triangle covers or, where a pixel has several places, may."""

    triangles: np.ndarray  # (n,) int32
    rows: np.ndarray  # (n,) int32
    columns: np.ndarray  # (n,) int32, the first
    counts: np.ndarray  # (n,) int32


def nearest(surface: Surface, places: Places) -> np.ndarray:
    """(places,) int64: the nearest triangle as `kinemesh.render.raster.surface.laid` has it; 0: none.

    Memory does not grow with the number of triangles that lie one behind another.
    """
    best = np.zeros(places.samples**2 * places.pixel_count, dtype=np.int64)
    parts = _parts(surface, places)
    is_crowded = int(parts.counts.sum()) > 4 * _ROWS_AT_ONCE
    if is_crowded:
        # The nearest first: what lies behind all that is seen then is not looked at.
        parts = _chosen(parts, np.argsort(-surface.highest.take(parts.triangles), kind="stable"))
    ranks = None
    if places.pixels is not None:
        ranks = np.full(places.size[0] * places.size[1], -1, dtype=np.int32)
        ranks[places.pixels] = np.arange(len(places.pixels), dtype=np.int32)
    for first, end in batches(parts.counts, _ROWS_AT_ONCE):
        if is_crowded and surface.highest[parts.triangles[first]] < nearness_of(best.min()):
            break
        some = _chosen(parts, slice(first, end))
        spans = [_spans(alike, length, places.size[0]) for length, alike in _by_length(some)]
        if spans:
            _lay(best, _Spans(*map(np.concatenate, zip(*spans, strict=True))), ranks, surface, places)
    return best


def _parts(surface: Surface, places: Places) -> _Parts:
    """The triangles that may cover a place."""
    reach, height = float(places.offsets.max()) + _TOLERANCE, places.size[1]
    first = np.ceil(surface.y.min(axis=0) - (0.5 + reach)).clip(0, height).astype(np.int32)
    counts = np.floor(surface.y.max(axis=0) - (0.5 - reach)).clip(-1, height - 1).astype(np.int32) + 1 - first
    kept = np.flatnonzero(counts > 0).astype(np.int32)
    first, counts, x, y = (values.take(kept, axis=-1) for values in (first, counts, surface.x, surface.y))
    middles, edges = first + 0.5, []
    for one, other in ((0, 1), (1, 2), (2, 0)):
        rise = y[other] - y[one]
        slope = (x[other] - x[one]) / np.where(np.abs(rise) < _LEAST_HEIGHT, np.inf, rise)
        edges.append((rise, x[one] + (middles - y[one]) * slope, slope))
    lines, slopes = np.empty((4, len(kept))), np.empty((4, len(kept)))
    # An edge that leads down is on the left, one or two of the three; a level one is on neither side.
    for number, (outwards, order) in enumerate(((-1, (0, 1, 2)), (-1, (2, 1, 0)), (1, (0, 1, 2)), (1, (2, 1, 0)))):
        (rise, line, slope), (other_rise, other_line, other_slope), (_, last_line, last_slope) = (
            edges[i] for i in order
        )
        own, other = (-outwards * values >= _LEAST_HEIGHT for values in (rise, other_rise))
        slopes[number] = np.where(own, slope, np.where(other, other_slope, last_slope))
        lines[number] = np.where(own, line, np.where(other, other_line, last_line))
        lines[number] += outwards * (reach + (reach - _TOLERANCE) * np.abs(slopes[number]))
    return _Parts(kept, first, counts, lines, slopes)


def _spans(parts: _Parts, length: int, width: int) -> _Spans:
    """The rows of these triangles that hold a pixel; each has at most `length`."""
    below = np.arange(length, dtype=np.int32)[:, None]
    # (length, n): loops over many triangles are faster than over a few rows.
    first, other = (line + slope * below for line, slope in zip(parts.lines[:2], parts.slopes[:2], strict=True))
    left = np.ceil(np.maximum(first, other, out=first) - 0.5).clip(0, width).astype(np.int32)
    first, other = (line + slope * below for line, slope in zip(parts.lines[2:], parts.slopes[2:], strict=True))
    counts = np.floor(np.minimum(first, other, out=first) + 0.5).clip(0, width).astype(np.int32) - left
    kept = np.flatnonzero((counts > 0) & (below < parts.counts)).astype(np.int32)
    row = kept // np.int32(len(parts.counts))
    part = kept - row * np.int32(len(parts.counts))
    return _Spans(
        parts.triangles.take(part), parts.rows.take(part) + row, left.ravel().take(kept), counts.ravel().take(kept)
    )


def _lay(best: np.ndarray, spans: _Spans, ranks: np.ndarray | None, surface: Surface, places: Places) -> None:
    """Lay these pixels on `best`; `ranks` (pixels of the picture,) is which of the places' pixels each is, or -1."""
    last = np.int32(places.size[0] * places.size[1] - 1)
    for length, alike in _by_length(spans):
        at_once = max(1, _PIXELS_AT_ONCE // length)
        for first in range(0, len(alike.counts), at_once):
            some = _chosen(alike, slice(first, first + at_once))
            along = np.arange(length, dtype=np.int32)[:, None]
            # Where there is none any more, any will do.
            pixels = np.minimum(some.rows * np.int32(places.size[0]) + some.columns + along, last)
            is_there = along < some.counts
            if ranks is not None:
                pixels = ranks.take(pixels)
                is_there &= pixels >= 0
            if ranks is None and places.samples == 1:
                near = surface.near.at(some.triangles, some.rows, some.columns)
                near = near + surface.near.across.take(some.triangles) * along
                found = laid(_between_corners(near, surface, some.triangles), some.triangles)
                np.maximum.at(best, pixels.ravel(), (found * is_there).ravel())
            else:
                there = np.flatnonzero(is_there).astype(np.int32)
                column = there // np.int32(len(some.counts))
                own = there - column * np.int32(len(some.counts))
                pieces = some.triangles, some.rows, some.columns
                triangles, rows, columns = (values.take(own) for values in pieces)
                _lay_samples(best, triangles, rows, columns + column, pixels.ravel().take(there), surface, places)


def _by_length(items: _Parts | _Spans) -> Iterator[tuple[int, _Parts | _Spans]]:
    """Lengths, and those of `items` whose counts are about that: none more, few much less."""
    order = np.argsort(np.minimum(items.counts, _LONGEST).astype(np.uint16), kind="stable")
    items = _chosen(items, order)
    first, length = int(np.searchsorted(items.counts, np.int32(0), side="right")), 0
    while first < len(items.counts):
        length = max(length + 1, length * 3 // 2)
        end = int(np.searchsorted(items.counts, np.int32(length), side="right"))  # of another type all would be copied
        if length >= _LONGEST:
            length, end = int(items.counts[first:].max()), len(items.counts)
        if end > first:
            yield length, _chosen(items, slice(first, end))
        first = end


def _chosen(items: _Parts | _Spans, which: np.ndarray | slice) -> _Parts | _Spans:
    if isinstance(which, slice):
        return type(items)(*(values[..., which] for values in items))
    return type(items)(*(values.take(which, axis=-1) for values in items))


def _lay_samples(best, triangles, rows, columns, pixels, surface: Surface, places: Places) -> None:
    """Several places in each of these pixels (n,) of triangles (n,)."""
    offsets_down, offsets_across = places.offsets[..., None]
    rows, columns = rows.astype(np.float64), columns.astype(np.float64)
    values, slack = [], []
    for plane in (surface.second, surface.third, surface.near):
        level, across, down = (part.take(triangles) for part in plane)
        level += columns * across
        level += rows * down
        level, across, down = (part.astype(np.float32) for part in (level, across, down))
        values.append(level + offsets_down * down + offsets_across * across)
        slack.append(-np.float32(_TOLERANCE) * (np.abs(across) + np.abs(down)))
    second, third, near = values
    inside = (second >= slack[0]) & (third >= slack[1])
    second += third
    inside &= second <= 1 - slack[0] - slack[1]
    found = np.flatnonzero(inside).astype(np.int32)
    sample = found // np.int32(len(triangles))
    pair = found - sample * np.int32(len(triangles))
    triangles = triangles.take(pair)
    near = near.ravel().take(found)
    numbers = sample * np.int32(places.pixel_count) + pixels.take(pair)
    np.maximum.at(best, numbers, laid(_between_corners(near, surface, triangles), triangles))


def _between_corners(near: np.ndarray, surface: Surface, triangles: np.ndarray) -> np.ndarray:
    """Nearness as float32, nowhere beyond that of the corners: a sliver's slope is steep."""
    near = np.minimum(near, surface.highest.take(triangles))
    return np.maximum(near, surface.lowest.take(triangles), out=near).astype(np.float32)


def batches(counts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """First and end of slices of `counts` (n,) that sum to `most` at most, or are one alone."""
    ends = np.cumsum(counts, dtype=np.int64)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, end
        first = end
