"""When bodies do not lie on their keypoints: how far off that is, and which wrong input would explain it.

A person's error is told in parts of their size in the picture. A body that a network makes of joints in another order,
of two people in turn, or of a picture of another size, fits nothing; read rightly, it does.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import boxes_around
from kinemesh.infer.people import Person
from kinemesh.keypoints import Detections
from kinemesh.keypoints.formats import FORMATS, formats_of_count
from kinemesh.structures import Track

logger = logging.getLogger(__name__)

# In parts of the person's size: more is a warning, for a network's bodies and for bodies that were fitted.
DOUBTED, DOUBTED_IF_FITTED = 0.3, 0.1
# Beyond that a track is no person, if another fits.
_WILD = 1.0
# A cause is named if without it this part of the error is left.
_EXPLAINED = 0.5
_COMPARED_FRAMES = 64
_COMPARED_PEOPLE = 50
# Two people whose middles are nearer, in parts of their size, may well change places.
_APART = 0.3
_OTHER_SIZES = (0.5, 2 / 3, 0.75, 4 / 3, 1.5, 2.0, 3.0)

# Mean error of everybody in these detections, read so; a shape of the picture, and whether tracks count.
Measure = Callable[[Detections, tuple[int, int], bool], float]


class Cause(NamedTuple):
    """What would explain a large error."""

    what: str  # with the flag that mends it
    error: float  # that is then left, in parts of people's size


def person_size_px(keypoints_px: np.ndarray) -> float:
    """Median over frames of the longer side of the box around what is seen of (F, K, 3), at least 1."""
    low, high = boxes_around(keypoints_px, keypoints_px[..., 2] > 0)
    sizes = (high - low).max(axis=1)
    sizes = sizes[np.isfinite(sizes)]
    return max(float(np.median(sizes)), 1.0) if len(sizes) else 1.0


def without_wild(tracks: list[Track], facts: dict[str, dict]) -> list[Track]:
    """The tracks without those that lie nowhere near their keypoints, if others do; `facts` loses them too."""
    errors = {name: values["reprojection_error_of_size"] for name, values in facts.items()}
    wild = [name for name, error in errors.items() if error > _WILD]
    if not wild or min(errors.values()) > DOUBTED:
        return tracks
    logger.warning("%d tracks that fit no body are left out: %s", len(wild), ", ".join(wild[:10]))
    for name in wild:
        del facts[name]
    return [track for track in tracks if track.name not in wild]


def warn_of_swaps(people: list[Person]) -> None:
    """One line on every two who change places from one frame to the next, as tracks do that were mixed up.

    Their errors do not show that: a body stands wherever its keypoints are.
    """
    for one, other in itertools.combinations(people[:_COMPARED_PEOPLE], 2):
        _, ours, theirs = np.intersect1d(one.frames, other.frames, return_indices=True)
        if len(ours) < 2:
            continue
        middles = np.stack([_middles(one.keypoints_px[ours]), _middles(other.keypoints_px[theirs])])  # (2, F, 2)
        apart = np.linalg.norm(middles[0] - middles[1], axis=-1)
        stayed = np.linalg.norm(middles[:, 1:] - middles[:, :-1], axis=-1).max(axis=0)
        swapped = np.linalg.norm(middles[::-1, 1:] - middles[:, :-1], axis=-1).max(axis=0)
        size = max(person_size_px(one.keypoints_px), person_size_px(other.keypoints_px))
        count = int(((apart[:-1] > _APART * size) & (swapped < _EXPLAINED * stayed)).sum())
        if count:
            logger.warning(
                "people %s and %s change places %d times from one frame to the next: --relink, if their tracks are mixed up",
                one.name, other.name, count,
            )  # fmt: skip


def _middles(keypoints_px: np.ndarray) -> np.ndarray:
    """(F, 2) mean of what is seen of (F, K, 3)."""
    weights = keypoints_px[..., 2:] > 0
    return (keypoints_px[..., :2] * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)


def warn_of_misfit(
    facts: dict[str, dict],
    detections: Detections,
    image_size: tuple[int, int],
    measure: Measure,
    limit: float = DOUBTED,
) -> None:
    """One line on everybody who fits worse than `limit`, and on what would mend it."""
    doubted = {name: values for name, values in facts.items() if values["reprojection_error_of_size"] > limit}
    if not doubted:
        return
    some = _around(detections, max(doubted.values(), key=lambda values: values["reprojection_error_of_size"]))
    cause = find_cause(some, image_size, measure)
    for name, values in list(doubted.items())[:5]:
        logger.warning(
            "person %s: the body is %.0f px from the keypoints, %.0f %% of the person's size",
            name, values["reprojection_error_px"], 100 * values["reprojection_error_of_size"],
        )  # fmt: skip
    if cause is None:
        logger.warning("cause unknown: is this the keypoints' picture size, joint order and video?")
    else:
        logger.warning("likely cause: %s (%.0f %% are then left)", cause.what, 100 * cause.error)


def find_cause(detections: Detections, image_size: tuple[int, int], measure: Measure) -> Cause | None:
    """The wrong input that explains most of the error; None if none explains half of it."""
    before = _measured(measure, detections, image_size, False)
    causes = [Cause(what, error) for what, error in _tried(detections, image_size, measure) if np.isfinite(error)]
    best = min(causes, key=lambda cause: cause.error, default=None)
    return best if best is not None and np.isfinite(before) and best.error <= _EXPLAINED * before else None


def _tried(detections: Detections, image_size: tuple[int, int], measure: Measure) -> Iterator[tuple[str, float]]:
    def error(changed: Detections, size: tuple[int, int] = image_size, is_relinked: bool = False) -> float:
        return _measured(measure, changed, size, is_relinked)

    for order in formats_of_count(detections.keypoints_px.shape[1]):
        if order != detections.joint_order:
            what = f"the joints are in the order of {FORMATS[order].title}: --keypoint_format {order}"
            yield what, error(detections._replace(joint_order=order))
    if len(set(detections.person.tolist()) - {""}) > 1 and not detections.are_images:
        yield "the file's tracks swap people: --relink", error(detections, is_relinked=True)
    for scale in _OTHER_SIZES:
        size = (round(image_size[0] * scale), round(image_size[1] * scale))
        yield (
            f"the keypoints are of a picture of another size: --image_size {size[0]}x{size[1]}",
            error(detections, size),
        )


def _measured(measure: Measure, detections: Detections, image_size: tuple[int, int], is_relinked: bool) -> float:
    """Infinite where nothing is left to measure."""
    try:
        return measure(detections, image_size, is_relinked)
    except UserError:
        return np.inf


def _around(detections: Detections, values: dict) -> Detections:
    """Some frames in a row, around the worst of a person's track."""
    numbers = np.unique(detections.frame)
    middle = int(np.searchsorted(numbers, values["worst_frame"]))
    start = max(0, min(middle - _COMPARED_FRAMES // 2, len(numbers) - _COMPARED_FRAMES))
    chosen = np.isin(detections.frame, numbers[start : start + _COMPARED_FRAMES])
    return detections.chosen(chosen)
