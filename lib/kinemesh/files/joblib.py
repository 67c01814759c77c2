"""Reads joblib dumps as data, without joblib, and under the same allow-list as any other pickle.

A dump is a pickle with the bytes of each numeric array written into the middle of the stream, right after the
`NumpyArrayWrapper` that describes it; the whole may be compressed. What kinemesh.files.pickles promises holds here too, but
for its look through the opcodes, which cannot know where array bytes begin: instead the stream is read by Python's
own unpickler written in Python, which asks for no memory ahead of the bytes. Layout: joblib 0.10 to 1.6,
`joblib/numpy_pickle.py`; plain pickles, which are the same without arrays in the middle, are read as well.
"""

import bz2
import io
import lzma
import pickle
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinemesh.files.pickle_limits import (
    OTHER_FORMATS,
    AllowedNames,
    LoadedArray,
    NotAPickle,
    Refused,
    Truncated,
    array_layout,
    require_characters,
)
from kinemesh.files.pickles import FrugalUnpickler, checked, faults_as_user_errors

# What poses, cameras and masks compress to stays far below; what zeros compress to does not.
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 1 << 28
LZMA_MEMORY_BYTES = 1 << 28
WRAPPERS = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")


def load_joblib(path: str | Path, *, what: str) -> Any:
    """Read a file that `joblib.dump` wrote, uncompressed or by zlib, gzip, bz2, lzma or xz, if it holds only data.

    `what` names the expected file in errors. Arrays are read-only, over one copy of the file's content in memory.
    Raises UserError as kinemesh.files.pickles.load_pickle does, and for a file that unpacks to more than MAX_RATIO times
    its size.
    """
    path = Path(path)
    with faults_as_user_errors(path, what):
        data = _unpacked(path.read_bytes())
        for magic, name in OTHER_FORMATS.items():
            if data.startswith(magic):
                raise NotAPickle(f"it looks like {name}")
        return unpickle(data)


def unpickle(data: bytes, encoding: str = "ASCII") -> Any:
    """What a pickle in memory holds, under the same rules; raises what kinemesh.files.pickles.faults_as_user_errors knows.

    `encoding` is as for kinemesh.files.pickles.load_pickle. Tensors come back as arrays.
    """
    names = AllowedNames(_stand_in)
    if data[:1] != pickle.PROTO:
        raise NotAPickle(f"its content starts {data[:12]!r}")
    try:
        value = _Unpickler(io.BytesIO(data), data, names, encoding).load()
    except EOFError:
        raise Truncated(f"its content has {len(data)} bytes") from None
    return checked(value, set())


def _stand_in(module: str, name: str) -> Any:
    if module in WRAPPERS and name == _WRAPPER:
        return _Array
    if module.partition(".")[0] == "torch":
        from kinemesh.files.torch_files import inline_maker  # imports PyTorch, which arrays alone do not need

        return inline_maker(module, name)
    return None


def unpacked_limit(packed_bytes: int) -> int:
    """The most bytes that a file of this size may unpack to."""
    return max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * packed_bytes)


_WRAPPER = "NumpyArrayWrapper"


class _Array:
    """Stands for joblib's description of an array, until the array takes its place."""

    # As a key of a dict it would keep its place.
    __hash__ = None

    def __setstate__(self, state):
        self.description = state


class _Unpickler(FrugalUnpickler):
    """`stream` reads `data` from its start."""

    dispatch: ClassVar = dict(FrugalUnpickler.dispatch)

    def __init__(self, stream: io.BytesIO, data: bytes, names: AllowedNames, encoding: str):
        super().__init__(stream, len(data), names, encoding)
        self.data = data

    def load_build(self):
        super().load_build()
        if type(self.stack[-1]) is _Array:
            self.stack[-1] = self.read_array(**_description(self.stack[-1].description))

    dispatch[pickle.BUILD[0]] = load_build

    def read_array(self, shape, dtype, order, alignment) -> np.ndarray:
        """The array whose bytes come next, a view of `data`."""
        dtype, count = array_layout(shape, dtype)
        if dtype.hasobject:  # a pickle within the pickle
            array = _Unpickler(self.stream, self.data, self.names, self.encoding).load()
            if type(array) is not LoadedArray:
                raise Refused("it holds an array of objects that is none")
            return array
        start = self.stream.tell()
        if alignment is not None:  # joblib 1.2 and later: a byte that says how many bytes of padding follow
            start += 1 + int.from_bytes(self.data[start : start + 1], "little")
        if dtype.itemsize == 0 and count > 0:
            raise Refused(f"it claims an array of shape {str(shape)[:60]}, type {dtype}, without the data for it")
        size = count * dtype.itemsize
        if start + size > len(self.data):
            raise Truncated(f"{size} bytes at {start}, its content has {len(self.data)}")
        self.stream.seek(start + size)
        array = np.ndarray(shape, dtype, buffer=self.data, offset=start, order=order)
        require_characters(array)
        return array


def _description(state: Any) -> dict[str, Any]:
    if type(state) is not dict:
        raise Refused("it holds an array without a description")
    order = state.get("order")
    if order not in ("C", "F"):
        raise Refused("it holds an array whose order is neither C nor F")
    alignment = state.get("numpy_array_alignment_bytes")
    return {"shape": state.get("shape"), "dtype": state.get("dtype"), "order": order, "alignment": alignment}


def _unpacked(data: bytes) -> bytes:
    """The content of a compressed file, told by its first bytes; other files as they are."""
    if data.startswith(b"ZF0x"):
        raise NotAPickle("it was written by joblib before 0.10: write it again with a newer one")
    if data.startswith(b"\x04\x22\x4d\x18"):
        raise NotAPickle("it is compressed by lz4: write it again with compress=3")
    if data[:1] == b"\x78" or data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip
    elif data.startswith(b"BZh"):
        unpacker = bz2.BZ2Decompressor()
    elif data.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        unpacker = lzma.LZMADecompressor(memlimit=LZMA_MEMORY_BYTES)
    else:
        return data
    limit = unpacked_limit(len(data))
    try:
        content = unpacker.decompress(data, limit + 1)
    except OSError as error:  # bz2's word for damage, which says nothing about the disk
        raise pickle.UnpicklingError(str(error)) from error
    if len(content) > limit:
        raise Refused(f"it unpacks from {len(data)} to more than {limit} bytes")
    if not unpacker.eof:
        raise Truncated(f"its compressed content of {len(data)} bytes has no end")
    return content
