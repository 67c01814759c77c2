"""Which frame of the video an image is: from numbers and names as programs write them.

Names are compared with one another: of the numbers in them, the last that differs between images is the frame; what
else differs tells videos apart. Sources: AlphaPose `pPose_nms.write_json` ("12.jpg", from 0), OpenPose
`peopleJsonSaver` (12 digits, from 0), ultralytics `engine/predictor.py` ("clip_1.txt", from 1), ffmpeg ("%06d", from
1), Roboflow exports ("frame_0001_jpg.rf.<hash>.jpg").
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.arrays import is_characters

logger = logging.getLogger(__name__)

LARGEST_NUMBER = 10**15
# Frames from the first to the last are a video if there are no more than these, and so many times as are given.
_FRAMES_OF_A_VIDEO = 1000
_FRAMES_A_GIVEN_ONE = 20
_ENDINGS = re.compile(r"(\.[A-Za-z]\w{0,4})+$")
_ROBOFLOW = re.compile(r"[._](jpe?g|png|bmp|webp|tiff?)\.rf\.\w+(\.\w+)*$", re.IGNORECASE)
_LONGEST_NAME = 4096
# What file systems allow a file's own name; the patterns above take time with its square.
_LONGEST_FILE = 255


class Images(NamedTuple):
    """The image of each of N rows."""

    frame: np.ndarray  # (N,) int64; of a video, counted from 0
    label: np.ndarray | None  # (N,) text, the image's name: separate images; None: frames of a video


class _Name(NamedTuple):
    video: str
    number: int | None
    is_padded: bool  # with zeros in front
    is_bare: bool  # nothing but the number


class Counting(NamedTuple):
    """What is known of how frames are counted."""

    first_frame: int | None = None  # as the user says
    frame_count: int | None = None  # the video's
    program: int | None = None  # as the layout is known to count


def number_images(path: Path, images: Sequence[Any], listed: Sequence[Any], counting: Counting) -> Images:
    """Frames of rows that are in `images`; `listed` are all images the file names, those without people too.

    Raises UserError for what is no image's name or number, and for several videos of which none is chosen.
    """
    for image in (*listed, *images):
        if isinstance(image, bool) or not isinstance(image, int | float | str):
            fail(path, f"an image is called {str(image)[:60]!r}", "an image's name, or its number counted from 0")
    names = _read_names(path, list(dict.fromkeys([*listed, *images])))
    rows = [names[image] for image in images]
    numbers = [name.number for name in rows]
    if None in numbers or _are_all_different(names):
        order = {image: place for place, image in enumerate(names)}
        return Images(np.array([order[image] for image in images], dtype=np.int64), _labels(images))
    videos = Counter(name.video for name in rows)
    if len(videos) > 1:
        some = ", ".join(repr(video)[:60] for video in list(videos)[:5])
        raise UserError(
            f"{path}: images of {len(videos)} videos, {some}. Expected one: give its name behind the path, as "
            f"{path}/{next(iter(videos))}."
        )
    frame = np.array(numbers, dtype=np.int64)
    longest = _FRAMES_OF_A_VIDEO + _FRAMES_A_GIVEN_ONE * len(np.unique(frame))
    if not counting.frame_count and np.ptp(frame) > longest:
        logger.info("%s: images far apart, taken as separate pictures, not as a video", path)
        return Images(frame, _labels(images))
    if not counting.frame_count and frame.min() > longest:
        logger.info("%s: images are numbered from %d: that is taken as frame 0", path, frame.min())
        return Images(frame - frame.min(), None)
    return Images(
        frame - _first_number(path, [name for name in names.values() if name.video in videos], counting), None
    )


def chosen_rows(images: list[Any], prefix: str) -> list[int]:
    """Places of the images of the video called, or beginning with, `prefix`."""
    return [
        place
        for place, image in enumerate(images)
        if prefix in (str(image)[: len(prefix)], _stem(str(image))[: len(prefix)])
    ]


def _first_number(path: Path, names: list[_Name], counting: Counting) -> int:
    """The number of the video's first frame, 0 or 1, by rule or as the user says; the log tells."""
    numbers = [name.number for name in names]
    lowest, highest = min(numbers), max(numbers)
    if counting.first_frame is not None:
        if lowest < counting.first_frame:
            raise UserError(
                f"{path}: has an image numbered {lowest}, but --first_frame {counting.first_frame} says that they are "
                "counted from 1. Expected --first_frame 0."
            )
        return counting.first_frame
    if lowest == 0:
        return 0
    is_like_images = any(name.is_padded for name in names)
    if lowest == 1:
        is_like_images |= counting.program == 1 or not all(name.is_bare for name in names)
    reason = "none is numbered 0" if is_like_images else ""
    if counting.frame_count and highest >= counting.frame_count:
        reason = f"the video has {counting.frame_count} frames" if highest == counting.frame_count else ""
    if not reason:
        logger.info("%s: frames are counted from 0; --first_frame 1 if they are not", path)
        return 0
    logger.info("%s: images are counted from 1, since %s; --first_frame 0 if they are not", path, reason)
    return 1


