"""Everybody who was detected, as the file says it: its own joints and their order, frames, tracks; and what was left out."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.arrays import is_characters
from kinemesh.geometry.keypoints import boxes_around
from kinemesh.keypoints.formats import (
    BY_COUNT,
    FORMATS,
    ORDERS_TOLD_APART,
    formats_of_count,
    shortest_order,
    shown_joints,
    to_h36m,
    to_shown,
)
from kinemesh.keypoints.frames import Counting, Images, number_images

logger = logging.getLogger(__name__)

_LARGEST_PX = 1_000_000
# A person's keypoints, one another so near, are no pixels.
_LEAST_SIZE_PX = 2.0
# A name that stands for two people of one frame in more frames than this is no track.
_MOST_REPEATED = 0.1
# A file is called by it.
_LONGEST_TRACK, _LARGEST_TRACK = 200, 1 << 63
# Enough people to tell a joint order by.
_COMPARED_PEOPLE = 500


class Detections(NamedTuple):
    """Everybody who was detected, one row a person and frame, in the order of frames."""

    frame: np.ndarray  # (N,) int64, counted from 0 in the video; the image's number if they are separate
    person: np.ndarray  # (N,) text; "": the file does not say who it is
    keypoints_px: np.ndarray  # (N, joints, 3) float32 x, y, confidence in [0, 1]; 0: not seen
    joint_order: str = "h36m17"  # of kinemesh.keypoints.formats.FORMATS
    are_images: bool = False  # separate pictures, no video: every row is somebody else

    def chosen(self, rows: np.ndarray) -> "Detections":
        """These rows alone."""
        columns = ("frame", "person", "keypoints_px")
        return self._replace(**{name: getattr(self, name)[rows] for name in columns})

    def as_h36m(self) -> np.ndarray:
        """(N, K, 3) the same people's H36M-17 joints."""
        return to_h36m(self.keypoints_px, self.joint_order)

    def as_shown(self) -> np.ndarray:
        """(N, S, 3) the same people's joints as the detector itself sees them, by `shown_names`."""
        return to_shown(self.keypoints_px, self.joint_order)

    @property
    def shown_names(self) -> tuple[str, ...]:
        return tuple(shown_joints(self.joint_order, self.keypoints_px.shape[1]))


class Rows(NamedTuple):
    """A file's rows as they stand there, one a person and image, and what its layout says of them."""

    program: str
    images: list[Any]  # names or numbers
    people: list[Any]  # None: not said
    keypoints: list[np.ndarray]  # (joints, 2 or 3) or flat; x, y, confidence
    scores: list[float]  # of the whole detection, nan: not said
    listed: Sequence[Any] = ()  # all images, those without people too
    joint_order: str | None = None  # as the layout says
    counted_from: int | None = None  # as the program is known to count
    are_images: bool = False
    is_normalised: bool = False  # x and y are parts of the picture's width and height


class Reading(NamedTuple):
    """How a keypoint file is read, where it leaves that open; the defaults leave it to the file."""

    joint_order: str = "auto"  # or a name of FORMATS
    first_frame: int | None = None  # the number of the video's first frame, 0 or 1
    least_score: float = 0.2  # detections that the file gives less are left out
    image_size: tuple[int, int] | None = None  # width, height of the picture, for coordinates that are parts of it
    frame_count: int | None = None  # the video's
    axes: str | None = None  # of an array of four: "frames,people" or "people,frames"


def build_detections(path: Path, rows: Rows, reading: Reading) -> Detections:
    """Check rows and bring them into one shape.

    Raises UserError for what is no keypoint: other joint counts, coordinates that are not pixels, nobody at all; and for
    a `reading` of values that cannot be meant.
    """
    _check_reading(reading)
    rows = _with_score(path, rows, reading.least_score)
    keypoints = _stacked(path, rows.keypoints)
    order = _joint_order(path, rows, keypoints, reading.joint_order)
    if rows.is_normalised:
        if reading.image_size is None:
            raise UserError(
                f"{path}: {rows.program}'s coordinates are parts of the picture. Expected its size: image_size."
            )
        keypoints[..., :2] *= np.array(reading.image_size, dtype=np.float32)
    _check_pixels(path, keypoints)
    counting = Counting(reading.first_frame, reading.frame_count, rows.counted_from)
    images = number_images(path, rows.images, rows.listed, counting)
    if rows.are_images and images.label is None:
        images = Images(images.frame, np.array([str(image) for image in rows.images]))
    person = np.array([_person_name(path, row, person) for row, person in enumerate(rows.people)])
    person = _named_by_image(images) if images.label is not None else _without_repeated(images.frame, person)
    logger.info("%s: %s, %d detections of %s", path, rows.program, len(keypoints), FORMATS[order].title)
    by_frame = np.argsort(images.frame, kind="stable")
    are_images = images.label is not None
    return Detections(images.frame[by_frame], person[by_frame], keypoints[by_frame], order, are_images)


