"""How likely toes, heels and hands touch something that stands still: by their speed, and their height above it."""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.geometry.neighbours import gaussian_around, largest_around
from kinemesh.world.figures import CONTACT_COUNT, FEET, TOE_OF_HEEL, Figure

# Logistic regression on made-up people, none of them a benchmark's: the constant, then across the line of sight, along it
# (where speed is told worst), and height. A point in contact moves less than 0.3 m/s within 80 mm of the floor.
_WEIGHTS = (-9.2, -1.2, -0.3, -1.1)
_FLOORS = (0.1, 0.3, 0.05)
# So high above what bears somebody, a foot that is slow hangs there, as at the top of a jump.
_HIGH_M = 0.12
# What somebody rests on is as low as the lowest foot gets in this time: it may rise, as stairs do, and drift with the place.
_AROUND_S = 0.6
# The slower of two: the short contacts of who runs drown in the longer mean, all others' tremble in the shorter.
_SMOOTHED_S = (0.07, 0.03)
_LIKELY = 0.5
_SHORTEST_S = 0.1
# Somebody who stands shifts a foot now and then.
_SHIFTED_M = 0.06
# Toes that keypoints hardly show, or not at all, are guessed to either side of where they are while the heel stays.
_WAGGED_M = 0.1


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
        columns = torch.from_numpy(points.reshape(len(points), -1).T)
        smooth = (gaussian_around(columns, width * fps).numpy().T.reshape(points.shape) for width in _SMOOTHED_S)
        speeds = [_speeds(each, rays[rows], fps) for each in smooth]
        across, along = np.min(speeds, axis=0)
        height = points @ up - clearances_m[:CONTACT_COUNT]
        above = np.maximum(height - _lowest_around(height[:, FEET].min(axis=1), _AROUND_S * fps)[:, None], 0.0)
        columns = zip((across, along, above), _FLOORS, _WEIGHTS[1:], strict=True)
        logit = _WEIGHTS[0] + sum(weight * np.log(value**2 + least**2) for value, least, weight in columns)
        found[rows] = 1 / (1 + np.exp(-logit)) / (1 + (above / _HIGH_M) ** 4)
    return found


def _speeds(points_m: np.ndarray, rays: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """(F, C) each, m/s: across the line of sight and, by its absolute value, along it."""
    speed = np.gradient(points_m, axis=0) * fps
    along = (speed * rays).sum(axis=-1)
    return np.linalg.norm(speed - along[..., None] * rays, axis=-1), np.abs(along)


def rests_of(figure: Figure, contacts: np.ndarray, fps: float) -> list[Rest]:
    """The times in which each point stays in its place, cut where it has been moved across the line of sight."""
    found: dict[int, list[Rest]] = {}
    shortest = max(2, _SHORTEST_S * fps)
    # Heels before toes, whose rests theirs may join.
    for point in sorted(range(CONTACT_COUNT), key=lambda point: point not in TOE_OF_HEEL):
        found[point] = []
        for rows in figure.segments:
            runs = runs_of(contacts[rows, point] > _LIKELY, rows.start)
            parts = [part for run in runs if run[1] - run[0] >= shortest for part in _unmoved(figure, point, *run)]
            rests = [Rest(point, *part) for part in parts if part[1] - part[0] >= shortest]
            heel = [rest for heel, toe in TOE_OF_HEEL.items() if toe == point for rest in found[heel]]
            found[point] += _joined(figure, rests, heel)
    return [rest for point in range(CONTACT_COUNT) for rest in found[point]]


def _joined(figure: Figure, rests: list[Rest], heel: list[Rest]) -> list[Rest]:
    """Rests of one point, as one those between which it only wags; `heel`: the rests of what it is the toe of, if it is one."""
    made: list[Rest] = []
    for rest in rests:
        before = made[-1] if made else rest
        is_borne = any(other.first < before.stop and rest.first < other.stop for other in heel)
        if made and is_borne and _apart_m(figure, before, rest) < _WAGGED_M:
            rest = made.pop()._replace(stop=rest.stop)
        made.append(rest)
    return made


def _apart_m(figure: Figure, one: Rest, other: Rest) -> float:
    """How far two rests of a point lie apart across the line of sight."""
    places = [figure.points_m[rest.first : rest.stop, rest.point].mean(axis=0) for rest in (one, other)]
    ray = places[0] - figure.eyes_m[one.stop - 1]
    ray /= np.linalg.norm(ray)
    apart = places[1] - places[0]
    return float(np.linalg.norm(apart - (apart @ ray) * ray))


def runs_of(flags: np.ndarray, start: int = 0) -> list[tuple[int, int]]:
    """First and stop of each run of set flags (F,), counted from `start`."""
    changes = np.diff(np.r_[False, flags, False].astype(int))
    starts, stops = (start + np.flatnonzero(changes == way) for way in (1, -1))
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _unmoved(figure: Figure, point: int, first: int, stop: int) -> list[tuple[int, int]]:
    """The frames in parts in which the point stays within a step's length of a shift."""
    places = figure.points_m[first:stop, point]
    # Most of them stay in all directions.
    if stop - first < 4 or np.square(places.max(axis=0) - places.min(axis=0)).sum() < _SHIFTED_M**2:
        return [(first, stop)]
    middle = places.sum(axis=0) / len(places)
    ray = middle - figure.eyes_m[(first + stop) // 2]
    seen = places - middle
    seen = seen - (seen @ ray)[:, None] * (ray / (ray @ ray))
    if (seen.max(axis=0) - seen.min(axis=0)).max() < _SHIFTED_M:
        return [(first, stop)]
    # Where two halves lie farthest apart.
    sums = np.cumsum(seen, axis=0)
    counts = np.arange(1, len(seen))[:, None]
    apart = np.square(sums[:-1] / counts - (sums[-1] - sums[:-1]) / (len(seen) - counts)).sum(axis=1)
    cut = first + 1 + int((apart * (counts * (len(seen) - counts))[:, 0]).argmax())
    return _unmoved(figure, point, first, cut) + _unmoved(figure, point, cut, stop)


def _lowest_around(values: np.ndarray, radius: float) -> np.ndarray:
    """(F,) the least of the frames around each, without its corners."""
    reach = max(1, round(radius))
    least = -largest_around(-torch.from_numpy(values)[None], reach)
    return gaussian_around(least, reach / 4)[0].numpy()
