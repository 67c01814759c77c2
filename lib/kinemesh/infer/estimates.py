"""Another estimator's bodies for the people of a video: whose they are, and one for every frame."""

import logging
from collections.abc import Callable

import numpy as np

from kinemesh.errors import UserError
from kinemesh.estimates.matching import LONGEST_BORROW_S
from kinemesh.estimates.predictions import Predictions
from kinemesh.infer.people import Person, Segment

logger = logging.getLogger(__name__)

# Enough frames to tell people apart by.
_COMPARED_FRAMES = 32
_NEVER = 1e6
# How much better, in parts of a person's size, a body of another name must fit.
_OTHER_NAME = 0.01


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
    misfit: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
) -> dict[int, int]:
    """For each person who is predicted, by place in `people`, the track.

    Whose body fits whose keypoints decides, since every program numbers people in its own way; names that are the same
    in both only where fits are the same, as of one who walks behind another. `misfit` of poses (N, 72), betas (N, 10)
    and keypoints (N, K, 3) says how badly a body fits, in parts of the person's size. Raises UserError if nobody is
    predicted.
    """
    names = [predictions.tracks[track].person for track in tracks]
    from scipy.optimize import linear_sum_assignment  # slow to import, and only a refiner needs it

    costs = np.full((len(people), len(tracks)), _NEVER)
    for column, track in enumerate(tracks):
        rows = _rows_of(predictions, track)
        for place, person in enumerate(people):
            _, ours, theirs = np.intersect1d(person.frames, predictions.frame[rows], return_indices=True)
            if len(ours):
                some = np.unique(np.linspace(0, len(ours) - 1, _COMPARED_FRAMES).round().astype(int))
                picked = rows[theirs[some]]
                body = predictions.poses[picked], predictions.betas[picked]
                costs[place, column] = misfit(*body, person.keypoints_px[ours[some]])
                costs[place, column] += _OTHER_NAME * (person.name != names[column])
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


def estimate_rows(predictions: Predictions, track: int, frame_ids: np.ndarray) -> np.ndarray:
    """(F,) rows of `predictions`: for each frame that of the same one, or of the nearest."""
    rows = _rows_of(predictions, track)
    return rows[_nearest(predictions.frame[rows], frame_ids)]


def estimate_arrays(
    predictions: Predictions, tracks: list[int], segments: list[Segment]
) -> tuple[np.ndarray, np.ndarray]:
    """Poses (R, 72) and betas (R, 10) for all frames of all segments; `tracks` are those of their people."""
    rows = [estimate_rows(predictions, tracks[segment.person], segment.frame_ids) for segment in segments]
    rows = np.concatenate(rows)
    return predictions.poses[rows], predictions.betas[rows]


def one_shape_each(poses: np.ndarray, betas: np.ndarray, segments: list[Segment]) -> tuple[np.ndarray, np.ndarray]:
    """The same poses (R, 72), and of betas (R, 10) each person's mean (people, 10), weighted by confidence."""
    owner = np.repeat([segment.person for segment in segments], [len(segment.keypoints_px) for segment in segments])
    weights = np.concatenate([segment.keypoints_px[..., 2].mean(axis=1) for segment in segments])
    shapes = [
        np.average(betas[owner == person], axis=0, weights=weights[owner == person])
        for person in range(owner.max() + 1)
    ]
    return poses, np.stack(shapes).astype(np.float32)


def _rows_of(predictions: Predictions, track: int) -> np.ndarray:
    return np.arange(*np.searchsorted(predictions.track, (track, track + 1)))


def _nearest(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(F,) places of the nearest of the rising numbers `known`."""
    after = np.searchsorted(known, wanted).clip(1, max(len(known) - 1, 1))
    before = after - 1
    after = after.clip(max=len(known) - 1)
    return np.where(np.abs(known[before] - wanted) <= np.abs(known[after] - wanted), before, after)
