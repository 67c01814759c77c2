"""NASA's Common Data Format, as far as recordings of numbers need it: one variable of a file of version 2.6 or 3.

"CDF Internal Format Description" (NASA/GSFC): a CDR and a GDR, a VDR a variable, VXRs that say where its records lie, in
VVRs or, compressed, in CVVRs; all internal numbers big-endian, offsets of 4 bytes before version 3 and of 8 since. A file
that is compressed as a whole is a CCR. Every number that a file claims is held against what it has before it is used.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.files.joblib import unpacked_limit
from kinemesh.files.pickle_limits import Refused, Truncated
from kinemesh.files.pickles import faults_as_user_errors

_WIDE, _NARROW = b"\xcd\xf3\x00\x01", b"\xcd\xf2\x60\x02"
_PLAIN, _PACKED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
_CDR, _GDR, _RVDR, _ZVDR, _VXR, _VVR, _CCR, _CPR, _CVVR = 1, 2, 3, 8, 6, 7, 10, 11, 13
_NAMES = {
    _CDR: "CDR", _GDR: "GDR", _RVDR: "rVDR", _ZVDR: "zVDR", _VXR: "VXR", _VVR: "VVR", _CCR: "CCR", _CPR: "CPR", _CVVR: "CVVR",
}  # fmt: skip
_GZIP = 5
_FLOATS = {21: "f4", 44: "f4", 22: "f8", 45: "f8"}  # CDF_REAL4, _FLOAT, _REAL8, _DOUBLE
_BIG, _LITTLE = {1, 2, 5, 7, 9, 11, 12, 18}, {4, 6, 13, 17}  # encodings with the numbers of IEEE 754
_ROW_MAJORITY, _VARIES, _COMPRESSED = 1, 1, 4  # bits of flags
_MOST_VARIABLES, _MOST_AXES, _MOST_BLOCKS = 1000, 10, 1_000_000


class _Variable(NamedTuple):
    """A VDR's numbers."""

    data_type: int
    last_record: int
    first_index: int  # where its first VXR is
    flags: int
    packing: int  # where its CPR is
    shape: tuple[int, ...]  # of a record


def read_cdf(path: Path, name: str, *, what: str) -> np.ndarray:
    """The floats of a variable: (records, ...), float32 or float64.

    `what` names the expected file in errors. Raises UserError as kinemesh.files.pickles.load_pickle does, and for a
    variable that is missing, is not of floats, or lacks records.
    """
    with faults_as_user_errors(path, what):
        return _File(path.read_bytes()).variable(name)


