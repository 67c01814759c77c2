"""Writes a folder of arrays in pieces, under another name until it is whole; work that was stopped can go on."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.files.array_folder.manifest import (
    MANIFEST_FILE,
    TEXT_BYTES,
    TEXT_ENDS,
    Entry,
    Manifest,
    array_file,
    is_array_name,
    is_array_type,
    manifest_text,
)
from kinemesh.files.writing import faults_of_writing, flush_to_disk, json_text, require_space, write_text_atomically

_JOURNAL_FILE = "unfinished.json"
_PIECE_BYTES = 1 << 24
_COMMITTED_EVERY_S = 5.0


class Column(NamedTuple):
    """An array to be written: its type, and the shape of one row."""

    dtype: np.dtype
    row_shape: tuple[int, ...] = ()


TEXT = Column(np.dtype("<i8"))  # stands in `columns` for a text array


def unfinished_path(path: Path) -> Path:
    """Where a folder is while it is written."""
    return path.with_name(f"{path.name}.unfinished")


@contextlib.contextmanager
def writing_folder(
    path: Path | str,
    kind: str,
    columns: Mapping[str, Column],
    *,
    provenance: Mapping[str, Any] | None = None,
    needed_bytes: int = 0,
    work: Any = None,
    leaves_out_empty: bool = False,
) -> Iterator["FolderWriter"]:
    """A writer of a folder that stands at `path` once the block ends, and not before.

    `columns` are the arrays by name, with TEXT for text; `needed_bytes` must be free on the disk at the start. A block
    that raises leaves nothing, or, where the writer has committed, what it needs to go on: `work` then tells, as
    plain values, whether the work that goes on is the one that was stopped. `leaves_out_empty`: arrays without rows are
    not in the folder.
    Raises UserError if `path` is there already, another process writes it, or it cannot be written.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} is there already. Remove it, or name another.")
    unfinished = unfinished_path(path)
    with contextlib.ExitStack() as stack:
        writer = FolderWriter(unfinished, columns, dict(provenance or {}), work)
        with faults_of_writing(path):
            unfinished.mkdir(parents=True, exist_ok=True)
            _lock(unfinished, stack)
        try:
            writer.begin(stack, needed_bytes)
            yield writer
            writer.finish(kind, leaves_out_empty)
            with faults_of_writing(path):
                os.rename(unfinished, path)
                flush_to_disk(path.parent)
        except BaseException:
            if not (unfinished / _JOURNAL_FILE).exists():
                shutil.rmtree(unfinished, ignore_errors=True)
            raise


