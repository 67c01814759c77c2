"""Triangles cut into rows of places, in arrays of rows of one length: NumPy is fast where nothing is looked up."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.render.raster.places import Places

# Of a place: middles this near outside an edge count as inside, so that rounding opens no crack between neighbours.
_EDGE_TOLERANCE = 1e-7
_LEAST_HEIGHT = 1e-6
_SPANS_AT_ONCE, _PLACES_AT_ONCE = 1 << 17, 1 << 17
_LONGEST = (1 << 16) - 1  # that a short integer holds, which is sorted fast


class Surface(NamedTuple):
    """Triangles in a picture; nearness is positive and rises evenly over each."""

    x: np.ndarray  # (3, n) corners, in columns of places
    y: np.ndarray  # (3, n) in rows
    level: np.ndarray  # (n,) nearness in the middle of the picture's first place
    rise_x: np.ndarray  # (n,) a column
    rise_y: np.ndarray  # (n,) a row
    lowest: np.ndarray  # (n,) of the corners
    highest: np.ndarray  # (n,)

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, nearness: np.ndarray, rise_x: np.ndarray, rise_y: np.ndarray):
        """Of corners (3, n) and their nearness (3, n)."""
        level = nearness[0] + (0.5 - x[0]) * rise_x + (0.5 - y[0]) * rise_y
        return cls(x, y, level, rise_x, rise_y, nearness.min(axis=0), nearness.max(axis=0))


class _Trapezoids(NamedTuple):
    """The parts of triangles above and below the middle corner: rows between a left and a right edge."""

    triangles: np.ndarray  # (n,)
    first_row: np.ndarray  # (n,) int32
    row_counts: np.ndarray  # (n,) int32
    left: np.ndarray  # (n,) where the first row's centre line meets the edge
    left_slope: np.ndarray  # (n,) a row
    right: np.ndarray
    right_slope: np.ndarray


class _Spans(NamedTuple):
    """Places of one row of a triangle."""

    triangles: np.ndarray  # (n,)
    numbers: np.ndarray  # (n,) int32, the first place's
    counts: np.ndarray  # (n,) int32
    columns: np.ndarray  # (n,) int32, where `near` is, at the first place or before it
    near: np.ndarray  # (n,)
    rises: np.ndarray  # (n,) a column


def nearest(surface: Surface, places: Places) -> np.ndarray:
    """(places,) int64: number and nearness, which is positive, of the nearest triangle; 0: none. See `numbers_of`.

    Of positive floats the greater has the greater bits, so that one maximum finds both. Memory does not grow with the
    number of triangles that lie one behind another.
    """
    best = np.zeros(places.count, dtype=np.int64)
    lowest_bits = _lowest_bits(surface)
    parts = _trapezoids(surface, places.size[1])
    is_crowded = int(parts.row_counts.sum()) > 4 * _SPANS_AT_ONCE
    if is_crowded:
        # The nearest first: what lies behind all that is seen then is not looked at.
        parts = _taken(parts, np.argsort(-surface.highest.take(parts.triangles), kind="stable"))
    for first, end in batches(parts.row_counts, _SPANS_AT_ONCE):
        if is_crowded and surface.highest[parts.triangles[first]] < best.min().view(np.float64):
            break
        chosen = _Trapezoids(*(values[first:end] for values in parts))
        spans = [_spans(some, length, surface, places) for length, some in _by_length(chosen, chosen.row_counts)]
        if spans:
            _lay(best, _Spans(*map(np.concatenate, zip(*spans, strict=True))), places, lowest_bits)
    return best


def numbers_of(found: np.ndarray, surface: Surface) -> np.ndarray:
    """Which triangles `nearest` names."""
    return found & _lowest_bits(surface)


def _lowest_bits(surface: Surface) -> int:
    """As many as a triangle's number takes."""
    return (1 << max(surface.x.shape[1] - 1, 1).bit_length()) - 1


