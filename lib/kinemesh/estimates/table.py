"""What one file of bodies holds: a row a person and frame, whatever system wrote it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.estimates.values import LARGEST_FRAME

# Folders and file names that say nothing about which video an image is from.
PLAIN_NAMES = frozenset({"", "img", "imgs", "image", "images", "raw_images", "frame", "frames", "rgb", "color"})
# Names of files that say who wrote them, and not of which video.
SYSTEM_NAMES = frozenset(
    {"predictions", "output", "result", "results", "hybrik", "wham", "vibe", "tcmr", "pymaf", "gvhmr", "gem", "tram"}
    | {"prompthmr", "cliff", "romp", "bev", "mmhuman3d", "nlf", "phalp", "4dhumans", "tokenhmr"}
)
LONGEST_FILE = 255  # what file systems allow; the pattern takes time with its square
_PERSON = re.compile(r"(.*?)[-_. ]*(?:subj|subject|person|id|obj)[-_. ]?\d+", re.IGNORECASE)
NUMBERED_NAME = re.compile(r"(.*?)[-_. ]*(\d{1,15})(\.[A-Za-z]\w*)?")


class NotRecognisedError(UserError):
    """A file that can be read, but is none of `kinemesh.estimates.readers.LAYOUTS`."""


class Table(NamedTuple):
    """What one file holds; F rows."""

    path: Path
    system: str  # who wrote it
    dataset: np.ndarray  # (F,) text; "": not said
    video: np.ndarray  # (F,) text
    person: np.ndarray  # (F,) text; "": not said
    frame: np.ndarray  # (F,) int64
    poses: np.ndarray  # (F, 72) float32; where there are points, not known yet
    betas: np.ndarray  # (F, 10) float32
    fps: np.ndarray  # (F,) float64, nan: not said
    notes: tuple[str, ...] = ()  # what of the file could not be taken as it is, the same words for every such file
    first_image: int | None = None  # lowest number of an image that frames are named by; None: counted from 0
    repeat: np.ndarray | None = None  # (F,) int64, where a frame has several rows: 0, 1, ...; None: all 0
    mirrored: tuple[np.ndarray, np.ndarray] | None = None  # poses and betas seen in mirrored input, mirrored back
    places_m: np.ndarray | None = None  # (F, 3) before the camera, where the file does not say who is who
    trans_m: np.ndarray | None = (
        None  # (F, 3) added to the posed body to place it before the camera, where the file has it
    )
    points_m: np.ndarray | None = None  # (F, 70, 3) MHR's keypoints, which the bodies are to be fitted to
    vertices_m: np.ndarray | None = None  # (F, V, 3) of SMPL's mesh, every BodyFitter.stride-th: the same
    world_up: str = (
        ""  # the axis of the file's world that is up, where it holds no camera; rows are then of a level one
    )


def table_of(
    path: Path, system: str, names: tuple[Sequence, Sequence], frame: np.ndarray, bodies: tuple, **more
) -> Table:
    """A table of `bodies`, poses and betas; `names`: each row's video and person, or one text for all of them.

    Raises UserError for a file without rows.
    """
    count = len(frame)
    if count == 0:
        fail(path, "has no rows", "at least one")
    video, person = (np.full(count, name) if isinstance(name, str) else np.array(name, dtype=str) for name in names)
    fps = np.full(count, np.nan if more.get("fps") is None else more["fps"])
    dataset = np.full(count, "")
    return Table(path, system, dataset, video, person, frame, *bodies, **more | {"fps": fps})


def video_of(path: Path, own_names: Sequence[str], plain: Sequence[str] = ()) -> str:
    """The video that a file is of: its name, or its folder's where that is one of `own_names` or a system's.

    Folders of the names `plain` are stepped over.
    """
    if path.stem not in own_names and path.stem.lower() not in SYSTEM_NAMES:
        return path.stem
    folder = path.resolve().parent
    while folder.name in plain and folder.parent != folder:
        folder = folder.parent
    return folder.name


def image_of_person(path: Path) -> tuple[str, int | None]:
    """Video and number of the image that a person's file is of, its folder and what its name says; of a name without a
    number, the name and None."""
    person = _PERSON.fullmatch(path.stem)
    found = video_and_number(person[1] if person else path.stem, path.stem)
    return (path.resolve().parent.name, found[1]) if found else (path.stem, None)


def video_and_number(name: str, otherwise: str) -> tuple[str, int] | None:
    """Video and number of an image; None if its name does not end in a number.

    The video is the image's folder, unless that is one such as `img`: then what stands before the number, or else the
    folder above, or `otherwise`.
    """
    *folders, file = name.replace("\\", "/").split("/")
    match = NUMBERED_NAME.fullmatch(file) if len(file) <= LONGEST_FILE else None
    if match is None or int(match[2]) > LARGEST_FRAME:
        return None
    is_plain = not folders or folders[-1].lower() in PLAIN_NAMES
    if is_plain and match[1].lower() not in PLAIN_NAMES:
        return match[1], int(match[2])
    telling = [folder for folder in folders if folder.lower() not in PLAIN_NAMES | {".", ".."}]
    return (telling[-1] if telling else otherwise), int(match[2])


def videos_and_numbers(
    path: Path, where: str, names: Sequence[str], otherwise: str | None = None
) -> tuple[list[str], np.ndarray]:
    """`video_and_number` of each of the images (F,), otherwise the file's. Raises UserError where there is no number."""
    videos, numbers = [], np.empty(len(names), dtype=np.int64)
    for row, name in enumerate(names):
        found = video_and_number(name, otherwise or path.stem)
        if found is None:
            fail(path, f"{where} row {row} is {name[-60:]!r}", "a name that ends in the frame number")
        videos.append(found[0])
        numbers[row] = found[1]
    return videos, numbers
