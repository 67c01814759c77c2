"""From detections to people: who is who, which frames are missing, and what stands in for short gaps."""

import itertools
import logging
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.skeleton import H36M_JOINT_COUNT
from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import (
    LEAST_KEYPOINTS,
    box_overlap,
    boxes_around,
    crop_scale,
    fill_missing,
    scale_by_width,
)
from kinemesh.keypoints.detections import Detections
from kinemesh.structures import MeshTrack, Track

logger = logging.getLogger(__name__)

# How far, in parts of the person's size, a keypoint may be from where it was expected, one frame later, and ever.
_REACH = 0.2
_LONGEST_REACH = 0.5
_LEAST_SIMILARITY = 0.3
# Frames over which a person's speed in the picture is taken.
_SPEED_FRAMES = 5
# How long somebody may be out of sight.
_REACH_S = 1.0
# Two detections of one frame whose keypoints are so near, in parts of their size, are one person's.
_SAME_PERSON = 0.08
# Whoever is there for less is a false detection, where the video is long enough to tell.
_SHORTEST_TRACK_S = 0.3
_LEAST_VIDEO_S = 1.0


class Person(NamedTuple):
    """One person's detections, N frames in the order of time."""

    name: str
    frames: np.ndarray  # (N,) int64
    keypoints_px: np.ndarray  # (N, K, 3) float32
    shown_px: np.ndarray | None = None  # (N, S, 3) float32 `Detections.as_shown`; None: not known

    def chosen(self, rows: np.ndarray) -> "Person":
        """These frames alone."""
        shown_px = None if self.shown_px is None else self.shown_px[rows]
        return Person(self.name, self.frames[rows], self.keypoints_px[rows], shown_px)


class Segment(NamedTuple):
    """Frames of one person in a row, F of them, none missing."""

    person: int  # place in the list of people
    first_frame: int
    keypoints_px: np.ndarray  # (F, K, 3) float32; interpolated where confidence is 0
    is_interpolated: np.ndarray  # (F,) bool, no keypoints were given
    shown_px: np.ndarray | None = None  # (F, S, 3) float32 as a `Person`'s, confidence 0 where not seen

    @property
    def frame_ids(self) -> np.ndarray:
        """(F,) int64."""
        return np.arange(self.first_frame, self.first_frame + len(self.keypoints_px))


def find_people(
    detections: Detections, fps: float, focus: str | None = None, is_relinked: bool = False
) -> list[Person]:
    """People by their track's name, or linked by overlap where the file names none; in order of appearance.

    Args:
        fps: frames a second: somebody may be out of sight for a second, and is left out who is there for less than 0.3.
        focus: the name of the only one wanted.
        is_relinked: take no notice of the file's tracks.

    Raises UserError if `focus` is nobody, or no frame shows enough of anybody.
    """
    keypoints_px = detections.as_h36m()
    is_seen = (keypoints_px[..., 2] > 0).sum(axis=1) >= LEAST_KEYPOINTS
    if not is_seen.any():
        raise UserError(
            f"none of {len(is_seen)} detections has {LEAST_KEYPOINTS} keypoints of a confidence above 0. "
            "Expected keypoints of a person; run the detector again, or lower its threshold."
        )
    detections, keypoints_px = detections.chosen(is_seen), keypoints_px[is_seen]
    frame, person = detections.frame, detections.person
    is_unsaid = (person == "") | is_relinked
    if is_unsaid.any() and not detections.are_images:
        person, is_kept = _named_by_overlap(frame, person, keypoints_px, is_unsaid, round(_REACH_S * fps))
        detections, frame, keypoints_px = detections.chosen(is_kept), frame[is_kept], keypoints_px[is_kept]
    rows_of = _rows_by_name(person)
    if focus is not None and focus not in rows_of:
        some = ", ".join(list(rows_of)[:20])
        raise UserError(f"--focus {focus}: there is nobody of that number. Expected one of {some}.")
    people, shown_px = [], detections.as_shown()
    for name, rows in rows_of.items() if focus is None else [(focus, rows_of[focus])]:
        rows = _one_a_frame(frame, keypoints_px, rows)
        people.append(Person(name, frame[rows], keypoints_px[rows], shown_px[rows]))
    repeated = len(frame) - sum(len(one.frames) for one in people)
    if focus is None and repeated:
        logger.warning("%d detections repeat a person in one frame: the surest one is taken", repeated)
    is_video = not detections.are_images and len(np.unique(frame)) >= _LEAST_VIDEO_S * fps
    return _long_enough(people, _SHORTEST_TRACK_S * fps) if is_video and focus is None else people


