"""Reads PyTorch's checkpoint files as data: tensors, numbers, text and builtin containers, and nothing else.

torch.load is not asked, not even with `weights_only=True`: before PyTorch 2.10 a file could then write to memory
(CVE-2026-24747), and since then a file of some hundred bytes still gets a bytearray or tensor of any size that it
claims, no checksum is compared, pickle protocols 4 and 5 are not read, and sparse, meta and quantised tensors are.
Here a tensor is numbers in memory, as many as the file holds. Layouts: `torch/serialization.py` of PyTorch 0.4 to
2.13, that is a zip archive of `data.pkl` and one stored member a storage, or before 1.6 five pickles and then the
storages. Python's own pickles of tensors, as np.save and joblib write them, hold each storage as a file of the latter kind
(`torch/storage.py`, `_load_from_bytes`).
"""

import math
import mmap
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.files.pickle_limits import AllowedNames, LoadedArray, NotAPickle, Refused, Truncated
from kinemesh.files.pickles import FrugalUnpickler, checked, faults_as_user_errors

_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}  # fmt: skip
# Numbers of a tensor that repeats some of its storage's, such as one shape for all frames of a video.
_LARGEST_EXPANDED = 1 << 20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def load_torch_file(path: str | Path, *, what: str) -> Any:
    """Read what `torch.save` wrote, in either layout, on the CPU; ordered dicts come back as dicts.

    `what` names the expected file in errors. Raises UserError as kinemesh.files.pickles.load_pickle does.
    """
    path = Path(path)
    with faults_as_user_errors(path, what):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_zip(archive, path.stat().st_size)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_legacy(data)


class _NotACheckpoint(NotAPickle):
    format = "a PyTorch checkpoint"


class _Storage(NamedTuple):
    """Where a tensor's numbers are; not yet read."""

    key: str
    dtype: torch.dtype
    count: int


class _StoredTensor:
    """Stands for a tensor while the file may still do things to it."""

    __slots__ = ("offset", "size", "storage", "stride")

    def __init__(self, storage: _Storage, offset: int, size: tuple, stride: tuple):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def __setstate__(self, state):
        raise Refused("it gives a tensor another state")

    def build(self, bytes_of: Callable[[str], Tensor]) -> Tensor:
        """The tensor, over its storage's bytes."""
        values = bytes_of(self.storage.key)
        # A byte that is neither 0 nor 1 is no bool of PyTorch's.
        values = values != 0 if self.storage.dtype is torch.bool else values.view(self.storage.dtype)
        return values.as_strided(self.size, self.stride, self.offset)


class _Makers:
    """What a file may call to make a tensor. Bound methods, since a pickle can set attributes of plain functions."""

    __slots__ = ()

    def rebuild_tensor(self, storage, offset, size, stride, *_unused):
        are_whole = all(
            type(values) is tuple and all(type(value) is int and value >= 0 for value in values)
            for values in (size, stride, (offset,))
        )
        if type(storage) is not _Storage or not are_whole or len(size) != len(stride):
            raise Refused("it describes a tensor that is none")
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count and (count > max(storage.count, _LARGEST_EXPANDED) or last >= storage.count):
            raise Refused(f"it claims a tensor of shape {str(size)[:60]} over {storage.count} numbers")
        return _StoredTensor(storage, offset, size, stride)

    def rebuild_parameter(self, tensor, *_unused):
        return tensor

    def size(self, values=()):
        return tuple(values)


_MAKER_OF = {
    ("torch._utils", "_rebuild_tensor"): "rebuild_tensor",
    ("torch._utils", "_rebuild_tensor_v2"): "rebuild_tensor",
    ("torch._utils", "_rebuild_parameter"): "rebuild_parameter",
    ("torch", "Size"): "size",
}


def _torch_name(module: str, name: str) -> Any:
    if (module, name) in _MAKER_OF:
        return getattr(_Makers(), _MAKER_OF[module, name])
    return _DTYPES.get(name) if module == "torch" else None


class _Inline(NamedTuple):
    """A storage that stands in the pickle itself, and its numbers."""

    storage: _Storage
    content: bytes


class _InlineMakers:
    """What a pickle outside PyTorch's own files may call: tensors come back as arrays."""

    __slots__ = ()

    def storage(self, data):
        if type(data) is not bytes or not data:
            raise Refused("it holds a tensor without numbers")
        with mmap.mmap(-1, len(data)) as memory:
            memory[:] = data
            value, storages, places = _read_legacy_parts(memory)
        if type(value) is not _Storage or len(storages) != 1:
            raise Refused("it holds a tensor whose numbers are none")
        return _Inline(value, data[places[value.key]])

    def rebuild_tensor(self, inline, offset, size, stride, *unused):
        if type(inline) is not _Inline:
            raise Refused("it describes a tensor that is none")
        stored = _Makers().rebuild_tensor(inline.storage, offset, size, stride, *unused)
        tensor = stored.build(lambda _key: _as_bytes(inline.content))
        tensor = tensor.float() if tensor.dtype == torch.bfloat16 else tensor.clone()
        return np.ascontiguousarray(tensor.numpy()).view(LoadedArray)

    def rebuild_parameter(self, tensor, *_unused):
        return tensor


def inline_maker(module: str, name: str) -> Any:
    """What stands for PyTorch's names in a pickle of tensors; None for any other."""
    if (module, name) == ("torch.storage", "_load_from_bytes"):
        return _InlineMakers().storage
    return getattr(_InlineMakers(), _MAKER_OF.get((module, name), ""), None)


