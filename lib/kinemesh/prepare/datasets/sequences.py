"""What every reader of a published data set gives: somebody's bodies in a camera's axes, for SMPL's neutral body."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.errors import UserError, fail
from kinemesh.prepare.motions.sequences import Bodies, cut_at_gaps, finite_floats

_LARGEST = 1 << 53  # of a whole number: floats hold it, too
_LONGEST_NAME = 200  # bytes of a file's name, leaving some for its ending
# What `--keypoints` may say beside a file.
OF_THE_SET, PROJECTED, NONE = "set", "projected", "none"


class PreparedSequence(NamedTuple):
    """F frames of one person, or F single pictures; camera axes are x right, y down, z forward, m."""

    name: str
    frames: np.ndarray  # (F,) int64 number of each picture in its video, from 0; of single pictures 0 to F - 1
    image_size: np.ndarray  # (2,) or (F, 2) width and height in pixels
    K: np.ndarray  # (3, 3) or (F, 3, 3) in pixels
    poses: np.ndarray  # (F, 72) axis-angle, the root in camera axes
    betas: np.ndarray  # (10,) or (F, 10)
    trans_m: np.ndarray  # (F, 3) added to the posed body
    split: str  # train or test
    keypoints_px: np.ndarray | None = None  # (F, joints, 3) x, y, confidence, as the set has them
    joint_order: str = ""  # of kinemesh.keypoints.formats.FORMATS, as the set says
    joints_m: np.ndarray | None = None  # (F, 17, 3) measured H36M joints in camera axes
    video: str = ""  # what files of keypoints call it; "": as the sequence
    action: str = ""
    camera: str = ""  # its name, where a layout asks for it
    pictures: list[str] | None = None  # of single pictures, their names
    step: int = 1  # from one frame's number to the next one's
    has_camera: bool = True  # False: K stands for a weak perspective, and is no camera's
    notes: tuple[str, ...] = ()  # what was done, the same words for every sequence that it was done to

    def rows(self, chosen: np.ndarray | slice) -> "PreparedSequence":
        """Some of the frames."""
        count = len(self.poses)
        cut = {}
        for name, dimensions in _PER_FRAME.items():
            value = getattr(self, name)
            if isinstance(value, list):
                cut[name] = [value[row] for row in np.arange(count)[chosen]]
            elif value is not None and value.ndim == dimensions:
                cut[name] = value[chosen]
        return self._replace(**cut)


# Axes that each has where it is said of every frame.
_PER_FRAME = {
    "frames": 1, "image_size": 2, "K": 3, "poses": 2, "betas": 2, "trans_m": 2, "keypoints_px": 3, "joints_m": 3, "pictures": 0,
}  # fmt: skip


class Item(NamedTuple):
    """What is read at a time: a file, or a part of one."""

    name: str
    paths: tuple[Path, ...]  # that it is read from
    key: Any = None  # what else the reader needs to find it, plain


class Workplace:
    """What readers share: bodies, what the user chose, and the count of what was left out."""

    def __init__(self, bodies: Bodies, betas: str):
        self.bodies, self.betas = bodies, betas
        self.kinematics = JointKinematics(bodies.assets, dtype=torch.float64)
        self.dropped: Counter = Counter()  # reason -> frames
        self.refit_mm: list[
            tuple[int, float]
        ] = []  # frames, and how far refitted vertices are from the gendered body's

    def drop(self, reason: str, frames: int = 1) -> None:
        """Count frames that are left out."""
        if frames:
            self.dropped[reason] += int(frames)


def without(sequence: PreparedSequence, is_kept: np.ndarray, reason: str, place: Workplace) -> PreparedSequence:
    """The frames (F,) that are kept; the others are counted under `reason`."""
    place.drop(reason, int((~is_kept).sum()))
    return sequence if is_kept.all() else sequence.rows(is_kept)


def stretches(sequence: PreparedSequence) -> Iterator[PreparedSequence]:
    """The parts of a video without a gap, with a number behind the name where there are several."""
    if len(sequence.frames):
        yield from cut_at_gaps(sequence, sequence.frames, sequence.step)


def step_of(frames: np.ndarray) -> int:
    """From one number to the next, as most often (F,) rising ones have it."""
    return int(Counter(np.diff(frames).tolist()).most_common(1)[0][0]) if len(frames) > 1 else 1


def numbers(path: Path, held: Any, key: Any, shape: tuple[int | None, ...], what: str = "") -> np.ndarray:
    """The finite numbers under `key` of a dict or list, float64, of this shape; None stands for any length.

    Raises UserError, one line, for what is missing or anything else.
    """
    place = what or repr(key)
    expected = f"numbers of shape ({', '.join('any' if side is None else str(side) for side in shape)})"
    try:
        value = held[key]
    except (KeyError, IndexError, TypeError):
        return fail(path, f"{place} is missing", expected)
    try:
        array = finite_floats(value)
    except ValueError as error:
        return fail(path, f"{place} {error}", expected)
    fits = array.ndim == len(shape) and all(side in (None, own) for side, own in zip(shape, array.shape, strict=True))
    if not fits:
        return fail(path, f"{place} has shape {array.shape}", expected)
    return array


def field(path: Path, held: Any, key: Any, kind: type | tuple[type, ...]) -> Any:
    """What a dict has under `key`, of this type. Raises UserError."""
    value = held.get(key) if isinstance(held, dict) else None
    if not isinstance(value, kind):
        found = "is missing" if value is None else f"is a {type(value).__name__}"
        names = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        fail(path, f"{key!r} {found}", f"a {names}")
    return value


def texts(path: Path, held: Any, key: str, count: int | None = None) -> np.ndarray:
    """(N,) texts under a key of a dict of arrays, as many as `count` where that is given. Raises UserError."""
    array = held.get(key)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "US" or not len(array):
        fail(path, f"{key!r} is missing or none", "an array of text, one a row")
    if count is not None and len(array) != count:
        fail(path, f"{key!r} has {len(array)} rows", f"{count}")
    return array if array.dtype.kind == "U" else np.char.decode(array, "latin1")


def whole(path: Path, value: Any, what: str) -> int:
    """A whole number, or text that is one. Raises UserError."""
    try:
        if isinstance(value, int | str | np.integer) and not isinstance(value, bool) and abs(int(value)) <= _LARGEST:
            return int(value)
    except ValueError:
        pass
    return fail(path, f"{what} is {str(value)[:40]!r}", "a whole number")


def file_name(path: Path | str, value: Any, what: str) -> str:
    """A text out of a file as a part of the name of another. Raises UserError for what is no such part."""
    is_name = isinstance(value, str) and value not in ("", ".", "..") and not set(value) & set("/\\\0")
    if not is_name or len(value.encode("utf-8", "replace")) > _LONGEST_NAME:
        fail(path, f"{what} is {str(value)[:40]!r}", "what a file may be called")
    return value


def require(raw: Path, names: tuple[str, ...], where_from: str) -> list[Path]:
    """Files or folders that a source needs below `raw`. Raises UserError that names those that are missing."""
    missing = [name for name in names if not (raw / name).exists()]
    if missing:
        there = sorted(path.name for path in raw.iterdir())[:6] if raw.is_dir() else []
        state = f"there are {', '.join(there)}" if there else "nothing is there"
        raise UserError(f"--raw {raw}: {', '.join(missing)} missing, {state}. Expected {where_from}.")
    return [raw / name for name in names]
