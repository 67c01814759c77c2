"""Opens a folder of arrays: nothing is loaded, every array is a read-only view of its file."""

import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.array_folder.manifest import (
    MANIFEST_FILE,
    TEXT_BYTES,
    TEXT_ENDS,
    array_file,
    open_regular,
    read_manifest,
)
from kinemesh.files.array_folder.writing import unfinished_path
from kinemesh.files.arrays import LONGEST_TEXT, read_npy_header

_PIECE_BYTES = 1 << 24


class ArrayFolder(NamedTuple):
    """An open folder; the arrays are mapped into memory, which processes share and the system takes back at need."""

    path: Path
    kind: str
    provenance: dict[str, Any]
    arrays: dict[str, np.ndarray]
    digests: dict[str, str]  # SHA-256 of each array's numbers, as the manifest has it

    def has_text(self, name: str) -> bool:
        """Whether there is a text array of this name."""
        return f"{name}{TEXT_BYTES}" in self.arrays and f"{name}{TEXT_ENDS}" in self.arrays

    def text(self, name: str) -> list[str]:
        """The texts that `FolderWriter.append_text` wrote under a name. Raises UserError where there are none."""
        where = self.path / array_file(f"{name}{TEXT_ENDS}")
        if not self.has_text(name):
            fail(self.path, f"text '{name}' is missing", f"{name}{TEXT_BYTES} and {name}{TEXT_ENDS}")
        data, ends = self.arrays[f"{name}{TEXT_BYTES}"], self.arrays[f"{name}{TEXT_ENDS}"]
        if data.dtype != np.uint8 or ends.dtype != np.int64 or data.ndim != 1 or ends.ndim != 1:
            fail(where, f"is of {ends.dtype}, over {data.dtype}", "int64 over uint8, of one axis each")
        lengths = np.diff(ends, prepend=0)
        if (len(ends) and (lengths.min() < 0 or lengths.max() > LONGEST_TEXT)) or ends[-1:].sum() != len(data):
            fail(where, "does not divide the bytes", f"rising ends of texts of at most {LONGEST_TEXT} bytes")
        content, starts = data.tobytes(), ends - lengths
        try:
            return [
                content[start:end].decode("utf-8", "surrogatepass")
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
        except UnicodeDecodeError:
            fail(self.path / array_file(f"{name}{TEXT_BYTES}"), "holds bytes that are no text", "UTF-8")


def is_array_folder(path: Path | str) -> bool:
    """Whether a folder of arrays stands there, or one that is unfinished."""
    path = Path(path)
    return (path / MANIFEST_FILE).exists() or (not path.exists() and unfinished_path(path).is_dir())


def open_folder(path: Path | str, *, what: str, kind: str | None = None) -> ArrayFolder:
    """Map every array of a folder, checked against the manifest; hashes are not, for `verify` does that.

    `what` names the expected folder in errors, `kind` is the only one accepted; None: any.
    Raises UserError for a folder that is missing, unfinished, of another kind, or holds another thing than its manifest
    says, links included.
    """
    path = Path(path)
    if not path.is_dir() and unfinished_path(path).is_dir():
        raise UserError(f"{path}: not finished yet. Run the command that writes it again: it goes on from there.")
    if not path.is_dir():
        raise UserError(f"{path} not found. Expected {what} there: a folder with {MANIFEST_FILE}.")
    manifest = read_manifest(path / MANIFEST_FILE, what)
    if kind is not None and manifest.kind != kind:
        raise UserError(f"{path}: holds a {manifest.kind[:40]}, expected {what} (kind '{kind}'). Give another folder.")
    arrays = {
        name: open_array(path / array_file(name), entry.dtype, entry.shape) for name, entry in manifest.arrays.items()
    }
    digests = {name: entry.sha256 for name, entry in manifest.arrays.items()}
    return ArrayFolder(path, manifest.kind, manifest.provenance, arrays, digests)


def verify(folder: ArrayFolder) -> Iterator[int]:
    """Read every array and compare its hash; yields how many bytes each piece had.

    Raises UserError for the first array that is not what was written.
    """
    for name, array in folder.arrays.items():
        path, digest = folder.path / array_file(name), hashlib.sha256()
        with os.fdopen(open_regular(path), "rb") as file:
            file.seek(-array.nbytes, os.SEEK_END)
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                yield len(piece)
        if digest.hexdigest() != folder.digests[name]:
            raise UserError(
                f"{path}: its SHA-256 is not the manifest's: it has changed. Copy or write the folder again."
            )


def open_array(path: Path, expected_type: np.dtype, expected_shape: tuple[int, ...]) -> np.ndarray:
    """A .npy file mapped into memory, read-only. Raises UserError if it is not of this type, shape and size."""
    data_bytes = math.prod(expected_shape) * expected_type.itemsize
    advice = "the array of its manifest"
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            shape, is_fortran, dtype = read_npy_header(file, "the array")
            size, start = os.fstat(file.fileno()).st_size, file.tell()
            if (shape, dtype, is_fortran) != (expected_shape, expected_type, False):
                order = " by columns" * is_fortran
                fail(
                    path,
                    f"is {str(dtype)[:40]} of shape {str(shape)[:60]}{order}",
                    f"{expected_type} of {expected_shape}",
                )
            if size != start + data_bytes:
                fail(path, f"has {size} bytes", f"{start + data_bytes} by its manifest")
            if data_bytes == 0:  # which cannot be mapped
                array = np.empty(shape, dtype)
            else:
                array = np.memmap(file, dtype, "r", start, shape).view(np.ndarray)
    except OSError as error:
        is_link = path.is_symlink()
        fail(path, "is a link" if is_link else f"cannot be read ({error.strerror or error})", advice)
    except UserError:
        raise
    except Exception as error:  # whatever a damaged header makes numpy raise
        fail(path, f"is no .npy file ({str(error)[:80]})", advice)
    array.flags.writeable = False
    return array
