"""Values from somebody's file as checked arrays, or one UserError that names file, key and first bad row."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.errors import fail
from kinemesh.files.arrays import array_of

LARGEST_FRAME = 1 << 31


def row_number(row: int) -> str:
    """How a row is named in an error, unless the caller knows better."""
    return f"row {row}"


def take_entry(path: Path, where: str, content: Any, key: str) -> Any:
    """`content[key]` of a dict that must have it."""
    if not isinstance(content, dict) or key not in content:
        fail(path, f"{where}'{key}' is missing", f"a dict with '{key}', as its program writes")
    return content[key]


def to_array(path: Path, where: str, value: Any) -> np.ndarray:
    """Whatever the file holds, as an array."""
    try:
        return array_of(value)
    except ValueError as error:
        return fail(path, f"{where} is {error}", "an array")


def to_frames(path: Path, where: str, value: Any, row_count: int | None = None) -> np.ndarray:
    """(F,) int64 frame numbers, none negative."""
    array = to_array(path, where, value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        fail(path, f"{where} is an array of {array.dtype} of shape {array.shape}", "whole numbers, one a row")
    _check_row_count(path, where, len(array), row_count)
    is_bad = (array < 0) | (array > LARGEST_FRAME)
    if is_bad.any():
        row = int(is_bad.argmax())
        fail(path, f"{where} row {row} is {array[row]}", "frames counted from 0")
    return array.astype(np.int64)


def to_text(path: Path, where: str, value: Any, row_count: int | None = None) -> np.ndarray:
    """(F,) text, at least one row."""
    array = to_array(path, where, value)
    if array.dtype.kind == "O" and array.ndim == 1 and all(isinstance(item, str) for item in array):
        array = to_array(path, where, array.tolist())
    if array.ndim != 1 or array.dtype.kind not in "US":
        fail(path, f"{where} is an array of {array.dtype} of shape {array.shape}", "text, one a row")
    _check_row_count(path, where, len(array), row_count)
    if len(array) == 0:
        fail(path, f"{where} has no rows", "at least one")
    is_text = True
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            is_text = False
    else:  # numbers that are no characters would crash whoever reads them
        codes = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).view(np.uint32)
        is_text = codes.max(initial=0) <= sys.maxunicode
    if not is_text:
        fail(path, f"{where} holds what is not text", "text, one a row")
    return array


def to_numbers(
    path: Path,
    where: str,
    value: Any,
    shape: tuple[int, ...],
    row_count: int,
    largest: float = np.inf,
    place: Callable[[int], str] = row_number,
) -> np.ndarray:
    """(F, *shape) float32, writable, finite, and at most `largest`."""
    array = to_array(path, where, value)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.shape[1:] != shape:
        expected = f"numbers of shape ({', '.join(map(str, ('rows', *shape)))})"
        fail(path, f"{where} is an array of {array.dtype} of shape {array.shape}", expected)
    _check_row_count(path, where, len(array), row_count)
    with np.errstate(over="ignore"):
        values = np.require(array, np.float32, ["C", "W"])
    if values.size == 0:
        return values
    extreme = max(-values.min(), values.max())  # nan where there is any
    if not np.isfinite(extreme):
        row = int((~np.isfinite(values)).reshape(len(values), -1).any(1).argmax())
        fail(path, f"{where} {place(row)} holds nan or infinity", "finite numbers")
    if extreme > largest:
        row = int((np.abs(values) > largest).reshape(len(values), -1).any(1).argmax())
        fault = f"holds an angle of {np.abs(values[row]).max():.4g}"
        fail(path, f"{where} {place(row)} {fault}", "axis-angle in radians, not degrees")
    return values


def _check_row_count(path: Path, where: str, row_count: int, expected: int | None) -> None:
    if expected is not None and row_count != expected:
        fail(path, f"{where} has {row_count} rows", f"as many as there are frames, {expected}")
