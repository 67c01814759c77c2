"""JSON of keypoints into memory: gzip or plain, and every list of numbers an array as soon as it is read.

A Python list takes eight times the memory of the numbers in it, and that decides how long a video may be.
"""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.errors import UserError

# Far more than hours of video hold; a larger file is something else, and would fill the memory.
_LARGEST_FILE = 1 << 30
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
# Shorter lists are boxes, sizes and track numbers.
_SHORTEST = 8


def load_json(path: Path, expected: str) -> Any:
    """The file's content; lists of numbers or null, in a dict, are float32 arrays with nan for null.

    Raises UserError for a file that is no JSON, or larger than a GiB, unpacked or not.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP
        if size <= _LARGEST_FILE:
            data = _unpacked(path) if is_gzip else path.read_bytes()
            size = len(data)
        if size > _LARGEST_FILE:
            raise UserError(
                f"{path}: {size >> 20} MiB, expected at most {_LARGEST_FILE >> 20}. Split the video into parts."
            )
        text = data.decode("utf-8-sig")
        del data
        return _parsed(text)
    except (ValueError, RecursionError, MemoryError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: not valid JSON ({str(error)[:120]}). Expected {expected}.") from None


def _unpacked(path: Path) -> bytearray:
    """The content of a gzip file, but no more than is read, and a little."""
    data = bytearray()
    with gzip.open(path) as file:
        while len(data) <= _LARGEST_FILE and (part := file.read(_CHUNK)):
            data += part
    return data


def _parsed(text: str) -> Any:
    """The value of JSON, or the list of those that stand a line each."""
    try:
        return json.loads(text, object_hook=_with_arrays)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        return [json.loads(line, object_hook=_with_arrays) for line in text.splitlines() if line.strip()]


def as_array(value: Any) -> np.ndarray | None:
    """Nested lists of numbers or null as float32, nan for null; None if they are anything else."""
    try:
        array = np.asarray(value)
        if array.dtype == object:
            if not all(item is None or type(item) in (float, int) for item in array.flat):
                return None
            array = array.astype(np.float64)
        if array.dtype.kind not in "fiu":
            return None
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    except (ValueError, OverflowError, TypeError):
        return None


def _with_arrays(content: dict) -> dict | list:
    """A dict with arrays for its lists of numbers; a point's dict as the list [x, y, confidence]."""
    if {"x", "y"} <= content.keys() and "keypoints" not in content and isinstance(content["x"], float | int):
        confidence = next(
            (content[key] for key in ("visibility", "confidence", "score", "conf") if key in content), 1.0
        )
        return [content["x"], content["y"], confidence]
    for key, value in content.items():
        if type(value) is list and len(value) >= _SHORTEST and _is_of_numbers(value):
            array = as_array(value)
            if array is not None:
                content[key] = array
    return content


def _is_of_numbers(value: list) -> bool:
    """Whether the first item says that these may be numbers: a number, or a list of a few."""
    first = value[0]
    if type(first) is list:
        return 0 < len(first) <= 5 and type(first[0]) in (float, int, type(None))
    return type(first) in (float, int, type(None))