class _Unpickler(FrugalUnpickler):
    """`check_storage` refuses a storage that the file does not have."""

    dispatch: ClassVar = dict(FrugalUnpickler.dispatch)

    def __init__(self, stream, stream_bytes: int, check_storage: Callable[[_Storage], None]):
        # utf-8 is for Python 2's text, in files of old.
        super().__init__(stream, stream_bytes, AllowedNames(_torch_name), encoding="utf-8")
        self.check_storage = check_storage

    def persistent_load(self, persistent_id):
        kind, dtype, key, _location, count, *view = (*persistent_id,) if type(persistent_id) is tuple else (None,) * 5
        is_right = type(dtype) is torch.dtype and type(key) is str and type(count) is int and count >= 0
        if kind != "storage" or not is_right or view not in ([], [None]):
            raise Refused("it holds a persistent id that is no storage of numbers")
        storage = _Storage(key, dtype, count)
        self.check_storage(storage)
        return storage

    def load_build(self):
        if type(self.stack[-2]) is dict:  # the `_metadata` attribute of a state dict
            self.stack.pop()
        else:
            super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _read_zip(archive: zipfile.ZipFile, file_bytes: int) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise _NotACheckpoint("it is a zip archive without one data.pkl")
    root = roots[0]
    if root.count("/") != 1 or root == "../" or not all(name.startswith(root) for name in members):
        raise Refused("its members are not in one folder")
    if f"{root}constants.pkl" in members:
        raise Refused("it is a TorchScript archive, which holds code")
    if len(members) < len(archive.infolist()):
        raise Refused("two of its members have one name")
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise Refused("it is compressed, which PyTorch does not do")
    if sum(info.file_size for info in members.values()) > file_bytes:
        raise Refused("its members claim more bytes than it has")
    if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
        raise Refused("its numbers are big-endian")

    def check_storage(storage: _Storage) -> None:
        info = members.get(f"{root}data/{storage.key}")
        held = info.file_size if info else 0
        if storage.count * storage.dtype.itemsize != held:
            raise Refused(f"it claims {storage.count} numbers of {storage.dtype} where it has {held} bytes")

    data = archive.read(f"{root}data.pkl")
    value = _Unpickler(BytesIO(data), len(data), check_storage).load()
    return _with_tensors(value, lambda key: archive.read(f"{root}data/{key}"))


def _read_legacy(data: mmap.mmap) -> Any:
    value, _, places = _read_legacy_parts(data)
    return _with_tensors(value, lambda key: data[places[key]])


def _read_legacy_parts(data: mmap.mmap) -> tuple[Any, dict[str, _Storage], dict[str, slice]]:
    """The value, its storages, and where each one's numbers are."""
    # The first pickle is that number; the place depends on the protocol.
    if _LEGACY_MAGIC.to_bytes(10, "little") not in data[:32]:
        if data[:2] == b"PK":
            raise Truncated(f"it has {len(data)} bytes and no directory, which ends a zip archive")
        raise _NotACheckpoint(f"its content starts {data[:12]!r}")
    storages: dict[str, _Storage] = {}

    def check_storage(storage: _Storage) -> None:
        if storages.setdefault(storage.key, storage) != storage:
            raise Refused("it describes one storage in two ways")

    def load() -> Any:
        return _Unpickler(data, len(data), check_storage).load()

    try:
        _magic, version, _system, value, keys = (load() for _ in range(5))
    except EOFError:
        raise Truncated(f"it has {len(data)} bytes") from None
    if version != 1001 or type(keys) is not list or not all(type(key) is str for key in keys) or {*keys} != {*storages}:
        raise Refused("its list of storages is not that of its tensors")
    places = {}
    for key in keys:
        if data.tell() + 8 > len(data):
            raise Truncated(f"it has {len(data)} bytes")
        count = int.from_bytes(data.read(8), "little")
        size = storages[key].count * storages[key].dtype.itemsize
        if count != storages[key].count:
            raise Refused(f"it claims {storages[key].count} numbers where it has {count}")
        if data.tell() + size > len(data):
            raise Truncated(f"{size} bytes at {data.tell()}, it has {len(data)}")
        places[key] = slice(data.tell(), data.tell() + size)
        data.seek(size, 1)
    return value, storages, places


def _as_bytes(content: bytes) -> Tensor:
    """(n,) uint8, a copy."""
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _with_tensors(value: Any, read: Callable[[str], bytes]) -> Any:
    """The checked value with tensors in place; `read` gives a storage's bytes, which tensors may share."""
    storages: dict[str, Tensor] = {}
    seen: dict[int, tuple[Any, Any]] = {}  # the old values too, so that their ids stay taken

    def bytes_of(key: str) -> Tensor:
        if key not in storages:
            storages[key] = _as_bytes(read(key))
        return storages[key]

    def build(item: Any) -> Any:
        if type(item) not in (_StoredTensor, tuple, list, dict):
            return item
        if id(item) not in seen:
            seen[id(item)] = (item, item)
            if type(item) is _StoredTensor:
                seen[id(item)] = (item, item.build(bytes_of))
            elif type(item) is tuple:
                seen[id(item)] = (item, tuple(map(build, item)))
            else:
                for key in range(len(item)) if type(item) is list else item:
                    item[key] = build(item[key])
        return seen[id(item)][1]

    return build(checked(value, {_StoredTensor}))
