"""Reads arrays out of an npz as data: no pickles, and no memory beyond what the file really holds."""

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from lib.errors import UserError
from lib.safe_joblib import unpacked_limit


def read_npz(path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, np.ndarray] | None:
    """The arrays of these names, read-only, those of `optional` where they are there; None for a zip without any.

    Raises UserError for a file that is damaged, lacks an array, or holds Python objects under one of these names.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
            if not members:
                return None
            for key in required:
                if f"{key}.npy" not in members:
                    held = ", ".join(name.removesuffix(".npy")[:40] for name in list(members)[:8])
                    raise UserError(f"{path}: no '{key}' in it, only {held}. Expected {', '.join(required)}.")
            wanted = {key: members[f"{key}.npy"] for key in (*required, *optional) if f"{key}.npy" in members}
            size, limit = sum(info.file_size for info in wanted.values()), unpacked_limit(path.stat().st_size)
            if size > limit:
                raise UserError(f"{path}: unpacks to {size} bytes, expected at most {limit}. Write it by np.savez.")
            return {key: _read_member(archive, info, path, key) for key, info in wanted.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path} cannot be read ({reason}). Expected an npz: copy or write it again.") from None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, key: str) -> np.ndarray:
    with archive.open(info) as file:
        version = npy_format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise UserError(f"{path}: '{key}' is of npy version {version}. Expected numbers or text, by np.savez.")
        read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(file)
        if dtype.kind not in "biufUS":
            raise UserError(f"{path}: '{key}' holds {dtype}. Expected numbers or text, such as np.array(names, str).")
        size = math.prod(shape) * dtype.itemsize
        data = file.read(size) if size <= info.file_size else b""
    if len(data) != size or (dtype.itemsize == 0 and math.prod(shape)):
        raise ValueError(f"'{key}' claims shape {str(shape)[:60]} without the data for it")
    return np.ndarray(shape, dtype, buffer=data, order="F" if is_fortran else "C")
