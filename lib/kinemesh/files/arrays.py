"""Arrays out of files: .npy and .npz as data, with no pickles and no memory beyond what the file really holds.

Lists out of a file become arrays here too, where a few bytes may stand for a list of lists without end.
"""

import math
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from kinemesh.errors import UserError
from kinemesh.files.joblib import unpacked_limit, unpickle
from kinemesh.files.pickle_limits import Refused, Truncated, require_characters
from kinemesh.files.pickles import faults_as_user_errors

# What numpy writes. The other methods of a zip may ask for gigabytes before the first byte.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A name or path. As a row of an array of text it would set the size of all rows.
LONGEST_TEXT = 4096
# Items that a list may have beyond those that the file holds, by holding one list many times.
SHARED_ITEMS = 10_000_000
# Numbers that UTF-16 writes a character with in two halves; one of them alone can be written to no file.
_HALVES = (0xD800, 0xDFFF)


class NoArraysError(UserError):
    """A zip archive of something else."""


def read_npy(path: str | Path, *, what: str) -> np.ndarray:
    """The array of numbers or text in a .npy file, read-only.

    `what` names the expected file in errors. Raises UserError as kinemesh.files.pickles.load_pickle does, and for a
    file that holds Python objects.
    """
    path = Path(path)
    with faults_as_user_errors(path, what), path.open("rb") as file:
        return _read_array(file, path.stat().st_size, "its array")


def read_npy_object(path: str | Path, *, what: str) -> Any:
    """What a .npy file holds: numbers and text as `read_npy` gives them, objects as `read_object` does."""
    path = Path(path)
    with faults_as_user_errors(path, what), path.open("rb") as file:
        return _read_value(file, path.stat().st_size, "its array")


def read_npz(
    path: str | Path, required: tuple[str, ...], optional: tuple[str, ...] = (), *, what: str
) -> dict[str, np.ndarray]:
    """The arrays of these names, read-only, those of `optional` where they are there.

    Other members are not read. Raises NoArraysError for a zip without any array, and UserError as `read_npy` does, and
    for a file that lacks a required array or unpacks to more than kinemesh.files.joblib.unpacked_limit.
    """
    path = Path(path)
    with faults_as_user_errors(path, what), zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in _infos(archive) if info.filename.endswith(".npy")}
        if not members:
            raise NoArraysError(f"{path}: a zip archive without arrays. Expected {what}, as np.savez writes.")
        for key in required:
            if f"{key}.npy" not in members:
                held = ", ".join(name.removesuffix(".npy")[:40] for name in list(members)[:8])
                raise UserError(f"{path}: no '{key}' in it, only {held}. Expected {what} with {', '.join(required)}.")
        wanted = {key: members[f"{key}.npy"] for key in (*required, *optional) if f"{key}.npy" in members}
        size, limit = sum(info.file_size for info in wanted.values()), unpacked_limit(path.stat().st_size)
        if size > limit:
            raise Refused(f"it unpacks to {size} bytes, expected at most {limit}")
        return {key: _read_member(archive, info, key) for key, info in wanted.items()}


def array_names(path: str | Path, *, what: str) -> list[str]:
    """Names of the arrays in a .npz file. Raises UserError as `read_npz` does for a file that is none."""
    path = Path(path)
    with faults_as_user_errors(path, what), zipfile.ZipFile(path) as archive:
        return [info.filename.removesuffix(".npy") for info in _infos(archive) if info.filename.endswith(".npy")]


def read_object(path: str | Path, key: str, *, what: str) -> Any:
    """What is under `key` of a .npz file: an array, or objects that numpy pickled, by the rules of kinemesh.files.pickles.

    A dict or list that was saved as an array of no axes comes back as itself, text of Python 2 as latin1. Raises
    UserError as kinemesh.files.joblib.load_joblib does.
    """
    path = Path(path)
    with faults_as_user_errors(path, what), zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{key}.npy")
        limit = unpacked_limit(path.stat().st_size)
        if info.compress_type not in _METHODS or info.file_size > limit:
            raise Refused(f"'{key}' unpacks to {info.file_size} bytes, expected at most {limit}")
        with archive.open(info) as file:
            return _read_value(file, info.file_size, f"'{key}'")


