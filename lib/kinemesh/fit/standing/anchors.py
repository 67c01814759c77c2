"""Where points of bodies are held: at their place while they rest, on the floor if that is near, and never below it."""

from typing import NamedTuple

import numpy as np

from kinemesh.world.contacts import Rest, runs_of
from kinemesh.world.figures import FEET, KNEES, PELVIS, THORAX, Figure
from kinemesh.world.gravity import STOREY_M, Ground

# How far a resting point is from its place, from the floor, and a body below it, one standard deviation.
_HELD_M, _LEVEL_M, _BELOW_M = 0.01, 0.02, 0.02
# Odds of a contact at which it is held half as firmly as a sure one: who rests for certain stays, a foot that may slide may.
_UNSURE = 20.0
# From so far on a foot rests on something else than the floor: a stair, a chair (Geman and McClure's rule).
_STEP_M = 0.05
# Somebody on both feet for so long sways over them: along the line of sight, where keypoints hardly tell it, by so much; who is
# farther off bows or squats (the same rule).
_ON_BOTH_S, _SWAY_M, _BOW_M = 1.0, 0.05, 0.15
# The middle of a body's mass, by pelvis, thorax and feet (which stand for the legs' lower half; Winter, Biomechanics, 2009, by segments),
# is over the feet of who stands at rest, within so much.
_OF_PELVIS, _OF_THORAX = 0.43, 0.41
_SUPPORT_M = 0.05
# Who sits or squats has the pelvis at less than this part of the legs' length over the feet, who stands at more than that.
_SEATED, _UPRIGHT = 0.7, 0.85


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
            lowered += [off < -STOREY_M]
            near = (1 + (off / _STEP_M) ** 2) ** -2
            place = place - near * off * ground.up
            level[rows, point] = near * weights / _LEVEL_M**2
        places[rows, point] = place
        held[rows, point] = weights / (weights + _UNSURE * (1 - weights)) / _HELD_M**2
    # Whose feet mostly rest so far below the floor stands on another one, and is not lifted to this.
    if lowered and np.mean(lowered) > 0.5:
        below = np.zeros(shape)
    for own in _on_both_feet(figure, rests, fps):
        _hold_sway(figure, own, places[own, PELVIS], held[own, PELVIS])
        _hold_balance(figure, ground.up, own, places[own], held[own])
    return Anchors(places, held, heights, level, below)


def _on_both_feet(figure: Figure, rests: list[Rest], fps: float) -> list[slice]:
    """Frames in a row in which both feet rest."""
    is_resting = np.zeros((len(figure.points_m), 2), dtype=bool)  # left, right
    for point, first, stop in rests:
        if point in FEET:
            is_resting[first:stop, point % 2] = True
    runs = [run for rows in figure.segments for run in runs_of(is_resting[rows].all(axis=1), rows.start)]
    return [slice(first, stop) for first, stop in runs if stop - first >= _ON_BOTH_S * fps]


def _hold_sway(figure: Figure, own: slice, places: np.ndarray, held: np.ndarray) -> None:
    """Fill in where the pelvis (F, 3) is held while both feet rest, and the weights (F,): as far away as in the middle of that time."""
    middle = np.median(places, axis=0)
    ray = middle - figure.eyes_m[own].mean(axis=0)
    ray /= np.linalg.norm(ray)
    away = (places - middle) @ ray
    places -= away[:, None] * ray
    held[:] = (1 + (away / _BOW_M) ** 2) ** -2 / _SWAY_M**2


def _hold_balance(figure: Figure, up: np.ndarray, own: slice, places: np.ndarray, held: np.ndarray) -> None:
    """Lean places (F, P, 3) along the line of sight so that the body's mass is over the feet, and weigh the thorax as the pelvis."""
    points = figure.points_m[own]
    feet, pelvis, thorax = points[:, FEET].mean(axis=1), points[:, PELVIS], points[:, THORAX]
    sight = (pelvis - figure.eyes_m[own]).mean(axis=0)
    sight -= (sight @ up) * up
    sight /= max(np.linalg.norm(sight), 1e-9)
    knees = points[:, KNEES]
    legs = (np.linalg.norm(knees - pelvis[:, None], axis=2) + np.linalg.norm(knees - feet[:, None], axis=2)).mean(
        axis=1
    )
    upright = np.median((pelvis - feet) @ up / np.maximum(legs, 1e-9))
    share = np.clip((upright - _SEATED) / (_UPRIGHT - _SEATED), 0, 1)
    over = [np.median((part - feet) @ up) for part in (pelvis, thorax)]
    ahead = np.median(_OF_PELVIS * (pelvis - feet) @ sight + _OF_THORAX * (thorax - feet) @ sight)
    too_far = ahead - np.clip(ahead, -_SUPPORT_M, _SUPPORT_M)
    turn = share * too_far / max(_OF_PELVIS * over[0] + _OF_THORAX * over[1], 0.1)
    for point, height in zip((PELVIS, THORAX), over, strict=True):
        places[:, point] -= turn * height * sight
    held[:, THORAX] = share / _SWAY_M**2
