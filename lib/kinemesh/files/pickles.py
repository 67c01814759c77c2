"""Reads pickles as data: numpy arrays, text, numbers and builtin containers, and nothing else.

A pickle is a program: it may name any importable function and have it called. Here kinemesh.files.pickle_limits says
what it may ask for.

Guarded: running code; arrays whose claimed size is not the size of their data; lengths beyond the end of the file and
huge memo indices; results nested deeper than MAX_DEPTH. Memory stays within some twenty times the file's size, or
0.5 GiB. Not guarded: a file made to waste time, or to crash the interpreter, with no more than its own size (such as
endlessly nested tuples used as a dict key).
"""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinemesh.errors import UserError
from kinemesh.files.pickle_limits import (
    AllowedNames,
    ExtraClasses,
    LoadedArray,
    NotAPickle,
    Refused,
    Truncated,
    scan_pickle,
)

MAX_DEPTH = 100
LEAF_TYPES = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray, slice})


def load_pickle(path: str | Path, *, what: str, extra_classes: ExtraClasses | None = None, encoding="ASCII") -> Any:
    """Read a pickle that holds only data; arrays are not copied on the way.

    `what` names the expected file in errors, such as "a dataset pickle". `extra_classes(module, name)` returns a
    class of the caller's own to stand in for another one that the file names, or None to refuse it; the file decides
    with which arguments and state it is made, and its instances' `__dict__` is checked like any container.
    `encoding` "latin1" reads Python 2 pickles of numpy arrays. Object arrays may hold what lists may.

    Raises UserError if the file is missing, unreadable, cut short, not a pickle, or holds anything else.
    """
    path = Path(path)
    with faults_as_user_errors(path, what, encoding), path.open("rb") as file:
        scan_pickle(file)
        names = AllowedNames(extra_classes)
        return checked(_Unpickler(file, names, encoding).load(), names.extra_types)


class RefusedError(UserError):
    """A whole file of another kind than was expected, or that asks for more than data does."""


@contextmanager
def faults_as_user_errors(path: Path, what: str, encoding: str = "ASCII") -> Iterator[None]:
    """Whatever goes wrong while `path` is read, as the UserError that `load_pickle` promises."""
    advice = f"Expected {what}"
    try:
        if not path.is_file():
            state = "is not a regular file" if path.exists() else "not found"
            raise UserError(f"{path} {state}. {advice} there: put it there, or correct the path in the config.")
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes). {advice}: copy or download it again.")
        yield
    except UserError:
        raise
    except Refused as error:
        raise RefusedError(
            f"{path}: refused, nothing in it was run: {error}. {advice} of arrays, text and numbers only: "
            "get it from its publisher, or write it again from such values."
        ) from None
    except Truncated as error:
        raise UserError(f"{path} ends early ({error}). {advice}: copy or download it again.") from None
    except NotAPickle as error:
        raise RefusedError(
            f"{path} is not {error.format} ({error}). {advice}: check that it is the right file."
        ) from None
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


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, names: AllowedNames, encoding: str):
        super().__init__(file, encoding=encoding)
        self.names = names

    def find_class(self, module, name):
        return self.names.find(module, name)

    def persistent_load(self, persistent_id):
        raise Refused("it holds a persistent id")


class FrugalUnpickler(pickle._Unpickler):
    """Python's own unpickler written in Python, for streams that scan_pickle cannot look through.

    It asks for no memory ahead of the bytes, if `stream.read(size)` does not: that of BytesIO and mmap, not of files.
    `stream_bytes` is the stream's whole length.
    """

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream, stream_bytes: int, names: AllowedNames, encoding: str = "ASCII"):
        super().__init__(stream, encoding=encoding)
        self.stream, self.stream_bytes, self.names = stream, stream_bytes, names

    def find_class(self, module, name):
        return self.names.find(module, name)

    def persistent_load(self, persistent_id):
        raise Refused("it holds a persistent id")

    def load_bytearray8(self):
        length = int.from_bytes(self.read(8), "little")
        if length > self.stream_bytes:
            raise Truncated(f"{length} bytes, its content has {self.stream_bytes}")
        self.append(bytearray(self.read(length)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def checked(value, extra_types: set[type]) -> Any:
    """The same value with plain ndarrays, or Refused: a name the file may use is not yet a value it may hold."""
    return _checked(value, extra_types, {}, 0)


def _checked(value, extra_types: set[type], seen: dict[int, tuple[Any, Any]], depth: int):
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
    result = value.view(np.ndarray) if kind is LoadedArray else value
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
