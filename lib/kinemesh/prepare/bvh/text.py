"""Reads a BVH file: a tree of joints, and numbers a frame for its channels.

Source: Meredith and Maddock, Motion Capture File Formats Explained, 2001. What programs write beyond it is read too: names
with blanks, channels in any order and case, position channels in every joint, leaves without an End Site. Memory never
grows with a number that the file claims: values take at most four times the file's size.
"""

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np

from kinemesh.errors import fail

MOST_JOINTS, DEEPEST, LONGEST_LINE = 1000, 200, 1 << 16
_CHANNELS = {f"{axis}{kind}": (kind, "xyz".index(axis)) for axis in "xyz" for kind in ("position", "rotation")}
_PIECE_BYTES = 1 << 22
_SLOWEST_S, _FASTEST_S = 60.0, 1e-4
_EXPECTED = "a BVH file: HIERARCHY, then MOTION"


class Bvh(NamedTuple):
    """A file's content, in its own units; joints come after their parents."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    offsets: np.ndarray  # (n, 3) from the parent, at rest
    channels: tuple[
        tuple[tuple[str, int], ...], ...
    ]  # of each joint, in order: "position" or "rotation", and axis 0 to 2
    frame_time_s: float
    values: np.ndarray  # (F, channels of all joints); angles in degrees

    @property
    def first_channels(self) -> np.ndarray:
        """(n,) column of each joint's first channel."""
        return np.cumsum([0, *map(len, self.channels)])[:-1]


def read_bvh(path: Path) -> Bvh:
    """Read and check a whole file. Raises UserError, in one line, for whatever is not as the format has it."""
    try:
        with path.open("rb") as file:
            lines = _Lines(file, path)
            tree = _read_tree(lines)
            frame_count, frame_time_s = _read_rate(lines)
            values = _read_values(file, path, frame_count, sum(map(len, tree[3])))
    except OSError as error:
        fail(path, f"cannot be read ({error.strerror or error})", _EXPECTED)
    names, parents, offsets, channels = tree
    return Bvh(tuple(names), tuple(parents), np.array(offsets), tuple(channels), frame_time_s, values)


class _Lines:
    """The lines before the frames: stripped, none empty, a brace always on its own."""

    def __init__(self, file: BinaryIO, path: Path):
        self.path, self.number = path, 0
        self._parts = self._split(file)

    def _split(self, file: BinaryIO) -> Iterator[str]:
        while data := file.readline(LONGEST_LINE):
            self.number += 1
            if len(data) == LONGEST_LINE:
                self.refuse(f"has more than {LONGEST_LINE} bytes", "a line of the hierarchy")
            text = data.decode("utf-8-sig", "replace")
            yield from filter(None, map(str.strip, re.split(r"([{}])", text)))

    def next(self) -> str:
        """The next one; a file that ends here is cut short."""
        for part in self._parts:
            return part
        fail(self.path, f"ends at line {self.number}, before its frames", f"{_EXPECTED}; it may be half a download")

    def refuse(self, fault: str, expected: str) -> NoReturn:
        fail(self.path, f"line {self.number} {fault}", expected)


def _read_tree(lines: _Lines) -> tuple[list, list, list, list]:
    """Names, parents, offsets and channels of every joint."""
    if lines.next().upper() != "HIERARCHY":
        lines.refuse("is not HIERARCHY", _EXPECTED)
    names, parents, offsets, channels = [], [], [], []
    open_joints: list[int | None] = []  # None: an end site
    offset_of: set[int] = set()
    while True:
        line = lines.next()
        words = line.split()
        kind = words[0].upper()
        here = open_joints[-1] if open_joints else None
        if kind == "MOTION" and not open_joints and names:
            break
        if kind in ("ROOT", "JOINT") and len(words) > 1:
            if (
                (kind == "ROOT") != (not open_joints)
                or (kind == "JOINT" and here is None)
                or (kind == "ROOT" and names)
            ):
                lines.refuse(f"has a {kind} in the wrong place", "one ROOT, and JOINTs inside it")
            if len(names) == MOST_JOINTS or len(open_joints) == DEEPEST:
                lines.refuse("has one joint too many", f"at most {MOST_JOINTS} joints, {DEEPEST} deep")
            parents.append(-1 if here is None else here)
            names.append(line.split(None, 1)[1][:200])
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
            open_joints.append(len(names) - 1)
            _expect_brace(lines)
        elif kind == "END" and here is not None:
            open_joints.append(None)
            _expect_brace(lines)
        elif kind == "}" and open_joints:
            if here is not None and here not in offset_of:
                lines.refuse(f"ends joint {names[here]!r} without an OFFSET", "OFFSET and three numbers")
            open_joints.pop()
        elif kind == "OFFSET" and open_joints:
            offset = _numbers(lines, words[1:], 3)
            if here is not None:
                offsets[here] = offset
                offset_of.add(here)
        elif kind == "CHANNELS" and here is not None:
            channels[here] = _channels(lines, words)
        else:
            lines.refuse(
                f"is {line[:60]!r}", "ROOT, JOINT, End Site, OFFSET, CHANNELS, a brace, or MOTION after the last"
            )
    return names, parents, offsets, channels


