"""Where points of bodies are held: at their place while they rest, on the floor if that is near, and never below it."""

from typing import NamedTuple

import numpy as np

from kinemesh.world.contacts import Rest
from kinemesh.world.figures import FEET, Figure
from kinemesh.world.gravity import Ground

# How far a resting point is from its place, from the floor, and a body below it, one standard deviation.
_HELD_M, _LEVEL_M, _BELOW_M = 0.01, 0.02, 0.02
# From so far on a foot rests on something else than the floor: a stair, a chair (Geman and McClure's rule).
_STEP_M = 0.05


class Anchors(NamedTuple):
    """Of R frames, in the figures' axes; weights are precisions, 1 / m^2."""

    places_m: np.ndarray  # (R, P, 3)
    held: np.ndarray  # (R, P) weight towards the place
    heights_m: np.ndarray  # (R, P) along the vertical, at which a point lies on the floor
    level: np.ndarray  # (R, P) weight towards that height, of whatever is higher or lower
    below: np.ndarray  # (R, P) weight towards it, of what is lower


def find_anchors(
    figure: Figure, ground: Ground, rests: list[Rest], contacts: np.ndarray, clearances_m: np.ndarray
) -> Anchors:
    """What one person is held by."""
    shape = figure.points_m.shape[:2]
    places, held, level = figure.points_m.copy(), np.zeros(shape), np.zeros(shape)
    below = np.full(shape, _BELOW_M**-2 if ground.height_m is not None else 0.0)
    heights = np.broadcast_to((ground.height_m or 0.0) + clearances_m, shape)
    for point, first, stop in rests:
        if point not in FEET:
            continue
        rows = slice(first, stop)
        weights = contacts[rows, point]
        place = np.average(figure.points_m[rows, point], axis=0, weights=weights)
        if ground.height_m is not None:
            off = place @ ground.up - heights[first, point]
            near = (1 + (off / _STEP_M) ** 2) ** -2
            place = place - near * off * ground.up
            level[rows, point] = near * weights / _LEVEL_M**2
        places[rows, point] = place
        held[rows, point] = weights / _HELD_M**2
    return Anchors(places, held, heights, level, below)