def _check_reading(reading: Reading) -> None:
    least, size = reading.least_score, reading.image_size
    if not least >= 0:  # nan, which would keep everybody
        raise UserError(f"least_score is {least}. Expected a number from 0 on.")
    if reading.first_frame not in (None, 0, 1):
        raise UserError(
            f"first_frame is {reading.first_frame}. Expected 0 or 1, the number of the video's first frame."
        )
    if size is not None and not (len(size) == 2 and min(size) > 0 and max(size) <= _LARGEST_PX):
        raise UserError(f"image_size {size}: expected the picture's width and height in pixels.")


def _with_score(path: Path, rows: Rows, least_score: float) -> Rows:
    """Without whoever has no keypoints at all, or too low a score."""
    scores = np.array(rows.scores, dtype=np.float64)
    is_there = np.array([np.size(points) > 0 for points in rows.keypoints], dtype=bool)
    is_kept = is_there & ~(scores < least_score)
    if not is_there.any():
        raise UserError(f"{path}: nobody was detected in it. Expected at least one person.")
    if not is_kept.any():
        raise UserError(
            f"{path}: none of {is_there.sum()} detections has a score of {least_score:g}, the best {np.nanmax(scores):.3g}. "
            "Expected people; lower --least_score."
        )
    if left_out := (is_there & ~is_kept).sum():
        logger.warning(
            "%s: %d detections with a score under %g are left out; --least_score", path, left_out, least_score
        )
    if is_kept.all():
        return rows
    kept = np.flatnonzero(is_kept)
    columns = ("images", "people", "keypoints", "scores")
    listed = rows.listed or rows.images
    return rows._replace(listed=listed, **{name: [getattr(rows, name)[row] for row in kept] for name in columns})


