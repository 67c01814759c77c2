"""Reads pickles as data: numpy arrays, text, numbers and builtin containers, and nothing else.

A pickle is a program: it may name any importable function and have it called. Here every name goes through an
allow-list whose entries are this module's own functions, so that not even numpy's are called with arguments of the
file's choosing: `dtype.__setstate__` can be made to read memory it does not own, `ndarray` to allocate terabytes.

Guarded: running code; arrays whose claimed size is not the size of their data; lengths beyond the end of the file and
huge memo indices (lib.pickle_scan); results nested deeper than MAX_DEPTH. Memory stays within some twenty times the
file's size, or 0.5 GiB. Not guarded: a file made to waste time, or to crash the interpreter, with no more than its
own size (such as endlessly nested tuples used as a dict key).
"""

import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lib.errors import UserError
from lib.pickle_scan import NotAPickle, Refused, Truncated, scan_pickle

MAX_DEPTH = 100
LEAF_TYPES = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, slice})
DTYPE_CODE = re.compile(r"[biufcSUO]\d{0,9}")

ExtraClasses = Callable[[str, str], object | None]


def load_pickle(path: str | Path, *, what: str, extra_classes: ExtraClasses | None = None, encoding="ASCII") -> Any:
    """Read a pickle that holds only data; arrays are not copied on the way.

    `what` names the expected file in errors, such as "a dataset pickle". `extra_classes(module, name)` returns a
    class of the caller's own to stand in for another one that the file names, or None to refuse it; the file decides
    with which arguments and state it is made, and its instances' `__dict__` is checked like any container.
    `encoding` "latin1" reads Python 2 pickles of numpy arrays. Object arrays may hold what lists may.

    Raises UserError if the file is missing, unreadable, cut short, not a pickle, or holds anything else.
    """
    path = Path(path)
    advice = f"Expected {what}"
    try:
        if not path.is_file():
            state = "is not a regular file" if path.exists() else "not found"
            raise UserError(f"{path} {state}. {advice} there: put it there, or correct the path in the config.")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes). {advice}: copy or download it again.")
        with path.open("rb") as file:
            scan_pickle(file)
            unpickler = _Unpickler(file, extra_classes, encoding)
            value = unpickler.load()
            return _checked(value, unpickler.makers.extra_types, {}, 0)
    except UserError:
        raise
    except Refused as error:
        raise UserError(
            f"{path}: refused, nothing in it was run: {error}. {advice} of arrays, text and numbers only: "
            "get it from its publisher, or write it again from such values."
        ) from None
    except Truncated as error:
        raise UserError(f"{path} ends early ({error}). {advice}: copy or download it again.") from None
    except NotAPickle as error:
        raise UserError(f"{path} is not a pickle ({error}). {advice}: check that it is the right file.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. {advice}.") from None
    except MemoryError:
        raise UserError(f"{path} does not fit in memory. {advice}: free memory or use a larger machine.") from None
    except UnicodeDecodeError:
        raise UserError(
            f"{path} holds text of Python 2 that is not {encoding}. {advice} written by Python 3: if you trust it, "
            "read it once with pickle.load(file, encoding='latin1') and write it again."
        ) from None
    except Exception as error:  # whatever a damaged stream makes the unpickler raise
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path} is damaged ({reason}). {advice}: copy or download it again.") from None


class _LoadedArray(np.ndarray):
    """An array as the file builds it: empty, then given its state, which is checked here."""

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, data = state
        _fill(self, shape, dtype, bool(is_fortran), data)


class _LoadedDtype:
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


def _fill(array: _LoadedArray, shape, dtype, is_fortran: bool, data) -> None:
    if not (isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)):
        raise Refused("it holds an array whose shape is not a tuple of sizes")
    if not isinstance(dtype, _LoadedDtype):
        raise Refused("it holds an array without a type")
    dtype, count = dtype.dtype, math.prod(shape)
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

    def __init__(self):
        self.extra_types: set[type] = set()

    def reconstruct(self, cls, shape, _typecode):
        if cls is not self.NDARRAY or shape != (0,):
            raise Refused("it holds an array of an unknown class")
        return _LoadedArray(0)

    def dtype(self, code, _align=False, _copy=False):
        return _LoadedDtype(code)

    def scalar(self, dtype, data=b""):
        if not isinstance(dtype, _LoadedDtype) or dtype.dtype.hasobject:
            raise Refused("it holds a numpy scalar that is not text or a number")
        array = _LoadedArray(0)
        _fill(array, (1,), dtype, False, data)
        return array.view(np.ndarray)[0]

    def frombuffer(self, data, dtype, shape, order, axis_order=None):
        if type(data) is bytearray:
            array = np.frombuffer(data, dtype.dtype).view(_LoadedArray)
            array = array.reshape(shape, order="F" if order == "F" else "C")
        else:  # np.frombuffer would give a read-only array, which torch does not take
            array = _LoadedArray(0)
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


def _allowed_names() -> dict[tuple[str, str], Any]:
    """(module, name) in the file -> a builtin, or the name of a maker; Python 2 and both numpy layouts."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): "dtype",
        ("numpy", "ndarray"): "NDARRAY",
        ("_codecs", "encode"): "encode",
        ("collections", "OrderedDict"): "ordered_dict",
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
    return names


ALLOWED_NAMES = _allowed_names()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, extra_classes: ExtraClasses | None, encoding: str):
        super().__init__(file, encoding=encoding)
        self.extra_classes = extra_classes
        self.makers = _Makers()

    def find_class(self, module, name):
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

    def persistent_load(self, persistent_id):
        raise Refused("it holds a persistent id")


def _checked(value, extra_types: set[type], seen: dict[int, tuple[Any, Any]], depth: int):
    """The same value with plain ndarrays, or Refused: a name the file may use is not yet a value it may hold."""
    kind = type(value)
    if _is_leaf(kind):
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    if depth > MAX_DEPTH:
        raise Refused(f"it is nested deeper than {MAX_DEPTH} levels")

    def check(item):
        return _checked(item, extra_types, seen, depth + 1)

    if kind is tuple:  # the one container that is made anew; `seen` keeps the old one so that its id stays taken
        result = value if _are_leaves(value) else tuple([check(item) for item in value])
        seen[id(value)] = (value, result)
        return result
    result = value.view(np.ndarray) if kind is _LoadedArray else value
    seen[id(value)] = (value, result)
    if kind in extra_types:
        check(getattr(value, "__dict__", {}))
    else:
        _check_contents(result, check)
    return result


def _check_contents(container, check: Callable[[Any], Any]) -> None:
    """Checks each item and puts the checked one in its place."""
    kind = type(container)
    if kind is np.ndarray:
        if container.dtype.hasobject and not _are_leaves(container.flat):
            for index, item in np.ndenumerate(container):
                container[index] = check(item)
    elif kind is list:
        if not _are_leaves(container):
            container[:] = [check(item) for item in container]
    elif kind is dict:
        for key, item in container.items():  # no key is added or removed
            check(key)
            container[key] = check(item)
    elif kind in (set, frozenset):
        for item in container:
            check(item)
    else:
        raise Refused(f"it holds a value of type {kind.__name__}, which is not data")


def _are_leaves(items) -> bool:
    return all(map(_is_leaf, set(map(type, items))))


def _is_leaf(kind: type) -> bool:
    return kind in LEAF_TYPES or issubclass(kind, np.generic)
