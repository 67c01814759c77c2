"""Another estimator's bodies for the people of a video: whose they are, and one for every frame."""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import torch

from kinemesh.body.params import poses_between, rotations_from_axis_angle, with_root_turned
from kinemesh.errors import UserError
from kinemesh.estimates.matching import LONGEST_BORROW_S
from kinemesh.estimates.predictions import Predictions
from kinemesh.geometry.alignment import turn_about
from kinemesh.geometry.rotation import rotation_angle
from kinemesh.infer.people import Person, Segment

logger = logging.getLogger(__name__)

# Enough frames to tell people apart by.
_COMPARED_FRAMES = 32
_NEVER = 1e6
_SAME_RADIANS = 0.0017
# How much better, in parts of a person's size, a body of another name must fit.
_OTHER_NAME = 0.01
# Rates of videos and of programs that take every second frame or convert to film's or television's, and frames counted
# from 0 or 1: how many frames of the predictions one of the keypoints is, and where the first is.
_OTHER_RATES = (1 / 4, 1 / 3, 1 / 2, 24 / 30, 25 / 30, 24 / 25, 25 / 24, 30 / 25, 30 / 24, 2, 3, 4)
_OTHER_STARTS = (-1, 1)
_SAME_FRAME = 0.25
# Turns that are tried for bodies of a world without a camera: about the vertical, and then about each axis.
_YAWS = 24
_TURNED_BY_DEGREES = (15.0, 10.0, 5.0, 5.0, 2.5, 1.0, 0.5)
# A clock is doubted if another leaves this part of a misfit that is worth a word, in parts of a person's size.
_EXPLAINED, _LEAST_MISFIT = 0.5, 0.02

# How badly poses (N, 72), betas (N, 10) fit keypoints (N, K, 3), in parts of the person's size.
Misfit = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def require_predictions(kind: str, predictions: Predictions | None) -> None:
    """Raises UserError if another estimator's bodies are missing, or nothing is to become of them."""
    if kind == "none" and predictions is None:
        raise UserError("--predictions is missing: without a network the bodies are another estimator's. Give them.")
    if (predictions is not None) == (kind == "regressor"):
        wanted = "a refiner, which needs --predictions" if predictions is None else "a regressor, no --predictions"
        raise UserError(f"the checkpoint holds {wanted}. Expected both or neither; give the other, or leave it out.")


def predicted_people(
    predictions: Predictions, video_names: tuple[str, ...], people: list[Person], misfit: Misfit, fps: float
) -> tuple[list[Person], list[int], Predictions]:
    """Those who are predicted, in the frames near a prediction, and each one's track.

    With them the predictions, before the camera. Raises UserError as `choose_video`, `match_people` and
    `predicted_frames` do.
    """
    tracks = choose_video(predictions, video_names)
    predictions = turned_to_camera(predictions, tracks, people, misfit)
    matched = match_people(predictions, tracks, people, misfit)
    warn_of_other_clock(predictions, matched, people, misfit, fps)
    kept = [predicted_frames(predictions, track, people[place], fps) for place, track in matched.items()]
    return kept, [*matched.values()], predictions


def turned_to_camera(predictions: Predictions, tracks: list[int], people: list[Person], misfit: Misfit) -> Predictions:
    """Bodies of a world without a camera turned the way in which they fit the keypoints best, all alike.

    First about the vertical, then about every axis by less and less.
    """
    own = [track for track in tracks if track in predictions.world_tracks]
    if not own:
        return predictions

    def cost(turn: np.ndarray) -> float:
        def turned_misfit(poses: np.ndarray, betas: np.ndarray, keypoints_px: np.ndarray) -> float:
            return misfit(with_root_turned(poses, turn), betas, keypoints_px)

        found = []
        for track in own:
            rows = _rows_of(predictions, track)
            costs = [_misfit(predictions, rows, person, turned_misfit) for person in people]
            found += [min((each for each in costs if each is not None), default=_NEVER)]
        return float(np.mean(found))

    x, y, z = np.eye(3)
    best = min((turn_about(y, yaw) for yaw in np.arange(_YAWS) * (2 * np.pi / _YAWS)), key=cost)
    least = cost(best)
    for degrees in _TURNED_BY_DEGREES:
        for axis in (x, y, z):
            for sign in (-1.0, 1.0):
                tried = turn_about(axis, sign * np.radians(degrees)) @ best
                if (left := cost(tried)) < least:
                    best, least = tried, left
    logger.info(
        "%s: a world without a camera: turned by %.0f degrees, as keypoints show, for a camera that stands still; bodies "
        "then are %.1f %% of the person's size from them",
        predictions.path, rotation_angle(torch.from_numpy(best)).rad2deg(), 100 * least,
    )  # fmt: skip
    poses = predictions.poses.copy()
    rows = np.concatenate([_rows_of(predictions, track) for track in own])
    poses[rows] = with_root_turned(poses[rows], best)
    return dataclasses.replace(predictions, poses=poses)


