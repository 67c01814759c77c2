"""The manifest: what a folder of arrays says of itself, and what is allowed in it."""

import hashlib
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.writing import json_text

FORMAT, VERSION = "kinemesh arrays", 1
MANIFEST_FILE = "manifest.json"
# A text array is two arrays: its UTF-8 bytes, and where each text ends in them.
TEXT_BYTES, TEXT_ENDS = ".utf8", ".ends"
_NAME = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_]{1,80}){0,3}")
_PIECE_BYTES = 1 << 24
_MOST_BYTES, _MOST_ARRAYS, _MOST_AXES = 1 << 22, 1000, 8
_KEYS = {"dtype", "shape", "bytes", "sha256"}


class Entry(NamedTuple):
    """What the manifest says of an array; `sha256` is that of its `bytes` of numbers, without the .npy header."""

    dtype: np.dtype
    shape: tuple[int, ...]
    sha256: str

    @property
    def data_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Manifest(NamedTuple):
    """A whole manifest; `provenance` is whatever plain values the writer gave."""

    kind: str
    arrays: dict[str, Entry]
    provenance: dict[str, Any]


def is_array_name(name: str) -> bool:
    """Whether an array may be called so: letters, digits, _, in at most four parts with dots between them."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def array_file(name: str) -> str:
    """Name of an array's file."""
    return f"{name}.npy"


def is_array_type(dtype: np.dtype) -> bool:
    """Whether arrays of this type are allowed: booleans, integers and floats of at most 8 bytes."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def manifest_text(manifest: Manifest) -> str:
    """The manifest as JSON."""
    arrays = {
        name: {"dtype": entry.dtype.str, "shape": entry.shape, "bytes": entry.data_bytes, "sha256": entry.sha256}
        for name, entry in manifest.arrays.items()
    }
    content = {
        "format": FORMAT, "version": VERSION, "kind": manifest.kind, "provenance": manifest.provenance, "arrays": arrays,
    }  # fmt: skip
    return json_text(content, indent=1) + "\n"


def read_manifest(path: Path, what: str) -> Manifest:
    """Read and check a manifest file; `what` names the expected folder in errors. Raises UserError."""
    advice = f"{what}, as this program writes them"
    try:
        descriptor = open_regular(path)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        fail(path, f"cannot be read ({error.strerror or error})", advice)
    if len(data) > _MOST_BYTES:
        fail(path, f"has more than {_MOST_BYTES} bytes", advice)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        fail(path, f"is not JSON ({str(error)[:80]})", advice)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        fail(path, f"is not the manifest of '{FORMAT}'", advice)
    version = content.get("version")
    if version != VERSION:
        raise UserError(f"{path}: version {str(version)[:20]}, expected {VERSION}. Use the program that wrote it.")
    kind, arrays, provenance = (content.get(key) for key in ("kind", "arrays", "provenance"))
    if not isinstance(kind, str) or not isinstance(arrays, dict) or not isinstance(provenance, dict):
        fail(path, "lacks 'kind', 'arrays' or 'provenance'", advice)
    if len(arrays) > _MOST_ARRAYS:
        fail(path, f"names {len(arrays)} arrays", f"at most {_MOST_ARRAYS}")
    return Manifest(kind, {name: _entry(path, name, value) for name, value in arrays.items()}, provenance)


def open_regular(path: Path) -> int:
    """A descriptor to read a regular file that is no link. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return descriptor


def _entry(path: Path, name: str, value: Any) -> Entry:
    place = f"array {name[:80]!r}"
    if not is_array_name(name):
        fail(path, f"{place} has no name for a file", "letters, digits, _ and dots between them")
    if not isinstance(value, dict) or value.keys() != _KEYS:
        fail(path, f"{place} is not described", f"its {', '.join(sorted(_KEYS))}")
    try:
        dtype = np.dtype(value["dtype"]) if isinstance(value["dtype"], str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or not is_array_type(dtype) or dtype.str != value["dtype"]:
        fail(path, f"{place} is of type {str(value['dtype'])[:40]!r}", "numbers, such as '<f4'")
    shape, digest = value["shape"], value["sha256"]
    is_shape = isinstance(shape, list) and 1 <= len(shape) <= _MOST_AXES
    if not is_shape or not all(type(length) is int and 0 <= length < 1 << 62 for length in shape):
        fail(path, f"{place} has shape {str(shape)[:60]}", f"a list of 1 to {_MOST_AXES} lengths")
    if not isinstance(digest, str) or re.fullmatch(r"[0-9a-f]{64}", digest) is None:
        fail(path, f"{place} has no SHA-256", "64 hexadecimal digits")
    entry = Entry(dtype, tuple(shape), digest)
    if value["bytes"] != entry.data_bytes:
        fail(path, f"{place} has {str(value['bytes'])[:30]} bytes", f"{entry.data_bytes} by its shape and type")
    return entry


def source_entry(path: Path) -> dict:
    """What a manifest says of a file that arrays were made from."""
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def sha256_of(path: Path) -> str:
    """Of any file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