def _named_by_overlap(
    frame: np.ndarray, person: np.ndarray, keypoints_px: np.ndarray, is_unsaid: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """The name of everybody kept, and which rows are: once a frame where two detections lie on one another."""
    is_repeated = np.zeros(len(frame), dtype=bool)
    is_repeated[is_unsaid] = _repeats_another(frame[is_unsaid], keypoints_px[is_unsaid])
    if is_repeated.any():
        logger.info("%d detections lie on another of the same frame: the surer one is taken", is_repeated.sum())
    is_kept = ~is_repeated
    frame, person, keypoints_px, is_unsaid = (column[is_kept] for column in (frame, person, keypoints_px, is_unsaid))
    numbers = link_detections(frame[is_unsaid], keypoints_px[is_unsaid], reach)
    taken = set(person[~is_unsaid].tolist())
    free = (name for name in map(str, itertools.count()) if name not in taken)
    names = {number: next(free) for number in dict.fromkeys(numbers.tolist())}
    said = person.astype(object)
    said[is_unsaid] = [names[number] for number in numbers.tolist()]
    logger.info("no track ids: %d people linked by overlap", len(names))
    return said.astype(str), is_kept


def keypoints_of(track: Track | MeshTrack, people: list[Person]) -> np.ndarray:
    """(F, K, 3) of the person of that name in each of the track's frames; nan, confidence 0, where none were given."""
    keypoints_px = np.full((len(track.frame_ids), H36M_JOINT_COUNT, 3), np.nan, dtype=np.float32)
    keypoints_px[..., 2] = 0
    for person in people:
        if person.name == track.name:
            _, rows, theirs = np.intersect1d(track.frame_ids, person.frames, return_indices=True)
            keypoints_px[rows] = person.keypoints_px[theirs]
    return keypoints_px


def link_detections(frame: np.ndarray, keypoints_px: np.ndarray, reach: int) -> np.ndarray:
    """(N,) names "0", "1", ... for detections in the order of frames.

    Each frame's detections are given to the people seen up to `reach` frames before, moved on at their speed, so that
    the sum of similarities is largest (Kuhn and Munkres): the mean of object keypoint similarity (Ronchi and Perona,
    ICCV 2017, with one reach for all joints) and the overlap of boxes. Nobody is linked who has not enough of either.
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and only detections without names need it

    names = np.empty(len(frame), dtype=object)
    last_rows: dict[int, list[int]] = {}  # of each person, the last few rows
    count = 0
    numbers, starts = np.unique(frame, return_index=True)
    for number, start, stop in zip(numbers.tolist(), starts, [*starts[1:], len(frame)], strict=True):
        rows = np.arange(start, stop)
        last_rows = {one: seen for one, seen in last_rows.items() if number - frame[seen[-1]] <= reach}
        known = list(last_rows)
        taken = {}
        if known:
            similarity = _similarity(frame, keypoints_px, [last_rows[one] for one in known], number, rows)
            for place, column in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
                if similarity[place, column] >= _LEAST_SIMILARITY:
                    taken[column] = known[place]
        for column, row in enumerate(rows):
            if column not in taken:
                taken[column] = count
                count += 1
            names[row] = str(taken[column])
            last_rows[taken[column]] = [*last_rows.get(taken[column], []), int(row)][-_SPEED_FRAMES:]
    return names.astype(str)


def fill_gaps(people: list[Person], longest_gap: int) -> list[Segment]:
    """Segments in the order of people and time: gaps of up to `longest_gap` frames are filled, longer ones split.

    So are keypoints that were not seen (`kinemesh.geometry.keypoints.fill_missing`).
    """
    segments = []
    for number, person in enumerate(people):
        breaks = np.flatnonzero(np.diff(person.frames) > longest_gap + 1) + 1
        for rows in np.split(np.arange(len(person.frames)), breaks):
            frames = person.frames[rows] - person.frames[rows[0]]
            keypoints = np.zeros((frames[-1] + 1, H36M_JOINT_COUNT, 3), dtype=np.float32)
            keypoints[frames] = person.keypoints_px[rows]
            is_interpolated = np.ones(len(keypoints), dtype=bool)
            is_interpolated[frames] = False
            keypoints = fill_missing(torch.from_numpy(keypoints), np.array([len(keypoints)])).numpy()
            shown = None
            if person.shown_px is not None:
                shown = np.zeros((len(keypoints), *person.shown_px.shape[1:]), dtype=np.float32)
                shown[frames] = person.shown_px[rows]
            segments.append(Segment(number, int(person.frames[rows[0]]), keypoints, is_interpolated, shown))
    return segments


def _one_a_frame(frame: np.ndarray, keypoints_px: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of a person's rows in the order of frames, the surest of each frame."""
    confidence = keypoints_px[rows, :, 2].mean(axis=1)
    ordered = rows[np.lexsort((-confidence, frame[rows]))]
    return ordered[np.r_[True, np.diff(frame[ordered]) > 0]]


def _similarity(
    frame: np.ndarray, keypoints_px: np.ndarray, seen: list[list[int]], number: int, rows: np.ndarray
) -> np.ndarray:
    """(people, rows) similarity of detections in frame `number` to people of the last rows `seen`."""
    newest, oldest = np.array([rows[-1] for rows in seen]), np.array([rows[0] for rows in seen])
    last, earlier = keypoints_px[newest], keypoints_px[oldest]  # (P, K, 3)
    elapsed, between = number - frame[newest], frame[newest] - frame[oldest]
    # The whole person's speed, since single joints swing back.
    both = (last[..., 2] > 0) & (earlier[..., 2] > 0)
    steps = last[..., :2] - earlier[..., :2]
    moved = np.zeros((len(seen), 2), dtype=steps.dtype)
    for place in np.flatnonzero(both.any(axis=1) & (between > 0)):
        moved[place] = np.median(steps[place, both[place]], axis=0)
    expected = last[..., :2] + (moved * (elapsed / np.maximum(between, 1))[:, None])[:, None]
    points = keypoints_px[rows]
    both = (points[None, ..., 2] > 0) & (last[:, None, :, 2] > 0)  # (P, R, K)
    low, high = boxes_around(expected, last[..., 2] > 0)
    size = np.maximum((high - low).max(axis=-1), 1.0)
    reach = np.minimum(_REACH * np.sqrt(elapsed), _LONGEST_REACH) * size
    distance = ((points[None, ..., :2] - expected[:, None]) ** 2).sum(axis=-1)
    closeness = np.exp(-distance / (2 * reach[:, None, None] ** 2))
    near = (closeness * both).sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)
    boxes = (
        np.concatenate((low, high), axis=-1)[:, None],
        np.concatenate(boxes_around(points, points[..., 2] > 0), axis=-1),
    )
    return (near + box_overlap(*boxes)) / 2