def choose_video(predictions: Predictions, names: tuple[str, ...]) -> list[int]:
    """Numbers of the tracks of the video called one of `names`, or of the only one that is predicted.

    Raises UserError if there are several and none is called so.
    """
    videos = list(dict.fromkeys(track.video for track in predictions.tracks))
    chosen = next((name for name in names if name in videos), videos[0] if len(videos) == 1 else None)
    if chosen is None:
        raise UserError(
            f"{predictions.path}: holds {len(videos)} videos, such as {videos[0]!r}, none called {' or '.join(names)}. "
            "Expected this video's; give a file of it alone, or rename it."
        )
    return [number for number, track in enumerate(predictions.tracks) if track.video == chosen]


def match_people(
    predictions: Predictions,
    tracks: list[int],
    people: list[Person],
    misfit: Misfit,
) -> dict[int, int]:
    """For each person who is predicted, by place in `people`, the track.

    Whose body fits whose keypoints decides, since every program numbers people in its own way; names that are the same
    in both only where fits are the same, as of one who walks behind another. Raises UserError if nobody is predicted.
    """
    names = [predictions.tracks[track].person for track in tracks]
    from scipy.optimize import linear_sum_assignment  # slow to import, and only a refiner needs it

    costs = np.full((len(people), len(tracks)), _NEVER)
    for column, track in enumerate(tracks):
        rows = _rows_of(predictions, track)
        for place, person in enumerate(people):
            cost = _misfit(predictions, rows, person, misfit)
            if cost is not None:
                costs[place, column] = cost + _OTHER_NAME * (person.name != names[column])
    pairs = zip(*linear_sum_assignment(costs), strict=True)
    matched = {int(place): tracks[column] for place, column in pairs if costs[place, column] < _NEVER}
    if not matched:
        raise UserError(
            f"{predictions.path}: none of its frames is one in which somebody was detected. "
            "Expected frames of this video, counted from 0."
        )
    renamed = [(people[place].name, names[tracks.index(track)]) for place, track in matched.items()]
    if any(ours != theirs for ours, theirs in renamed):
        pairs = ", ".join(
            f"{theirs or 'the only one'} of {predictions.path.name} is {ours}" for ours, theirs in renamed[:10]
        )
        logger.info("people paired by how bodies fit keypoints: %s", pairs)
    left_out = [person.name for place, person in enumerate(people) if place not in matched]
    if left_out:
        logger.warning("not predicted, and so left out: %s", ", ".join(left_out))
    return matched


def warn_of_other_clock(
    predictions: Predictions, matched: dict[int, int], people: list[Person], misfit: Misfit, fps: float
) -> None:
    """One line if the bodies would fit far better at another rate, or a frame later or earlier.

    What a refiner or a fit makes of them does not show that: it bends them to the keypoints. `matched` is `match_people`'s.
    """

    def mean(rate: float = 1.0, start: int = 0) -> float:
        pairs = ((_rows_of(predictions, track), people[place]) for place, track in matched.items())
        found = [_misfit(predictions, rows, person, misfit, rate, start) for rows, person in pairs]
        return float(np.mean(found)) if None not in found else np.inf

    before = mean()
    if before < _LEAST_MISFIT:
        return
    causes = {
        f"they are of {fps * rate:g} frames a second: --predictions_fps {fps * rate:g}": mean(rate)
        for rate in _OTHER_RATES
    }
    for start in _OTHER_STARTS:
        what = "the keypoints' frames are counted one too " + (
            "high: --first_frame 1" if start < 0 else "low: --first_frame 0"
        )
        causes[what] = mean(start=start)
    what, left = min(causes.items(), key=lambda item: item[1])
    if left <= _EXPLAINED * before:
        logger.warning(
            "%s: bodies %.1f %% of the person's size from the keypoints, likely since %s (%.1f %% are then left)",
            predictions.path, 100 * before, what, 100 * left,
        )  # fmt: skip


