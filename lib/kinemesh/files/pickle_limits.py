"""What a pickle may ask for, by its opcodes, which are looked through before it is loaded, and by the names in it.

Opcodes: what is cut short or absurd never reaches the loader. A claimed length is checked against the file, a memo
index against its place in the file: until December 2025 an opcode of five bytes could make CPython allocate 64 GiB
(gh-115952). Array data is stepped over, not read.

Names: this project's own functions stand for them, never those that they mean. Not even numpy's are called with
arguments of the file's choosing: `dtype.__setstate__` can be made to read memory it does not own, `ndarray` to
allocate terabytes.
"""

import math
import mmap
import pickle
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, BinaryIO

import numpy as np

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
DTYPE_CODE = re.compile(r"[biufcSUO]\d{0,9}")

ExtraClasses = Callable[[str, str], object | None]


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


class LoadedArray(np.ndarray):
    """An array as the file builds it: empty, then given its state, which is checked here."""

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, data = state
        _fill(self, shape, dtype, bool(is_fortran), data)


class LoadedDtype:
    """A dtype as the file builds it; numpy's own `__setstate__` could turn text into object pointers."""

    __slots__ = ("dtype",)

    def __init__(self, code: str):
        if not (isinstance(code, str) and DTYPE_CODE.fullmatch(code)):
            raise Refused(f"it holds an array of type {str(code)[:40]!r}")
        self.dtype = np.dtype(object if code[0] == "O" else code)

    def __setstate__(self, state):
        _, byte_order, subarray, names, fields = state[:5]
        if not (subarray is names is fields is None) or byte_order not in ("<", ">", "=", "|"):
            raise Refused("it holds a structured array")
        if byte_order in "<>":
            self.dtype = self.dtype.newbyteorder(byte_order)


def array_layout(shape, dtype) -> tuple[np.dtype, int]:
    """Type and number of elements of an array that the file describes, or Refused."""
    if not (isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)):
        raise Refused("it holds an array whose shape is not a tuple of sizes")
    if not isinstance(dtype, LoadedDtype):
        raise Refused("it holds an array without a type")
    return dtype.dtype, math.prod(shape)


def require_characters(array: np.ndarray, name: str = "it") -> None:
    """Raise Refused for text with numbers that no character has: numpy makes it, and Python then fails.

    The array is contiguous, by rows or columns.
    """
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = array.view(np.ndarray).ravel("K").view(f"{array.dtype.byteorder}u4")
        if codes.max() > sys.maxunicode:
            raise Refused(f"{name} holds numbers that are no characters")


def _fill(array: LoadedArray, shape, dtype, is_fortran: bool, data) -> None:
    dtype, count = array_layout(shape, dtype)
    if dtype.hasobject:
        fits = type(data) is list and len(data) == count
    else:
        if type(data) is str:  # protocols 0 to 2 carry bytes as text
            data = data.encode("latin1")
        fits = type(data) is bytes and len(data) == count * dtype.itemsize and (dtype.itemsize > 0 or count == 0)
    if not fits:
        raise Refused(f"it claims an array of shape {str(shape)[:60]}, type {dtype}, without the data for it")
    np.ndarray.__setstate__(array, (1, shape, dtype, is_fortran, data))
    require_characters(array)


class _Makers:
    """What a file may have called. Bound methods, since a pickle can set attributes of plain functions."""

    __slots__ = ("extra_types",)

    # Stands for the class numpy.ndarray, which the file needs as an argument only, and must not be able to call.
    NDARRAY = object()
    # Stands for builtin types that a defaultdict makes its values with; the dict made here makes none.
    FACTORY = object()

    def __init__(self):
        self.extra_types: set[type] = set()

    def reconstruct(self, cls, shape, _typecode):
        if cls is not self.NDARRAY or shape != (0,):
            raise Refused("it holds an array of an unknown class")
        return LoadedArray(0)

    def dtype(self, code, _align=False, _copy=False):
        return LoadedDtype(code)

    def scalar(self, dtype, data=b""):
        if not isinstance(dtype, LoadedDtype) or dtype.dtype.hasobject:
            raise Refused("it holds a numpy scalar that is not text or a number")
        array = LoadedArray(0)
        _fill(array, (1,), dtype, False, data)
        return array.view(np.ndarray)[0]

    def frombuffer(self, data, dtype, shape, order, axis_order=None):
        if type(data) is bytearray:
            array = np.frombuffer(data, dtype.dtype).view(LoadedArray)
            require_characters(array)
            array = array.reshape(shape, order="F" if order == "F" else "C")
        else:  # np.frombuffer would give a read-only array, which torch does not take
            array = LoadedArray(0)
            _fill(array, shape, dtype, order == "F", data)
        return array if order != "K" or axis_order is None else array.transpose(axis_order)

    def encode(self, text, encoding="latin1"):
        if encoding not in ("latin1", "latin-1"):
            raise Refused(f"it encodes text as {str(encoding)[:20]!r}")
        return str.encode(text, "latin1")

    def bytes(self):
        return b""  # what protocols 0 to 2 write for empty bytes

    def bytearray(self, data=b"", _encoding="latin1"):
        return bytearray(data if type(data) is bytes else str.encode(data, "latin1"))

    def reconstructor(self, cls, base, state):
        if not (isinstance(cls, type) and cls in self.extra_types and base is object and state is None):
            raise Refused("it builds an object of an unknown class")
        return object.__new__(cls)

    def ordered_dict(self, items=()):
        return dict(items)

    def default_dict(self, _factory=None, items=()):
        return dict(items)


def _allowed_names() -> dict[tuple[str, str], Any]:
    """(module, name) in the file -> a builtin, or the name of a maker; Python 2 and both numpy layouts."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): "dtype",
        ("numpy", "ndarray"): "NDARRAY",
        ("_codecs", "encode"): "encode",
        ("collections", "OrderedDict"): "ordered_dict",
        ("collections", "defaultdict"): "default_dict",
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = "reconstruct"
        names[f"{core}.multiarray", "scalar"] = "scalar"
        names[f"{core}.numeric", "_frombuffer"] = "frombuffer"
    for module in ("copyreg", "copy_reg"):
        names[module, "_reconstructor"] = "reconstructor"
    for module in ("builtins", "__builtin__"):
        names |= {(module, cls.__name__): cls for cls in (set, frozenset, slice, complex, object)}
        names |= {(module, "bytes"): "bytes", (module, "bytearray"): "bytearray"}
        names |= {(module, cls.__name__): "FACTORY" for cls in (dict, list, int, float)}
    return names


ALLOWED_NAMES = _allowed_names()


class AllowedNames:
    """What one file may name: the allow-list, and the caller's stand-ins."""

    def __init__(self, extra_classes: ExtraClasses | None = None):
        self.extra_classes = extra_classes
        self.makers = _Makers()

    @property
    def extra_types(self) -> set[type]:
        """The stand-ins that the file has named."""
        return self.makers.extra_types

    def find(self, module: str, name: str) -> Any:
        """What stands for `module.name`, or Refused."""
        found = ALLOWED_NAMES.get((module, name))
        if isinstance(found, str):
            found = getattr(self.makers, found)
        elif found is None and self.extra_classes is not None:
            found = self.extra_classes(module, name)
            if isinstance(found, type):
                self.makers.extra_types.add(found)
        if found is None:
            raise Refused(f"it names {f'{module}.{name}'[:80]}")
        return found