def _are_all_different(names: dict[Any, _Name]) -> bool:
    """Whether names have so little in common that they cannot be frames of a video."""
    videos = Counter(name.video for name in names.values())
    return len(videos) > 1 and max(videos.values()) == 1


def _labels(images: list[Any]) -> np.ndarray:
    stems = {image: _stem(str(image)) for image in images}
    is_unique = len(set(stems.values())) == len(stems)
    return np.array([stems[image] if is_unique else str(image) for image in images])


def _read_names(path: Path, images: list[Any]) -> dict[Any, _Name]:
    """Each image's number, as it stands there."""
    names: dict[Any, _Name] = {}
    by_pattern: dict[tuple, dict[Any, list[str]]] = defaultdict(dict)
    for image in images:
        if isinstance(image, float) and image.is_integer():
            names[image] = _Name("", int(image), False, True)
        elif isinstance(image, int):
            names[image] = _Name("", image, False, True)
        elif isinstance(image, str) and _is_name(image):
            parts = re.split(r"(\d+)", _stem(image))
            by_pattern[tuple(parts[::2])][image] = parts[1::2]
        else:
            fail(path, f"an image is called {str(image)[:60]!r}", "an image's name, or its number counted from 0")
        if image in names and not 0 <= names[image].number <= LARGEST_NUMBER:
            fail(path, f"an image is called {str(image)[:60]!r}", f"a number from 0 to {LARGEST_NUMBER}")
    for pattern, group in by_pattern.items():
        names |= _numbers_of_pattern(pattern, group)
    folders = {image.rpartition("/")[0] for image in names if isinstance(image, str)}
    if len(folders) > 1:
        for image, name in names.items():
            folder = image.rpartition("/")[0] if isinstance(image, str) else ""
            names[image] = name._replace(video=f"{folder}/{name.video}".strip("/"))
    return {image: names[image] for image in images}


def _numbers_of_pattern(pattern: tuple[str, ...], group: dict[Any, list[str]]) -> dict[Any, _Name]:
    """Names that differ in their numbers alone."""
    count = len(pattern) - 1
    if count == 0:
        return {image: _Name("".join(pattern), None, False, False) for image in group}
    varying = [place for place in range(count) if len({numbers[place] for numbers in group.values()}) > 1]
    frame = varying[-1] if varying else count - 1
    is_bare = pattern in (("", ""), ("", "_keypoints"))
    named = {}
    for image, numbers in group.items():
        text = numbers[frame]
        video = "".join(pattern[place] + numbers[place] for place in range(frame)) + pattern[frame]
        is_padded = text.startswith("0") and len(text) > 1 and not (len(text) == 12 and pattern[-1] == "_keypoints")
        number = int(text) if len(text) <= 15 else None
        named[image] = _Name(video.rstrip("-_. ("), number, is_padded, is_bare)
    return named


def _is_name(image: str) -> bool:
    return 0 < len(image) <= _LONGEST_NAME and len(_file(image)) <= _LONGEST_FILE and is_characters([image])


def _file(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    """The name without folder, endings and what Roboflow adds."""
    file = _file(name)[:_LONGEST_FILE]
    return _ENDINGS.sub("", _ROBOFLOW.sub("", file))