class _File:
    """The bytes of a file, unpacked if it is compressed as a whole."""

    def __init__(self, content: bytes):
        if content[:4] not in (_WIDE, _NARROW) or content[4:8] not in (_PLAIN, _PACKED):
            raise Refused(f"it begins with {content[:8].hex()}, expected a CDF of version 2.6 or 3 in one file")
        self._offset = "q" if content[:4] == _WIDE else "i"
        self._name_bytes = 256 if content[:4] == _WIDE else 64
        self._limit = unpacked_limit(len(content))
        self._content = content
        if content[4:8] == _PACKED:
            packing, size = self._fields(8, _CCR, "OOi")[:2]
            self._require_gzip(packing)
            start, stop = 8 + self._size("OiOOi"), 8 + self._fields(8, _CCR, "")[-1]
            self._content = content[:4] + _PLAIN + self._unpacked(content[start:stop], size)

    def variable(self, name: str) -> np.ndarray:
        place, _, _, encoding, flags = self._fields(8, _CDR, "Oiiii")[:5]
        if encoding not in _BIG | _LITTLE:
            raise Refused(f"its numbers are of encoding {encoding}, expected IEEE 754's")
        variable = self._find(place, name)
        dtype = np.dtype((">" if encoding in _BIG else "<") + _FLOATS[variable.data_type])
        count = variable.last_record + 1
        record_bytes = math.prod(variable.shape) * dtype.itemsize
        if count < 1 or record_bytes < 1 or count * record_bytes > self._limit:
            raise Refused(
                f"{name!r} claims {count} records of shape {str(variable.shape)[:60]}, the file has {len(self._content)} bytes"
            )
        data = b"".join(self._records(variable, count, record_bytes))
        order = "C" if flags & _ROW_MAJORITY else "F"
        rows = np.frombuffer(data, dtype).reshape(count, -1)
        records = [row.reshape(variable.shape, order=order) for row in rows] if order == "F" else rows
        return np.asarray(records).reshape(count, *variable.shape).astype(dtype.newbyteorder("="))

    def _find(self, place: int, name: str) -> _Variable:
        """The variable of a name, whatever its case, as CDF's own readers look for it."""
        heads = self._fields(place, _GDR, "OOOOiiiiiOiii")
        axis_count = self._few(heads[7], _MOST_AXES, "axes")
        axes = self._numbers(place + self._size("OiOOOOiiiiiOiii"), axis_count)
        found = []
        for kind, place, count in ((_ZVDR, heads[1], heads[8]), (_RVDR, heads[0], heads[4])):
            for _ in range(self._few(count, _MOST_VARIABLES, "variables")):
                values = self._fields(place, kind, "OiiOOiiiiiiiOi")
                start = place + self._size("OiOiiOOiiiiiiiOi")
                found.append(self._slice(start, self._name_bytes).split(b"\0")[0].decode("ascii", "replace").strip())
                if found[-1].lower() == name.lower():
                    return self._described(values, start + self._name_bytes, kind, axes)
                place = values[0]
        raise Refused(f"it has no variable {name!r}, only {', '.join(found[:8])[:80] or 'none'}")

    def _described(self, values: tuple[int, ...], place: int, kind: int, axes: tuple[int, ...]) -> _Variable:
        if kind == _ZVDR:
            count = self._few(self._numbers(place, 1)[0], _MOST_AXES, "axes")
            axes, place = self._numbers(place + 4, count), place + 4 + 4 * count
        varies = self._numbers(place, len(axes))
        shape = tuple(size for size, is_varying in zip(axes, varies, strict=True) if is_varying)
        _, data_type, last_record, first_index, _, flags = values[:6]
        if data_type not in _FLOATS or min(shape, default=1) < 1 or not flags & _VARIES:
            raise Refused(f"its variable is of type {data_type} and shape {str(shape)[:60]}, expected floats")
        return _Variable(data_type, last_record, first_index, flags, values[12], shape)

    def _records(self, variable: _Variable, count: int, record_bytes: int) -> Iterator[bytes]:
        """The bytes of all records in their order."""
        if variable.flags & _COMPRESSED:
            self._require_gzip(variable.packing)
        done = 0
        for first, last, place in self._blocks(variable.first_index, set()):
            if first != done or last < first:
                raise Refused(f"records {first} to {last} follow the first {done}, expected all of {count}")
            done = min(last + 1, count)
            size = (done - first) * record_bytes
            if self._kind(place) == _VVR:
                start = place + self._size("Oi")
                if self._fields(place, _VVR, "")[-1] - self._size("Oi") < size:
                    raise Truncated(f"records {first} to {last} take {size} bytes")
                yield self._slice(start, size)
            else:
                _, packed = self._fields(place, _CVVR, "iO")[:2]
                yield self._unpacked(self._slice(place + self._size("OiiO"), packed), size)
            if done == count:
                return
        raise Truncated(f"it has {done} of {count} records")

    def _blocks(self, place: int, seen: set[int]) -> Iterator[tuple[int, int, int]]:
        """First and last record and place of every block, of a VXR, those behind it and those in it."""
        while place > 0:
            if place in seen or len(seen) > _MOST_BLOCKS:
                raise Refused("its index of records goes in a circle")
            seen.add(place)
            following, room, used = self._fields(place, _VXR, "Oii")[:3]
            start = place + self._size("OiOii")
            offset_bytes = self._size("O")
            if not 0 <= used <= room:
                raise Refused(f"its index has {used} entries, room for {room}")
            for entry in range(used):
                first, last = (self._numbers(start + 4 * (each * room + entry), 1)[0] for each in (0, 1))
                (block,) = struct.unpack(
                    f">{self._offset}", self._slice(start + 8 * room + offset_bytes * entry, offset_bytes)
                )
                if self._kind(block) == _VXR:
                    yield from self._blocks(block, seen)
                else:
                    yield first, last, block
            place = following

    def _require_gzip(self, place: int) -> None:
        (method,) = self._fields(place, _CPR, "i")[:1]
        if method != _GZIP:
            raise Refused(f"it is compressed by CDF's method {method}, expected none or gzip")

    def _unpacked(self, data: bytes, size: int) -> bytes:
        """Data that was `size` bytes before gzip."""
        if not 0 < size <= self._limit:
            raise Refused(f"it unpacks to {size} bytes, expected at most {self._limit}")
        unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(data, size)
        if len(unpacked) != size:
            raise Truncated(f"{size} bytes, {len(unpacked)} are there")
        return unpacked

    def _kind(self, place: int) -> int:
        return self._numbers(place + self._size("O"), 1)[0]

    def _fields(self, place: int, kind: int, fields: str) -> tuple[int, ...]:
        """Numbers behind a record's size and kind, O an offset and i of four bytes; the record's size last."""
        pattern = self._pattern("Oi" + fields)
        size, own, *values = struct.unpack(pattern, self._slice(place, struct.calcsize(pattern)))
        if own != kind or not struct.calcsize(pattern) <= size <= len(self._content) - place:
            raise Refused(f"at byte {place} is no {_NAMES[kind]} that fits in the file")
        return (*values, size)

    def _numbers(self, place: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f">{count}i", self._slice(place, 4 * count))

    def _slice(self, place: int, count: int) -> bytes:
        if place < 8 or count < 0 or place + count > len(self._content):
            raise Truncated(f"{count} bytes at byte {place}, it has {len(self._content)}")
        return self._content[place : place + count]

    def _few(self, count: int, most: int, what: str) -> int:
        if not 0 <= count <= most:
            raise Refused(f"it claims {count} {what}")
        return count

    def _pattern(self, fields: str) -> str:
        return ">" + fields.replace("O", self._offset)

    def _size(self, fields: str) -> int:
        return struct.calcsize(self._pattern(fields))