def _stacked(path: Path, keypoints: list[np.ndarray]) -> np.ndarray:
    """(N, joints, 3) float32: x, y, confidence; 0 where a number is missing."""
    sizes = [np.size(points) for points in keypoints]
    if len(set(sizes)) > 1:
        row = next(row for row, size in enumerate(sizes) if size != sizes[0])
        fail(path, f"'keypoints' row {row} holds {sizes[row]} numbers, row 0 {sizes[0]}", "one joint order")
    columns = np.shape(keypoints[0])[1] if np.ndim(keypoints[0]) == 2 else _columns_of(path, sizes[0])
    if columns not in (2, 3):
        fail(path, f"'keypoints' holds {columns} numbers a joint", "x, y, confidence of each joint")
    stacked = np.ones((len(keypoints), sizes[0] // columns, 3), dtype=np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and counts as missing
        for row, points in enumerate(keypoints):
            stacked[row, :, :columns] = np.reshape(points, (-1, columns))
    stacked[~np.isfinite(stacked).all(axis=-1)] = 0
    stacked[..., 2] = stacked[..., 2].clip(0, 1)
    if columns == 2:  # without confidence, (0, 0) is how programs write what they do not find
        stacked[(stacked[..., :2] == 0).all(axis=-1)] = 0
    return stacked


def _columns_of(path: Path, size: int) -> int:
    """How many numbers a joint has, of a flat list."""
    if size % 3 == 0 and (size // 3 in BY_COUNT or size // 2 not in BY_COUNT):
        return 3
    if size % 2 == 0 and size // 2 in BY_COUNT:
        return 2
    return fail(path, f"'keypoints' holds {size} numbers a person", "x, y, confidence of each joint")


def _joint_order(path: Path, rows: Rows, keypoints: np.ndarray, wanted: str) -> str:
    count = keypoints.shape[1]
    if wanted != "auto" or rows.joint_order:
        order = wanted if wanted != "auto" else rows.joint_order
        if order not in FORMATS:
            raise UserError(f"{path}: joint order {order!r}. Expected one of {', '.join(FORMATS)}.")
        if count not in FORMATS[order].joint_counts:
            counts = " or ".join(map(str, FORMATS[order].joint_counts))
            who = "--keypoint_format" if wanted != "auto" else f"{rows.program} by the name {order}"
            fail(path, f"'keypoints' holds {count} joints a person", f"{counts}, as {who} says")
        return order
    if count in ORDERS_TOLD_APART:
        names = ORDERS_TOLD_APART[count]
        some = np.linspace(0, len(keypoints) - 1, min(len(keypoints), _COMPARED_PEOPLE)).round().astype(int)
        order = shortest_order(keypoints[some], names)
        if order:
            logger.info("%s: %d joints, %s by how they lie; --keypoint_format", path, count, FORMATS[order].title)
            return order
        if count == 14:
            fail(path, f"'keypoints' holds {count} joints a person", f"--keypoint_format {' or '.join(names)}")
    if count not in BY_COUNT:
        known = "; ".join(f"{row.title} ({' or '.join(map(str, row.joint_counts))})" for row in FORMATS.values())
        fail(path, f"'keypoints' holds {count} joints a person", known)
    if len(formats_of_count(count)) > 1:
        logger.info("%s: %d joints are taken as %s; --keypoint_format", path, count, FORMATS[BY_COUNT[count]].title)
    return BY_COUNT[count]


def _check_pixels(path: Path, keypoints: np.ndarray) -> None:
    is_seen = keypoints[..., 2] > 0
    farthest = np.where(is_seen, np.abs(keypoints[..., :2]).max(axis=-1), 0).max(axis=1)
    if farthest.max() > _LARGEST_PX:
        row = int(farthest.argmax())
        fail(path, f"'keypoints' row {row} holds {farthest[row]:.4g}", f"pixels, at most {_LARGEST_PX}")
    lowest, highest = boxes_around(keypoints, is_seen)
    size = (highest - lowest).max(axis=1)[is_seen.any(axis=1)]
    if len(size) and np.median(size) < _LEAST_SIZE_PX:
        found = f"each person's keypoints lie within {np.median(size):.2g} px of one another"
        if np.median(np.abs(keypoints[..., :2])) > _LEAST_SIZE_PX:
            fail(path, found, "keypoints of a person, in pixels")
        fail(
            path,
            f"{found}: they look normalised, as parts of the picture",
            "pixels: multiply x by the picture's width and y by its height",
        )


def _person_name(path: Path, row: int, person: Any) -> str:
    """A track's name as text; AlphaPose writes 1, 1.0, [1.0], or [[1.0], [2.0]] where it merged two boxes.

    "" where the program did not track: None, -1, nan, or an empty list.
    """
    person = person.ravel().tolist() if isinstance(person, np.ndarray) else person
    while isinstance(person, list) and person:
        person = person[0]
    if isinstance(person, float) and person.is_integer():
        person = int(person)
    if person is None or person == [] or person != person or person in (-1, "-1"):
        return ""
    if isinstance(person, int) and not isinstance(person, bool) and abs(person) < _LARGEST_TRACK:
        return str(person)
    if isinstance(person, str) and len(person) <= _LONGEST_TRACK and is_characters([person]):
        return person
    found = f"{person[:40]!r}" if isinstance(person, str) else f"a {type(person).__name__}"
    expected = f"a number of at most 64 bits, or a name of at most {_LONGEST_TRACK} characters"
    return fail(path, f"the track of row {row} is {found}", expected)


def _without_repeated(frame: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Names that often stand for several people of one frame are none: "" in their place."""
    people_of: dict[str, Counter] = defaultdict(Counter)
    for number, name in zip(frame.tolist(), person.tolist(), strict=True):
        if name:
            people_of[name][number] += 1
    most = 0 if len(people_of) == 1 else _MOST_REPEATED
    repeated = {
        name for name, counts in people_of.items() if sum(count > 1 for count in counts.values()) > most * len(counts)
    }
    if not repeated:
        return person
    logger.info("tracks named %s are of several people at once, so no tracks", ", ".join(sorted(repeated)[:5]))
    return np.where(np.isin(person, sorted(repeated)), "", person)


def _named_by_image(images: Images) -> np.ndarray:
    """Everybody in separate pictures by the picture's name, with a number where there are several."""
    counts, met = Counter(images.label.tolist()), Counter()
    names = []
    for label in images.label.tolist():
        names.append(label if counts[label] == 1 else f"{label}_{met[label]}")
        met[label] += 1
    return np.array(names)
