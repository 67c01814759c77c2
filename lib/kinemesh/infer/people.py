"""From detections to people: who is who, which frames are missing, and what stands in for short gaps."""

import itertools
import logging
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import H36M_JOINT_COUNT
from kinemesh.errors import UserError
from kinemesh.infer.keypoint_files import Detections
from kinemesh.infer.keypoint_formats import crop_scale, scale_by_width

logger = logging.getLogger(__name__)

# A frame with fewer keypoints tells nothing of a pose.
_LEAST_KEYPOINTS = 4
# How far, in parts of the person's size, a keypoint may be from where it was expected, one frame later.
_REACH = 0.2
_LEAST_SIMILARITY = 0.1
# Frames over which a person's speed in the picture is taken.
_SPEED_FRAMES = 5


class Person(NamedTuple):
    """One person's detections, N frames in the order of time."""

    name: str
    frames: np.ndarray  # (N,) int64
    keypoints_px: np.ndarray  # (N, K, 3) float32


class Segment(NamedTuple):
    """Frames of one person in a row, F of them, none missing."""

    person: int  # place in the list of people
    first_frame: int
    keypoints_px: np.ndarray  # (F, K, 3) float32; interpolated where confidence is 0
    is_interpolated: np.ndarray  # (F,) bool, no keypoints were given

    @property
    def frame_ids(self) -> np.ndarray:
        """(F,) int64."""
        return np.arange(self.first_frame, self.first_frame + len(self.keypoints_px))


def find_people(detections: Detections, reach: int, focus: str | None = None) -> list[Person]:
    """People by their track's name, or linked by overlap where the file names none; in order of appearance.

    Args:
        reach: how many frames after somebody was last seen a detection may still be the same person.
        focus: the name of the only one wanted.

    Raises UserError if `focus` is nobody, or no frame shows enough of anybody.
    """
    is_seen = (detections.keypoints_px[..., 2] > 0).sum(axis=1) >= _LEAST_KEYPOINTS
    if not is_seen.any():
        raise UserError(
            f"none of {len(is_seen)} detections has {_LEAST_KEYPOINTS} keypoints of a confidence above 0. "
            "Expected keypoints of a person; run the detector again, or lower its threshold."
        )
    frame, person, keypoints_px = (column[is_seen] for column in detections)
    if (person == "").any():
        person = link_detections(frame, keypoints_px, reach)
        logger.info("no track ids: %d people linked by overlap", len(np.unique(person)))
    names = list(dict.fromkeys(person.tolist()))
    if focus is not None and focus not in names:
        some = ", ".join(names[:20])
        raise UserError(f"--focus {focus}: there is nobody of that number. Expected one of {some}.")
    people = []
    for name in names if focus is None else [focus]:
        rows = _one_a_frame(frame, keypoints_px, np.flatnonzero(person == name))
        people.append(Person(name, frame[rows], keypoints_px[rows]))
    repeated = len(frame) - sum(len(one.frames) for one in people)
    if focus is None and repeated:
        logger.warning("%d detections repeat a person in one frame: the surest one is taken", repeated)
    return people


def link_detections(frame: np.ndarray, keypoints_px: np.ndarray, reach: int) -> np.ndarray:
    """(N,) names "0", "1", ... for detections in the order of frames.

    Each frame's detections are given to the people seen up to `reach` frames before, moved on at their speed, so that
    the sum of object keypoint similarities is largest (Ronchi and Perona, ICCV 2017, with one reach for all joints).
    """
    from scipy.optimize import linear_sum_assignment  # slow to import, and only detections without names need it

    names = np.empty(len(frame), dtype=object)
    last_rows: dict[int, list[int]] = {}  # of each person, the last few rows
    count = 0
    for number in np.unique(frame):
        rows = np.arange(*np.searchsorted(frame, (number, number + 1)))
        last_rows = {one: seen for one, seen in last_rows.items() if number - frame[seen[-1]] <= reach}
        known = list(last_rows)
        similarity = np.zeros((len(known), len(rows)))
        for place, one in enumerate(known):
            similarity[place] = _similarity(frame, keypoints_px, last_rows[one], number, rows)
        taken = {}
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

    A keypoint that was not seen lies on the line between where it was before and after, with confidence 0.
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
            _interpolate(keypoints)
            segments.append(Segment(number, int(person.frames[rows[0]]), keypoints, is_interpolated))
    return segments


def network_inputs(segments: list[Segment], image_size: tuple[int, int], is_pixel: bool) -> np.ndarray:
    """(R, K, 3) what the network reads of all segments, one after another; a person's box is one for all of theirs."""
    if is_pixel:
        return scale_by_width(np.concatenate([segment.keypoints_px for segment in segments]), image_size)
    people = itertools.groupby(segments, key=lambda segment: segment.person)
    return np.concatenate([crop_scale(np.concatenate([segment.keypoints_px for segment in own])) for _, own in people])


def _interpolate(keypoints_px: np.ndarray) -> None:
    """Fill the places of keypoints (F, K, 3) of confidence 0, in place."""
    is_seen = keypoints_px[..., 2] > 0
    if is_seen.all():
        return
    places = np.arange(len(keypoints_px))
    never = np.flatnonzero(~is_seen.any(axis=0))
    for joint in np.flatnonzero(~is_seen.all(axis=0)):
        known = is_seen[:, joint]
        for axis in range(2) if known.any() else ():
            keypoints_px[~known, joint, axis] = np.interp(
                places[~known], places[known], keypoints_px[known, joint, axis]
            )
    if len(never):
        # Somewhere inside the person, whom it then neither widens nor moves.
        others = np.setdiff1d(np.arange(keypoints_px.shape[1]), never)
        keypoints_px[:, never, :2] = keypoints_px[:, others, :2].mean(axis=1, keepdims=True)


def _one_a_frame(frame: np.ndarray, keypoints_px: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of a person's rows in the order of frames, the surest of each frame."""
    confidence = keypoints_px[rows, :, 2].mean(axis=1)
    ordered = rows[np.lexsort((-confidence, frame[rows]))]
    return ordered[np.r_[True, np.diff(frame[ordered]) > 0]]


def _similarity(
    frame: np.ndarray, keypoints_px: np.ndarray, seen: list[int], number: int, rows: np.ndarray
) -> np.ndarray:
    """(rows,) similarity of detections in frame `number` to a person of the last rows `seen`."""
    last = keypoints_px[seen[-1]]
    elapsed = number - frame[seen[-1]]
    expected = last[:, :2]
    if len(seen) > 1:
        earlier = keypoints_px[seen[0]]
        both = (last[:, 2] > 0) & (earlier[:, 2] > 0)
        if both.any():
            # The whole person's, since single joints swing back.
            moved = np.median(last[both, :2] - earlier[both, :2], axis=0)
            expected = expected + moved * elapsed / (frame[seen[-1]] - frame[seen[0]])
    points = keypoints_px[rows]
    both = (points[..., 2] > 0) & (last[:, 2] > 0)
    size = max(np.ptp(last[last[:, 2] > 0, :2], axis=0).max(), 1.0)
    distance = ((points[..., :2] - expected) ** 2).sum(axis=-1)
    closeness = np.exp(-distance / (2 * elapsed * (_REACH * size) ** 2))
    return (closeness * both).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