def _lay(best: np.ndarray, spans: _Spans, places: Places, lowest_bits: int) -> None:
    last_place = np.int32(places.count - 1)
    for length, alike in _by_length(spans, spans.counts):
        at_once = max(1, _PLACES_AT_ONCE // length)
        for first in range(0, len(alike.counts), at_once):
            some = _Spans(*(values[first : first + at_once, None] for values in alike))
            along = np.arange(length, dtype=np.int32)
            is_there = along < some.counts
            # Where it is not, any place will do.
            numbers = np.minimum(some.numbers + along, last_place)
            if places.pixels is not None:
                along = places.rows_and_columns(numbers)[1] - some.columns
            near = some.near + some.rises * along
            found = near.view(np.int64) & ~lowest_bits | some.triangles
            np.maximum.at(best, numbers.ravel(), (found * is_there).ravel())


def _spans(parts: _Trapezoids, length: int, surface: Surface, places: Places) -> _Spans:
    """The rows of these parts that hold a place; each part has at most `length` rows."""
    width = places.size[0]
    below = np.arange(length, dtype=np.int32)
    left = parts.left[:, None] + parts.left_slope[:, None] * below
    right = parts.right[:, None] + parts.right_slope[:, None] * below
    # A border of the picture may be crossed less than half a place inside it.
    first = np.ceil(left - (0.5 + _EDGE_TOLERANCE)).clip(0, width).astype(np.int32)
    last = np.floor(right - (0.5 - _EDGE_TOLERANCE)).clip(-1, width - 1).astype(np.int32)
    kept = np.flatnonzero((first <= last) & (below < parts.row_counts[:, None]))
    part = kept.astype(np.int32) // np.int32(length)
    row = parts.first_row.take(part) + (kept.astype(np.int32) - part * np.int32(length))
    first, last = first.take(kept), last.take(kept)
    numbers = places.numbers(row, first)
    counts = places.numbers(row, last + np.int32(1)) - numbers
    if places.pixels is not None:
        kept = np.flatnonzero(counts)
        part, row, first, last, numbers, counts = (a.take(kept) for a in (part, row, first, last, numbers, counts))
    own = parts.triangles.take(part)
    rise = surface.rise_x.take(own)
    near = surface.level.take(own) + rise * first + surface.rise_y.take(own) * row
    # A sliver's slope is steep: between its corners it is never nearer than they are.
    low, high = surface.lowest.take(own), surface.highest.take(own)
    end = np.clip(near + rise * (last - first), low, high)
    near = np.clip(near, low, high)
    return _Spans(own, numbers, counts, first, near, (end - near) / np.maximum(last - first, 1))


def _by_length(items, counts: np.ndarray):
    """Lengths, and those of `items`, arrays (n, ...), whose `counts` (n,) are about that: none more, few much less."""
    order = np.argsort(np.minimum(counts, _LONGEST).astype(np.uint16), kind="stable")
    items, counts = _taken(items, order), counts.take(order)
    first, length = int(np.searchsorted(counts, 0, side="right")), 0
    while first < len(counts):
        length = max(length + 1, length * 3 // 2)
        end = int(np.searchsorted(counts, length, side="right"))
        if length >= _LONGEST:
            length, end = int(counts[first:].max()), len(counts)
        if end > first:
            yield length, type(items)(*(values[first:end] for values in items))
        first = end


def batches(counts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """First and end of slices of `counts` (n,) that sum to `most` at most, or are one alone."""
    ends = np.cumsum(counts, dtype=np.int64)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, end
        first = end


def _taken(arrays, which: np.ndarray):
    return type(arrays)(*(values.take(which) for values in arrays))


def _trapezoids(surface: Surface, height: int) -> _Trapezoids:
    x, y = list(surface.x), list(surface.y)
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
    slopes = [(x[b] - x[a]) / np.maximum(y[b] - y[a], _LEAST_HEIGHT) for a, b in ((0, 2), (0, 1), (1, 2))]
    is_middle_right = x[1] > x[0] + (y[1] - y[0]) * slopes[0]
    centres = limits[:2] + 0.5
    long = (x[0] + (centres - y[0]) * slopes[0]).ravel()[kept]
    short = np.concatenate([x[i] + (centres[i] - y[i]) * slopes[1 + i] for i in (0, 1)])[kept]
    long_slope, short_slope = np.tile(slopes[0], 2)[kept], np.concatenate(slopes[1:])[kept]
    is_right = np.tile(is_middle_right, 2)[kept]
    return _Trapezoids(
        np.tile(np.arange(len(x[0])), 2)[kept],
        first_row[kept],
        row_counts[kept],
        np.where(is_right, long, short),
        np.where(is_right, long_slope, short_slope),
        np.where(is_right, short, long),
        np.where(is_right, short_slope, long_slope),
    )
