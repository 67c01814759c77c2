"""What stands for the names in a pickle: this project's own functions, never those that the names mean.

Not even numpy's are called with arguments of the file's choosing: `dtype.__setstate__` can be made to read memory it
does not own, `ndarray` to allocate terabytes.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from kinemesh.files.pickle_scan import Refused

DTYPE_CODE = re.compile(r"[biufcSUO]\d{0,9}")

ExtraClasses = Callable[[str, str], object | None]


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
