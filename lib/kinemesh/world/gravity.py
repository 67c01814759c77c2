"""Which way is up, and how high the floor: from bodies that stand upright, and the feet of everybody that rest on one plane.

One least-squares problem: two angles of the vertical, the height of the floor, and for each person how much larger and
farther away than estimated. Bodies say the vertical by the line from their feet to their middle, resting feet by the
plane through them; both count by their measured uncertainty, and what is left of it is that of the answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kinemesh.world.contacts import Rest, contact_probabilities, rests_of
from kinemesh.world.figures import FEET, KNEES, PELVIS, THORAX, Figure

# Of one person's line from feet to middle, on made-up people: one standard deviation about each axis, 5 degrees together;
# what all of a video's people share, as one estimator made them, does not become less with their number.
_LINE_ERROR, _SHARED_ERROR = np.radians(4.0), np.radians(3.0)
# A resting foot's height above the floor, and its place along the line of sight, against others of the same person.
_HEIGHT_ERROR_M, _DEPTH_ERROR_M = 0.06, 0.06
# People are estimated this much too large and far, or small and near.
_SIZE_ERROR = 0.03
# So many standard deviations off, half of a measurement's weight is gone (Geman and McClure).
_FAR_OFF = 3.0
# Somebody upright: from hip to foot, in parts of the way by the knee, of the straighter leg; the trunk's angle to the legs;
# and how far the line may be from the vertical supposed before.
_STRAIGHT_LEG, _STRAIGHT_SOFT = 0.92, 0.015
_BOWED, _UPRIGHT = np.radians(50.0), np.radians(40.0)
_LEAST_UPRIGHT_S = 0.3
# Somebody who is bent all the time is off by so much more, in line and feet alike; of several people the most upright counts.
_BENT_ERROR = np.radians(6.0)
_MOST_LEANING = 1.4
_SAME_TIME_S = 0.5
_ROUNDS, _STEPS = 3, 4
# A vertical that turns less than that in a round, radians, rests the same feet.
_SETTLED = 0.004
# Heights of one floor come out as near as this.
_LEVEL_M = 0.04
_SAME_HEIGHT_M, _HEIGHTS_AT_ONCE = 1e-3, 1000
# Whose feet rest higher or lower by more than that, and this part of the way between, is on another floor: one on a roof,
# one on the lawn.
STOREY_M, _SLOPE = 0.3, 0.2


class Ground(NamedTuple):
    """A vertical and a floor."""

    up: np.ndarray  # (3,) unit vector
    error_deg: float  # one standard deviation about each horizontal axis
    height_m: float | None  # of the floor: `up @ point` of its points; None: nobody's feet rest
    growth: np.ndarray  # (people,) by which part people are larger and farther away than estimated
    contacts: list[np.ndarray]  # of each person (F, C)
    rests: list[list[Rest]]  # of each person


class _Resting(NamedTuple):
    """R feet that rest, one row each."""

    places_m: np.ndarray  # (R, 3) from the eye
    eyes_m: np.ndarray  # (R, 3)
    clearances_m: np.ndarray  # (R,)
    owner: np.ndarray  # (R,) int64
    seconds: np.ndarray  # (R,)
    upright: np.ndarray  # (R,) in [0, 1]: whether it bears somebody upright


def find_ground(
    figures: list[Figure], clearances_m: np.ndarray, fps: float, supposed: np.ndarray, *, is_known: bool
) -> Ground:
    """The vertical and the floor of everybody.

    Args:
        supposed: (3,) the vertical to begin with.
        is_known: it is the vertical; only the floor is looked for.
    """
    up, error = supposed / np.linalg.norm(supposed), 0.0
    people = len(figures)
    for _ in range(1 if is_known else _ROUNDS):
        contacts = [contact_probabilities(figure, up, clearances_m, fps) for figure in figures]
        rests = [rests_of(figure, own, fps) for figure, own in zip(figures, contacts, strict=True)]
        posture = [_posture(figure, up) for figure in figures]
        resting = _resting(figures, rests, posture, clearances_m, fps)
        if not is_known:
            lines = _lines(posture, fps)
            before = up
            up, error, _, _ = _solve(up, lines, resting, people)
            error = np.hypot(error, _BENT_ERROR * (1 - _most_upright(figures, posture)))
            if np.linalg.norm(up - before) < _SETTLED:
                break
    # The floor also bears whom it tells nothing of the vertical.
    up, _, height, growth = _solve(up, None, resting, people)
    return Ground(up, float(np.degrees(error)), height, growth, contacts, rests)


def _resting(
    figures: list[Figure],
    rests: list[list[Rest]],
    posture: list[tuple[np.ndarray, np.ndarray]],
    clearances_m: np.ndarray,
    fps: float,
) -> _Resting:
    rows = []
    for person, (figure, own) in enumerate(zip(figures, rests, strict=True)):
        for point, first, stop in own:
            if point in FEET and figure.is_told[first:stop].any():
                eye = figure.eyes_m[first:stop].mean(axis=0)
                place = figure.points_m[first:stop, point].mean(axis=0) - eye
                upright = posture[person][1][first:stop].mean()
                rows.append((*place, *eye, clearances_m[point], person, (stop - first) / fps, upright))
    table = np.array(rows).reshape(-1, 10)
    return _Resting(table[:, :3], table[:, 3:6], table[:, 6], table[:, 7].astype(np.int64), table[:, 8], table[:, 9])


def _posture(figure: Figure, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each frame the direction from feet to middle (F, 3), and how surely that is somebody upright (F,)."""
    feet = figure.points_m[:, FEET].reshape(len(figure.points_m), 2, 2, 3).mean(axis=1)  # of each side
    knees, pelvis, thorax = figure.points_m[:, KNEES], figure.points_m[:, PELVIS], figure.points_m[:, THORAX]
    leg, trunk = pelvis - feet.mean(axis=1), thorax - pelvis
    length = np.linalg.norm(knees - pelvis[:, None], axis=-1) + np.linalg.norm(feet - knees, axis=-1)
    reach = np.linalg.norm(feet - pelvis[:, None], axis=-1)
    straight = (reach / np.maximum(length, 1e-6)).max(axis=1)
    line = leg + trunk / 2
    line, leg, trunk = (
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-6) for part in (line, leg, trunk)
    )
    weights = 1 / (1 + np.exp(-(straight - _STRAIGHT_LEG) / _STRAIGHT_SOFT))
    is_upright = ((leg * trunk).sum(axis=1) > np.cos(_BOWED)) & (line @ up > np.cos(_UPRIGHT))
    return line, weights * (figure.is_told & is_upright)