def _misfit(
    predictions: Predictions, rows: np.ndarray, person: Person, misfit: Misfit, rate: float = 1.0, start: int = 0
) -> float | None:
    """Of some of the person's frames that `rows` predict, if frame f is their frame f * rate + start; None: of none."""
    wanted = person.frames * rate + start
    nearest = _nearest(predictions.frame[rows], wanted)
    shared = np.flatnonzero(np.abs(predictions.frame[rows[nearest]] - wanted) <= _SAME_FRAME)
    if not len(shared):
        return None
    some = shared[np.unique(np.linspace(0, len(shared) - 1, _COMPARED_FRAMES).round().astype(int))]
    picked = rows[nearest[some]]
    return misfit(predictions.poses[picked], predictions.betas[picked], person.keypoints_px[some])


def predicted_frames(predictions: Predictions, track: int, person: Person, fps: float) -> Person:
    """The person without the frames that are more than half a second from any prediction.

    Raises UserError if none is left.
    """
    known = predictions.frame[_rows_of(predictions, track)]
    distance = np.abs(known[_nearest(known, person.frames)] - person.frames)
    is_near = distance <= LONGEST_BORROW_S * fps
    if not is_near.any():
        raise UserError(
            f"{predictions.path}: no prediction of person {person.name} within {LONGEST_BORROW_S:g} s of where keypoints "
            "are. Expected predictions of this video's frames, counted from 0."
        )
    if not is_near.all():
        logger.warning("person %s: %d frames without a prediction are left out", person.name, (~is_near).sum())
    return person.chosen(is_near)


def estimate_arrays(
    predictions: Predictions, tracks: list[int], segments: list[Segment]
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (R, 72) and betas (R, 10) for all frames of all segments; `tracks` are those of their people.

    A frame that is not predicted lies between those that are, with the shape of the nearest.
    """
    poses, betas = [], []
    for segment in segments:
        rows = _rows_of(predictions, tracks[segment.person])
        known, wanted = predictions.frame[rows], segment.frame_ids
        poses.append(poses_between(predictions.poses[rows], known, wanted))
        betas.append(predictions.betas[rows[_nearest(known, wanted)]])
    return np.concatenate(poses), np.concatenate(betas)


def one_shape_each(poses: np.ndarray, betas: np.ndarray, segments: list[Segment]) -> tuple[np.ndarray, np.ndarray]:
    """The same poses (R, 72), and of betas (R, 10) each person's mean (people, 10), weighted by confidence."""
    owner = np.repeat([segment.person for segment in segments], [len(segment.keypoints_px) for segment in segments])
    weights = np.concatenate([segment.keypoints_px[..., 2].mean(axis=1) for segment in segments])
    shapes = [
        np.average(betas[owner == person], axis=0, weights=weights[owner == person])
        for person in range(owner.max() + 1)
    ]
    return poses, np.stack(shapes).astype(np.float32)


def are_unrefined(poses: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(F,) bool, where refined poses (F, 72) are the given ones, to a tenth of a degree."""
    turned, before = (rotations_from_axis_angle(torch.from_numpy(each)) for each in (poses, given))
    return (rotation_angle(turned @ before.mT).amax(dim=-1) < _SAME_RADIANS).numpy()


def _rows_of(predictions: Predictions, track: int) -> np.ndarray:
    return np.arange(*np.searchsorted(predictions.track, (track, track + 1)))


def _nearest(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(F,) places of the nearest of the rising numbers `known`."""
    after = np.searchsorted(known, wanted).clip(1, max(len(known) - 1, 1))
    before = after - 1
    after = after.clip(max=len(known) - 1)
    return np.where(np.abs(known[before] - wanted) <= np.abs(known[after] - wanted), before, after)
