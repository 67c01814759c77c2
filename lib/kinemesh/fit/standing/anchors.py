"""Where points of bodies are held: at their place while they rest, on the floor if that is near, and never below it."""

from typing import NamedTuple

import numpy as np

from kinemesh.world.contacts import Rest, runs_of
from kinemesh.world.figures import FEET, PELVIS, Figure
from kinemesh.world.gravity import Ground

# How far a resting point is from its place, from the floor, and a body below it, one standard deviation.
_HELD_M, _LEVEL_M, _BELOW_M = 0.01, 0.02, 0.02
# From so far on a foot rests on something else than the floor: a stair, a chair (Geman and McClure's rule).
_STEP_M = 0.05
# Whose feet mostly rest so far below it stands on another floor, and is not lifted to this one.
_STOREY_M = 0.3
# Somebody on both feet for so long sways over them: along the line of sight, where keypoints hardly tell it, by so much; who is
# farther off bows or squats (the same rule).
_ON_BOTH_S, _SWAY_M, _BOW_M = 1.0, 0.05, 0.15


class Anchors(NamedTuple):
    """Of R frames, in the figures' axes; weights are precisions, 1 / m^2."""

    places_m: np.ndarray  # (R, P, 3)
    held: np.ndarray  # (R, P) weight towards the place
    heights_m: np.ndarray  # (R, P) along the vertical, at which a point lies on the floor
    level: np.ndarray  # (R, P) weight towards that height, of whatever is higher or lower
    below: np.ndarray  # (R, P) weight towards it, of what is lower


def find_anchors(
    figure: Figure, ground: Ground, rests: list[Rest], contacts: np.ndarray, clearances_m: np.ndarray, fps: float
) -> Anchors:
    """What one person is held by."""
    shape = figure.points_m.shape[:2]
    places, held, level = figure.points_m.copy(), np.zeros(shape), np.zeros(shape)
    below = np.full(shape, _BELOW_M**-2 if ground.height_m is not None else 0.0)
    heights = np.broadcast_to((ground.height_m or 0.0) + clearances_m, shape)
    lowered = []
    for point, first, stop in rests:
        if point not in FEET:
            continue
        rows = slice(first, stop)
        weights = contacts[rows, point]
        place = weights @ figure.points_m[rows, point] / weights.sum()
        if ground.height_m is not None:
            off = place @ ground.up - heights[first, point]
            lowered += [off < -_STOREY_M]
            near = (1 + (off / _STEP_M) ** 2) ** -2
            place = place - near * off * ground.up
            level[rows, point] = near * weights / _LEVEL_M**2
        places[rows, point] = place
        held[rows, point] = weights / _HELD_M**2
    if lowered and np.mean(lowered) > 0.5:
        below = np.zeros(shape)
    _hold_sway(figure, rests, fps, places[:, PELVIS], held[:, PELVIS])
    return Anchors(places, held, heights, level, below)


def _hold_sway(figure: Figure, rests: list[Rest], fps: float, places: np.ndarray, held: np.ndarray) -> None:
    """Fill in where the pelvis (F, 3) is held while both feet rest, and the weights (F,): as far away as in the middle of that time."""
    is_resting = np.zeros((len(places), 2), dtype=bool)  # left, right
    for point, first, stop in rests:
        if point in FEET:
            is_resting[first:stop, point % 2] = True
    for rows in figure.segments:
        for first, stop in runs_of(is_resting[rows].all(axis=1), rows.start):
            if stop - first < _ON_BOTH_S * fps:
                continue
            own = slice(first, stop)
            middle = np.median(places[own], axis=0)
            ray = middle - figure.eyes_m[own].mean(axis=0)
            ray /= np.linalg.norm(ray)
            away = (places[own] - middle) @ ray
            places[own] -= away[:, None] * ray
            held[own] = (1 + (away / _BOW_M) ** 2) ** -2 / _SWAY_M**2