def _expect_brace(lines: _Lines) -> None:
    if lines.next() != "{":
        lines.refuse("has no { after a joint's name", "an opening brace")


def _channels(lines: _Lines, words: list[str]) -> tuple[tuple[str, int], ...]:
    kinds = tuple(_CHANNELS.get(word.lower()) for word in words[2:])
    if None in kinds or len(set(kinds)) < len(kinds) or words[1:2] != [str(len(kinds))]:
        lines.refuse(f"is {' '.join(words)[:80]!r}", "CHANNELS, their number, and names such as Xposition, Zrotation")
    return kinds


def _numbers(lines: _Lines, words: list[str], count: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        lines.refuse(f"has {' '.join(words)[:60]!r}", f"{count} finite numbers")
    return values


def _read_rate(lines: _Lines) -> tuple[int, float]:
    found = []
    for label in ("Frames", "Frame Time"):
        line = lines.next()
        name, _, value = line.partition(":")
        if " ".join(name.split()).lower() != label.lower():
            lines.refuse(f"is {line[:60]!r}", f"{label}: and a number")
        found += _numbers(lines, value.split(), 1)
    count, seconds = found
    if count < 1 or count != int(count):
        lines.refuse(f"has {count} frames", "a whole number from 1 on")
    if not _FASTEST_S <= seconds <= _SLOWEST_S:
        lines.refuse(f"has a frame time of {seconds} s", f"{_FASTEST_S} to {_SLOWEST_S} s")
    return int(count), seconds


def _read_values(file: BinaryIO, path: Path, frame_count: int, channel_count: int) -> np.ndarray:
    """(frame_count, channel_count), read piece by piece."""
    pieces, found, rest = [], 0, b""
    wanted = frame_count * channel_count
    while data := file.read(_PIECE_BYTES):
        cut = max(data.rfind(blank) for blank in (b"\n", b" ", b"\t"))
        if cut < 0 and len(rest) > LONGEST_LINE:
            fail(path, "holds a number without end", "numbers with blanks between them")
        whole, rest = (rest + data[:cut], data[cut:]) if cut >= 0 else (b"", rest + data)
        pieces.append(_parse(whole, path))
        found += len(pieces[-1])
    pieces.append(_parse(rest, path))
    found += len(pieces[-1])
    if found != wanted or not channel_count:
        claim = f"claims {frame_count} frames of {channel_count} channels, {wanted} numbers, and holds {found}"
        fail(path, claim, "as many as it claims; a download may have stopped half-way")
    values = np.concatenate(pieces).reshape(frame_count, channel_count)
    if not np.isfinite(values).all():
        frame = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        fail(path, f"frame {frame} holds NaN or infinity", "finite numbers")
    return values


def _parse(data: bytes, path: Path) -> np.ndarray:
    text = data.decode("latin-1").strip()
    if not text:
        return np.empty(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what numpy says of a word that is no number
            return np.fromstring(text, sep=" ")
    except (ValueError, DeprecationWarning):
        word = next((word for word in text.split() if not _is_number(word)), "")
        fail(path, f"its frames hold {word[:40]!r}", "numbers")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