def _most_upright(figures: list[Figure], posture: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The share of the frames that tell anything in which somebody is upright, of the person of whom it is largest."""
    told = ((figure.is_told.sum(), weights.sum()) for figure, (_, weights) in zip(figures, posture, strict=True))
    return max((float(upright / count) for count, upright in told if count), default=0.0)


def _lines(posture: list[tuple[np.ndarray, np.ndarray]], fps: float) -> list[tuple[np.ndarray, float]]:
    """Of each person who is upright for a while: the mean direction from feet to middle, and its error, radians."""
    found = []
    for line, weights in posture:
        if weights.sum() < _LEAST_UPRIGHT_S * fps:
            continue
        mean = _median_direction(line, weights)
        scatter = np.sqrt(np.average(np.linalg.norm(line - mean, axis=1) ** 2, weights=weights) / 2)
        moments = max(1.0, weights.sum() / (_SAME_TIME_S * fps))
        found.append((mean, float(np.hypot(_LINE_ERROR, scatter / np.sqrt(moments)))))
    return [(mean, float(np.hypot(error, _SHARED_ERROR * np.sqrt(len(found))))) for mean, error in found]


def _median_direction(directions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(3,) the direction nearest to all (F, 3), by the sum of distances (Weiszfeld's rule)."""
    mean = np.average(directions, axis=0, weights=weights)
    for _ in range(8):
        apart = np.linalg.norm(directions - mean, axis=1)
        mean = np.average(directions, axis=0, weights=weights / np.maximum(apart, 0.02))
    return mean / np.linalg.norm(mean)


def _solve(
    up: np.ndarray, lines: list[tuple[np.ndarray, float]] | None, resting: _Resting, people: int
) -> tuple[np.ndarray, float, float | None, np.ndarray]:
    """The vertical, its error in radians, the floor's height and everybody's growth. `lines` None: `up` is known."""
    growth = np.zeros(people)
    if lines is None and not len(resting.owner):
        return up, 0.0, None, growth
    storeys = _storeys(resting, _mean_line(lines, up))
    floors = [_Resting(*(part[storeys == number] for part in resting)) for number in np.unique(storeys)]
    heights = np.array([_level(each, up) for each in floors])
    first = 2 + len(heights)  # of people's columns
    depth = np.linalg.norm(resting.places_m, axis=1, keepdims=True)
    covariance = np.eye(2)
    for step in range(_STEPS):
        east, north = _across(up)
        size = first + people
        matrix, right = np.diag(np.r_[np.full(first, 1e-6), np.full(people, _SIZE_ERROR**-2)]), np.zeros(size)
        right[first:] = -growth / _SIZE_ERROR**2
        for direction, error in lines or ():
            off = np.array([direction @ east, direction @ north])
            weight = error**-2
            # Turning the vertical by w moves it along `east` by w[0], `north` by w[1].
            matrix[[0, 1], [0, 1]] += weight
            right[:2] += weight * off
        if len(heights):
            grown = resting.places_m * (1 + growth[resting.owner])[:, None] + resting.eyes_m
            off = grown @ up - resting.clearances_m - heights[storeys]
            along = (resting.places_m / np.maximum(depth, 1e-6)) @ up
            error = np.hypot(_HEIGHT_ERROR_M, _DEPTH_ERROR_M * along)
            # The first step is to bring people of wrong sizes to one floor.
            weight = _robust(off / error, _FAR_OFF * (3 if step == 0 else 1)) / error**2
            if lines is not None:
                weight *= resting.upright
            rows = np.zeros((len(storeys), size))
            rows[:, 0], rows[:, 1] = grown @ east, grown @ north
            rows[np.arange(len(storeys)), 2 + storeys] = -1.0
            rows[np.arange(len(storeys)), first + resting.owner] = resting.places_m @ up
            matrix += (rows * weight[:, None]).T @ rows
            right -= (rows * weight[:, None]).T @ off
        if lines is None:
            rest = slice(2, None)
            move = np.r_[0.0, 0.0, np.linalg.solve(matrix[rest, rest], right[rest])]
        else:
            move = np.linalg.solve(matrix, right)
        covariance = np.linalg.inv(matrix)[:2, :2]
        up = up + move[0] * east + move[1] * north
        up /= np.linalg.norm(up)
        growth, heights = growth + move[first:], heights + move[2:first]
    error = float(np.sqrt(np.trace(covariance) / 2))
    return up, max(error, _lean(up, lines or ())), float(heights[0]) if len(heights) else None, growth


def _mean_line(lines: list[tuple[np.ndarray, float]] | None, up: np.ndarray) -> np.ndarray:
    """(3,) the vertical that bodies' lines alone say; `up` where there are none."""
    if not lines:
        return up
    mean = sum(direction / error**2 for direction, error in lines)
    return mean / np.linalg.norm(mean)


def _lean(up: np.ndarray, lines: Sequence[tuple[np.ndarray, float]]) -> float:
    """How far bodies are off the vertical, radians, where that is farther than they lean: 0 where it is not.

    Feet then rest on a slope, as on a stair, and neither can be believed.
    """
    if not lines:
        return 0.0
    off = np.array([np.linalg.norm(direction - up) for direction, _ in lines]) / np.sqrt(2)
    errors = np.array([error for _, error in lines])
    is_leaning = np.sqrt(np.mean((off / errors) ** 2)) > _MOST_LEANING
    return float(np.sqrt(np.mean(off**2))) if is_leaning else 0.0


def _level(resting: _Resting, up: np.ndarray) -> float:
    """The height at which most feet rest for longest; of several, people's mean."""
    heights = (resting.places_m + resting.eyes_m) @ up - resting.clearances_m
    levels, seconds = zip(*(_own_level(heights, resting, person) for person in np.unique(resting.owner)), strict=True)
    return float(np.average(levels, weights=seconds))


def _own_level(heights: np.ndarray, resting: _Resting, person: int) -> tuple[float, float]:
    """The height at which one person's feet rest for longest, and for how long they rest anywhere."""
    own, seconds = (part[resting.owner == person] for part in (heights, resting.seconds))
    # Of the same millimetre together: in an hour's film tens of thousands rest, too many for all pairs.
    which = np.unique(np.round(own / _SAME_HEIGHT_M), return_inverse=True)[1]
    weights = np.bincount(which, seconds)
    centres = np.bincount(which, own * seconds) / weights
    parts = np.array_split(centres, len(centres) // _HEIGHTS_AT_ONCE + 1)
    near = [np.exp(-0.5 * ((part[:, None] - centres) / _LEVEL_M) ** 2) @ weights for part in parts]
    return centres[np.concatenate(near).argmax()], seconds.sum()


def _storeys(resting: _Resting, up: np.ndarray) -> np.ndarray:
    """(R,) int64: which floor each foot rests on, 0 being that of whoever rests for longest."""
    places = resting.places_m + resting.eyes_m
    heights = places @ up - resting.clearances_m
    found, storeys = {}, np.zeros(len(places), dtype=np.int64)
    for person in sorted(np.unique(resting.owner), key=lambda person: -resting.seconds[resting.owner == person].sum()):
        own = resting.owner == person
        level, place = _own_level(heights, resting, person)[0], places[own].mean(axis=0)
        place = place - (place @ up) * up
        near = [
            number
            for number, other_level, other in found.values()
            if abs(level - other_level) < STOREY_M + _SLOPE * np.linalg.norm(place - other)
        ]
        number = near[0] if near else len({number for number, _, _ in found.values()})
        found[person] = number, level, place
        storeys[own] = number
    return storeys


def _across(up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors that are horizontal, and at right angles."""
    aside = np.eye(3)[np.abs(up).argmin()]
    east = np.cross(aside, up)
    east /= np.linalg.norm(east)
    return east, np.cross(up, east)


def _robust(errors: np.ndarray | float, far_off: float = _FAR_OFF) -> np.ndarray | float:
    return (1 + (errors / far_off) ** 2) ** -2