def _infos(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """What the archive holds. Raises Refused where one name stands for several things: programs differ in which they read."""
    infos = archive.infolist()
    if len({info.filename for info in infos}) < len(infos):
        raise Refused("a name stands in it twice")
    return infos


def _read_value(file: BinaryIO, available_bytes: int, name: str) -> Any:
    """An array, or objects that numpy pickled; what was saved as an array of no axes as itself."""
    start = file.tell()
    _, _, dtype = read_npy_header(file, name)
    if not dtype.hasobject:
        file.seek(start)
        return _read_array(file, available_bytes, name)
    value = unpickle(file.read(available_bytes), "latin1")
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, key: str) -> np.ndarray:
    if info.compress_type not in _METHODS:
        raise Refused(f"'{key}' is compressed by method {info.compress_type} of zip, which numpy does not use")
    with archive.open(info) as file:
        return _read_array(file, info.file_size, f"'{key}'")


def _read_array(file: BinaryIO, available_bytes: int, name: str) -> np.ndarray:
    shape, is_fortran, dtype = read_npy_header(file, name)
    if dtype.kind not in "biufUS":
        raise Refused(f"{name} holds {str(dtype)[:60]}, expected numbers or text")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or (dtype.itemsize == 0 and count):
        raise Refused(f"{name} claims shape {str(shape)[:60]}, type {dtype}, without the data for it")
    size = count * dtype.itemsize
    data = file.read(size) if size <= available_bytes else b""
    if len(data) != size:
        raise Truncated(f"{name} claims {size} bytes for shape {str(shape)[:60]}, {available_bytes} are there")
    array = np.ndarray(shape, dtype, buffer=data, order="F" if is_fortran else "C")
    require_characters(array, name)
    return array


def is_characters(names: np.ndarray | Iterable[str]) -> bool:
    """Whether texts, or an array of them, can be written to any file: every character is a whole one."""
    if isinstance(names, np.ndarray):
        codes = np.ascontiguousarray(names, names.dtype.newbyteorder("=")).view(np.uint32)
        if codes.max(initial=0) > sys.maxunicode:
            return False
        return not ((codes >= _HALVES[0]) & (codes <= _HALVES[1])).any()
    try:
        for name in names:
            name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def array_of(value: Any) -> np.ndarray:
    """np.asarray, for what kinemesh.files.pickles or kinemesh.files.joblib gave.

    Raises ValueError for lists of unequal rows, that hold themselves, that repeat one list until it fills the memory,
    or that hold text of more than LONGEST_TEXT characters.
    """
    counts: dict[int, float] = {}
    held = 0

    def count_of(item: Any) -> float:
        nonlocal held
        kind = type(item)
        if kind in (str, bytes) and len(item) > LONGEST_TEXT:
            raise ValueError(f"text of {len(item)} characters")
        if kind not in (list, tuple):
            return item.size if kind is np.ndarray else 1
        if id(item) not in counts:
            counts[id(item)] = math.inf  # until it is known: a list may hold itself
            held += len(item)
            are_numbers = set(map(type, item)) <= {int, float, bool}
            counts[id(item)] = len(item) if are_numbers else sum(map(count_of, item))
        return counts[id(item)]

    count = count_of(value)
    if count > held + SHARED_ITEMS and type(value) in (list, tuple):
        raise ValueError("lists that hold one another over and over")
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError("a list of unequal rows") from None


def read_npy_header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it lies by columns, and type of the array behind a .npy header; `name` is it in errors.

    Raises Refused for a version that numbers and text do not have, and what numpy raises for a damaged one.
    """
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise Refused(f"{name} is of npy version {version}, expected 1.0 or 2.0 as numbers and text have")
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    return read_header(file)