class FolderWriter:
    """Appends rows to the arrays of a folder; made by `writing_folder`.

    `place` is what the last `commit` was given, in this process or in the one that was stopped; None: nothing yet.
    `provenance` may be added to until the end.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Column], provenance: dict[str, Any], work: Any):
        self.place: Any = None
        self._committed_at = monotonic()
        self.provenance = provenance
        self._folder = folder
        plain = {name: column for name, column in columns.items() if column is not TEXT}
        texts = [name for name, column in columns.items() if column is TEXT]
        plain |= {f"{name}{TEXT_BYTES}": Column(np.dtype("u1")) for name in texts}
        plain |= {f"{name}{TEXT_ENDS}": Column(np.dtype("<i8")) for name in texts}
        self._parts = {name: _Part(folder, name, column) for name, column in plain.items()}
        described = {name: [column.dtype.str, *column.row_shape] for name, column in plain.items()}
        self._work = json.loads(json_text({"work": work, "columns": described}))

    def begin(self, stack: contextlib.ExitStack, needed_bytes: int) -> None:
        """Open every array, at the rows that were committed; `stack` closes them."""
        journal = self._journal()
        rows = journal.get("rows", {})
        if any(not part.holds(rows.get(name, 0)) for name, part in self._parts.items()):
            journal, rows = {}, {}
        if not journal:
            (self._folder / _JOURNAL_FILE).unlink(missing_ok=True)
        kept = sum(rows.get(name, 0) * part.row_bytes for name, part in self._parts.items())
        require_space(self._folder, needed_bytes - kept)
        self.place = journal.get("place")
        with faults_of_writing(self._folder):
            for name, part in self._parts.items():
                stack.callback(part.close)
                part.open(rows.get(name, 0))

    def append(self, rows: Mapping[str, np.ndarray]) -> None:
        """Add rows to the arrays named; each has the type and row shape of its column, and any number of rows."""
        with faults_of_writing(self._folder):
            for name, values in rows.items():
                self._parts[name].append(values)

    def append_text(self, name: str, texts: Sequence[str]) -> None:
        """Add texts to a text array."""
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        ends = self._parts[f"{name}{TEXT_BYTES}"].row_count + np.cumsum(lengths, dtype=np.int64)
        data = np.frombuffer(b"".join(encoded), np.uint8)
        self.append({f"{name}{TEXT_BYTES}": data, f"{name}{TEXT_ENDS}": ends.astype("<i8")})

    def row_count(self, name: str) -> int:
        """How many rows an array has so far, those of the process that was stopped included."""
        part = self._parts.get(name) or self._parts[f"{name}{TEXT_ENDS}"]
        return part.row_count

    def commit(self, place: Any) -> None:
        """What was appended so far is safe on the disk, and a later process goes on from `place`, plain values."""
        with faults_of_writing(self._folder):
            for part in self._parts.values():
                part.flush()
        rows = {name: part.row_count for name, part in self._parts.items()}
        content = {**self._work, "place": place, "rows": rows}
        write_text_atomically(self._folder / _JOURNAL_FILE, json_text(content))
        self.place, self._committed_at = place, monotonic()

    def commit_now_and_then(self, place: Callable[[], Any]) -> None:
        """The same where that was some seconds ago; `place` then says how far the work is."""
        if monotonic() - self._committed_at > _COMMITTED_EVERY_S:
            self.commit(place())

    def finish(self, kind: str, leaves_out_empty: bool = False) -> None:
        """Write the headers and the manifest."""
        parts = self._parts.items()
        entries = {name: part.entry() for name, part in parts if part.row_count or not leaves_out_empty}
        wanted = {*map(array_file, entries), MANIFEST_FILE}
        with faults_of_writing(self._folder):
            for part in self._parts.values():
                part.finish()
            for path in self._folder.iterdir():  # the journal, and arrays of work that was given up
                if path.name not in wanted:
                    path.unlink()
        write_text_atomically(self._folder / MANIFEST_FILE, manifest_text(Manifest(kind, entries, self.provenance)))

    def _journal(self) -> dict:
        """What was committed of this same work."""
        try:
            content = json.loads((self._folder / _JOURNAL_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        is_same = isinstance(content, dict) and {key: content.get(key) for key in self._work} == self._work
        rows = content.get("rows") if is_same else None
        is_whole = isinstance(rows, dict) and all(type(rows.get(name)) is int for name in self._parts)
        return content if is_whole and min(rows.values(), default=0) >= 0 else {}


class _Part:
    """One array that is being written: room for its header, and its rows so far."""

    def __init__(self, folder: Path, name: str, column: Column):
        if not is_array_name(name) or not is_array_type(column.dtype):
            raise ValueError(f"array {name!r} of {column.dtype} cannot be in a folder of arrays")
        self._path, self._column = folder / array_file(name), column
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self.row_count = 0
        self.row_bytes = int(np.prod(column.row_shape, dtype=np.int64)) * column.dtype.itemsize
        self._start = len(_header(column, 0))

    def holds(self, row_count: int) -> bool:
        """Whether this many rows are on the disk."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        return row_count == 0 or size >= self._start + row_count * self.row_bytes

    def open(self, row_count: int) -> None:
        """Make the file, or go on behind this many rows of it."""
        self._file = self._path.open("r+b" if row_count else "w+b")
        self._file.write(_header(self._column, row_count))
        left = row_count * self.row_bytes
        while left:
            piece = self._file.read(min(left, _PIECE_BYTES))
            self._digest.update(piece)
            left -= len(piece)
        self._file.truncate(self._start + row_count * self.row_bytes)
        self._file.seek(0, os.SEEK_END)
        self.row_count = row_count

    def append(self, rows: np.ndarray) -> None:
        if rows.dtype != self._column.dtype or rows.shape[1:] != self._column.row_shape:
            expected = f"{self._column.dtype} of rows {self._column.row_shape}"
            raise ValueError(f"{self._path.name}: {rows.dtype} of shape {rows.shape}, expected {expected}")
        if rows.size:
            data = memoryview(np.ascontiguousarray(rows)).cast("B")
            self._file.write(data)
            self._digest.update(data)
        self.row_count += len(rows)

    def flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        self._file.seek(0)
        self._file.write(_header(self._column, self.row_count))
        self.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def entry(self) -> Entry:
        return Entry(self._column.dtype, (self.row_count, *self._column.row_shape), self._digest.hexdigest())


def _header(column: Column, row_count: int) -> bytes:
    """A .npy header, version 1.0, as long for one row count as for any other."""
    text = f"{{'descr': '{column.dtype.str}', 'fortran_order': False, 'shape': {(row_count, *column.row_shape)}, }}"
    room = 20 + len(text) - len(str(row_count))
    length = -(-(10 + room + 1) // 64) * 64 - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode("ascii") + b"\n"


def _lock(folder: Path, stack: contextlib.ExitStack) -> None:
    """Hold the folder against other processes, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder}: another process writes here. Wait for it, or name another folder.") from None
    except OSError:
        return  # without locks, as some network file systems are