def _repeats_another(frame: np.ndarray, keypoints_px: np.ndarray) -> np.ndarray:
    """(N,) whether a surer detection of the same frame is the same person."""
    is_repeated = np.zeros(len(frame), dtype=bool)
    confidence = keypoints_px[..., 2].mean(axis=1)
    _, starts, counts = np.unique(frame, return_index=True, return_counts=True)
    for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True):
        points = keypoints_px[start : start + count]
        both = (points[None, ..., 2] > 0) & (points[:, None, :, 2] > 0)
        distance = np.linalg.norm(points[None, ..., :2] - points[:, None, :, :2], axis=-1)
        distance = (distance * both).sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)
        low, high = boxes_around(points, points[..., 2] > 0)
        is_same = (distance < _SAME_PERSON * (high - low).max(axis=-1)) & (both.sum(axis=-1) >= LEAST_KEYPOINTS)
        kept: list[int] = []
        for one in np.argsort(-confidence[start : start + count], kind="stable"):
            is_repeated[start + one] = is_same[one, kept].any()
            kept += [] if is_repeated[start + one] else [one]
    return is_repeated


def _rows_by_name(person: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of each name, in the order in which names appear."""
    names, first, inverse = np.unique(person, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    return {str(names[place]): rows[place] for place in np.argsort(first)}


def _long_enough(people: list[Person], least_frames: float) -> list[Person]:
    """Without tracks that are too short to be anybody's; all, if there are none longer."""
    long = [person for person in people if len(person.frames) >= least_frames]
    if not long or len(long) == len(people):
        return people
    logger.warning("%d tracks shorter than %g s are left out", len(people) - len(long), _SHORTEST_TRACK_S)
    return long


def network_inputs(segments: list[Segment], image_size: tuple[int, int], is_pixel: bool) -> np.ndarray:
    """(R, K, 3) what the network reads of all segments, one after another; a person's box is one for all of theirs."""
    if is_pixel:
        return scale_by_width(np.concatenate([segment.keypoints_px for segment in segments]), image_size)
    people = itertools.groupby(segments, key=lambda segment: segment.person)
    return np.concatenate([crop_scale(np.concatenate([segment.keypoints_px for segment in own])) for _, own in people])
