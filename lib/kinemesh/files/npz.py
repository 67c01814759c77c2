"""Reads .npy and .npz files as data: no pickles, and no memory beyond what the file really holds."""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from kinemesh.errors import UserError
from kinemesh.files.joblib import unpacked_limit
from kinemesh.files.pickle_scan import Refused, Truncated
from kinemesh.files.pickles import faults_as_user_errors

# What numpy writes. The other methods of a zip may ask for gigabytes before the first byte.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NoArraysError(UserError):
    """A zip archive of something else."""


def read_npy(path: str | Path, *, what: str) -> np.ndarray:
    """The array of numbers or text in a .npy file, read-only.

    `what` names the expected file in errors. Raises UserError as kinemesh.files.pickles.load_pickle does, and for a file that
    holds Python objects.
    """
    path = Path(path)
    with faults_as_user_errors(path, what), path.open("rb") as file:
        return _read_array(file, path.stat().st_size, "its array")


def read_npz(
    path: str | Path, required: tuple[str, ...], optional: tuple[str, ...] = (), *, what: str
) -> dict[str, np.ndarray]:
    """The arrays of these names, read-only, those of `optional` where they are there.

    Other members are not read. Raises NoArraysError for a zip without any array, and UserError as `read_npy` does, and
    for a file that lacks a required array or unpacks to more than kinemesh.files.joblib.unpacked_limit.
    """
    path = Path(path)
    with faults_as_user_errors(path, what), zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
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


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, key: str) -> np.ndarray:
    if info.compress_type not in _METHODS:
        raise Refused(f"'{key}' is compressed by method {info.compress_type} of zip, which numpy does not use")
    with archive.open(info) as file:
        return _read_array(file, info.file_size, f"'{key}'")


def _read_array(file: BinaryIO, available_bytes: int, name: str) -> np.ndarray:
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise Refused(f"{name} is of npy version {version}, expected 1.0 or 2.0 as numbers and text have")
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    if dtype.kind not in "biufUS":
        raise Refused(f"{name} holds {str(dtype)[:60]}, expected numbers or text")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or (dtype.itemsize == 0 and count):
        raise Refused(f"{name} claims shape {str(shape)[:60]}, type {dtype}, without the data for it")
    size = count * dtype.itemsize
    data = file.read(size) if size <= available_bytes else b""
    if len(data) != size:
        raise Truncated(f"{name} claims {size} bytes for shape {str(shape)[:60]}, {available_bytes} are there")
    return np.ndarray(shape, dtype, buffer=data, order="F" if is_fortran else "C")
