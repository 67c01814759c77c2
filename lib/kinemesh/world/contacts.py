"""How likely toes, heels and hands touch something that stands still: by their speed, and their height above it."""

from typing import NamedTuple

import numpy as np

from kinemesh.world.figures import CONTACT_COUNT, FEET, Figure

# Logistic regression on made-up people, none of them a benchmark's: the constant, then across the line of sight, along it
# (where speed is told worst), and height. A point in contact moves less than 0.3 m/s within 80 mm of the floor.
_WEIGHTS = (-9.2, -1.2, -0.3, -1.1)
_FLOORS = (0.1, 0.3, 0.05)
# So high above what bears somebody, a foot that is slow hangs there, as at the top of a jump.
_HIGH_M = 0.12
# What somebody rests on is as low as the lowest foot gets in this time: it may rise, as stairs do, and drift with the place.
_AROUND_S = 0.6
_SMOOTHED_S = 0.07
_LIKELY = 0.5
_SHORTEST_S = 0.1
# Somebody who stands shifts a foot now and then.
_SHIFTED_M = 0.06


class Rest(NamedTuple):
    """A point that stays where it is for some frames."""

    point: int  # of CONTACT_NAMES
    first: int
    stop: int  # rows of the figure


def contact_probabilities(figure: Figure, up: np.ndarray, clearances_m: np.ndarray, fps: float) -> np.ndarray:
    """(F, C) of `CONTACT_NAMES`, for a vertical `up` (3,)."""
    found = np.zeros((len(figure.frame_ids), CONTACT_COUNT))
    rays = figure.rays[:, :CONTACT_COUNT]
    for rows in figure.segments:
        points = figure.points_m[rows, :CONTACT_COUNT]
        if len(points) < 3:
            continue
        speed = np.gradient(_mean_in_time(points, _SMOOTHED_S * fps), axis=0) * fps
        along = (speed * rays[rows]).sum(axis=-1)
        across = np.linalg.norm(speed - along[..., None] * rays[rows], axis=-1)
        height = points @ up - clearances_m[:CONTACT_COUNT]
        above = np.maximum(height - _lowest_around(height[:, FEET].min(axis=1), _AROUND_S * fps)[:, None], 0.0)
        columns = zip((across, along, above), _FLOORS, _WEIGHTS[1:], strict=True)
        logit = _WEIGHTS[0] + sum(weight * np.log(value**2 + least**2) for value, least, weight in columns)
        found[rows] = 1 / (1 + np.exp(-logit)) / (1 + (above / _HIGH_M) ** 4)
    return found


def rests_of(figure: Figure, contacts: np.ndarray, fps: float) -> list[Rest]:
    """The times in which each point stays in its place, cut where it has been moved across the line of sight."""
    found = []
    for rows in figure.segments:
        for point in range(CONTACT_COUNT):
            is_likely = np.r_[False, contacts[rows, point] > _LIKELY, False]
            starts, stops = (rows.start + np.flatnonzero(np.diff(is_likely.astype(int)) == way) for way in (1, -1))
            for first, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                found += [Rest(point, *part) for part in _unmoved(figure, point, first, stop)]
    return [rest for rest in found if rest.stop - rest.first >= max(2, _SHORTEST_S * fps)]


def _unmoved(figure: Figure, point: int, first: int, stop: int) -> list[tuple[int, int]]:
    """The frames in parts in which the point stays within a step's length of a shift."""
    places = figure.points_m[first:stop, point]
    middle = places.mean(axis=0)
    ray = middle - figure.eyes_m[first:stop].mean(axis=0)
    ray /= np.linalg.norm(ray)
    seen = places - middle
    seen = seen - (seen @ ray)[:, None] * ray
    steps = np.abs(seen[:, None] - seen[None, :: max(1, len(seen) // 32)]).max() if len(seen) > 1 else 0.0
    if steps < _SHIFTED_M or stop - first < 4:
        return [(first, stop)]
    # Where two halves lie farthest apart.
    sums = np.cumsum(seen, axis=0)
    counts = np.arange(1, len(seen))[:, None]
    apart = np.linalg.norm(sums[:-1] / counts - (sums[-1] - sums[:-1]) / (len(seen) - counts), axis=1)
    cut = first + 1 + int((apart * np.sqrt(counts * (len(seen) - counts))[:, 0]).argmax())
    return _unmoved(figure, point, first, cut) + _unmoved(figure, point, cut, stop)


def _mean_in_time(values: np.ndarray, spread: float) -> np.ndarray:
    """(F, ...) each frame's mean with those around it, by a Gaussian."""
    radius = max(1, round(2 * spread))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(spread, 0.5)) ** 2)
    flat = np.pad(values.reshape(len(values), -1), ((radius, radius), (0, 0)), mode="edge")
    summed = sum(weight * flat[place : place + len(values)] for place, weight in enumerate(kernel / kernel.sum()))
    return summed.reshape(values.shape)


def _lowest_around(values: np.ndarray, radius: float) -> np.ndarray:
    """(F,) the least of the frames around each, without its corners."""
    reach = max(1, round(radius))
    padded = np.pad(values, reach, mode="edge")
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    return _mean_in_time(least, reach / 4)
