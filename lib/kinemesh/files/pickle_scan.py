"""Looks through a pickle's opcodes before it is loaded, so that what is cut short or absurd never reaches the loader.

A claimed length is checked against the file, a memo index against its place in the file: until December 2025 an
opcode of five bytes could make CPython allocate 64 GiB (gh-115952). Array data is stepped over, not read.
"""

import mmap
import pickle
import re
from functools import cache
from typing import BinaryIO

# First bytes of files that are often put where a pickle is expected.
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive, .npz file or PyTorch checkpoint",
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"\x93NUMPY": "an .npy file",
    b"\x89HDF": "an HDF5 file",
    b"<": "a web page, as a failed download leaves",
    b"version https://git-lfs": "a Git LFS pointer: run `git lfs pull`",
}

# Opcodes by the bytes of the length that follows them, and those that have no use in plain data.
LENGTH_BYTES = {b"U": 1, b"C": 1, b"\x8c": 1, b"\x8a": 1, b"T": 4, b"X": 4, b"B": 4, b"\x8b": 4} | {
    b"\x8d": 8, b"\x8e": 8, b"\x96": 8, b"\x95": 8,
}  # fmt: skip
USELESS = {b"P": "a persistent id", b"Q": "a persistent id", b"\x97": "an outside buffer"} | dict.fromkeys(
    (b"\x82", b"\x83", b"\x84"), "a copyreg extension code"
)
LINE_OPCODES = b"SVFILgpci"


class Refused(Exception):
    """The file asks for something that plain data does not need."""


class Truncated(Exception):
    """The file ends before the pickle does."""


class NotAPickle(Exception):
    """The file holds something else than `format`."""

    format = "a pickle"


def scan_pickle(file: BinaryIO) -> None:
    """Walk the opcodes without running them, stepping over array data; the file's position stays at its start."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for magic, name in OTHER_FORMATS.items():
            if data[: len(magic)] == magic:
                raise NotAPickle(f"it looks like {name}")
        position, size = 0, len(data)
        while (opcode := data[position : position + 1]) != b".":
            match = _cheap_opcodes().match(data, position)
            if match:
                position = match.end()
            elif opcode in LENGTH_BYTES:
                start = position + 1 + LENGTH_BYTES[opcode]
                length = int.from_bytes(data[position + 1 : start], "little")
                if start + length > size:
                    raise Truncated(f"{length} bytes at {start}, the file has {size}")
                position = start if opcode == b"\x95" else start + length  # a frame's contents are opcodes
            elif opcode in (b"r", b"p"):
                position = _step_over_memo_index(data, position)
            elif opcode in USELESS and position > 0:
                raise Refused(f"it holds {USELESS[opcode]}")
            elif size - position < 9 or (opcode in LINE_OPCODES and data.find(b"\n", position) < 0):
                raise Truncated(f"the file has {size} bytes")
            elif data[:1] == b"\x80":
                raise pickle.UnpicklingError(f"byte {position} is {opcode!r}")
            else:
                raise NotAPickle(f"byte {position} is {opcode!r}, the file starts {data[:12]!r}")


@cache
def _cheap_opcodes() -> re.Pattern[bytes]:
    """Matches up to a thousand opcodes that cannot ask for memory: the scan's speed where there is much text."""

    def short_texts(zeros: bytes) -> bytes:
        # Length, then as many bytes; in groups of 16 lengths, so that a match tries 32 branches and not 256.
        groups = []
        for first in range(0, 256, 16):
            lengths = range(first, first + 16)
            branches = b"|".join(re.escape(bytes([n]) + zeros) + b".{%d}" % n for n in lengths)
            groups.append(b"(?=[%s-%s])(?:%s)" % (*(re.escape(bytes([n])) for n in (first, first + 15)), branches))
        return b"|".join(groups)

    without_argument = re.escape(b"(01]})tsuaedblNoRb") + rb"\x81\x85-\x89\x8f-\x94"
    parts = [
        rb"[\x8cCU\x8a](?:%s)\x94?" % short_texts(b""),
        rb"[XTB](?:%s)(?:r...\x00|q.|)" % short_texts(b"\0\0\0"),
        rb"[%s]+" % without_argument,
        rb"[hqK\x80].|M..|[jJ]....|G.{8}",
        rb"r...\x00",  # memo indices below 16 million cost at most 0.25 GiB
        rb"p[0-9]{1,7}\n|g[0-9]{1,19}\n|[FIL][^\n]{1,1000}\n|[SV][^\n]*\n|[ci][^\n]*\n[^\n]*\n",
    ]
    return re.compile(rb"(?:" + b"|".join(parts) + rb"){1,1000}", re.DOTALL)


def _step_over_memo_index(data: mmap.mmap, position: int) -> int:
    """A pickler counts its memo indices up, so that none can be larger than its place in the file."""
    if data[position : position + 1] == b"r":
        end = position + 5
        index = int.from_bytes(data[position + 1 : end], "little")
    else:
        end = data.find(b"\n", position) + 1
        digits = data[position + 1 : end - 1] if 0 < end < position + 25 else b""
        if not digits.isdigit():
            raise NotAPickle(f"byte {position} is not a memo index")
        index = int(digits)
    if index > position:
        raise Refused(f"it asks for {index} memo entries at byte {position}")
    return end
