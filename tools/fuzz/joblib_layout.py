"""Writes joblib's layout without joblib, as files of estimators have it."""

import pickle

import numpy as np


def write_joblib(value, alignment: int | None = 16, change: dict | None = None) -> bytes:
    """What joblib.dump writes for dicts, lists, numeric arrays and scalars.

    `alignment` None leaves out the padding, as joblib before 1.2 did; `change` alters an array's description, as in a
    file that somebody tampered with.
    """
    out = bytearray(b"\x80\x04")

    def add(value) -> None:
        if isinstance(value, np.ndarray):
            add_array(value)
        elif isinstance(value, dict):
            out.extend(b"}")
            for key, item in value.items():
                out.extend(_plain(key))
                add(item)
                out.extend(b"s")
        elif isinstance(value, list):
            out.extend(b"]")
            for item in value:
                add(item)
                out.extend(b"a")
        else:
            out.extend(_plain(value))

    def add_array(array: np.ndarray) -> None:
        order = "C" if array.flags.c_contiguous else "F"
        state = {"subclass": np.ndarray, "shape": array.shape, "order": order, "dtype": array.dtype}
        state |= {"allow_mmap": True}
        if alignment is not None:
            state["numpy_array_alignment_bytes"] = alignment
        out.extend(b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + _plain(state | (change or {})) + b"b")
        if alignment is not None:
            padding = alignment - (len(out) + 1) % alignment
            out.extend(bytes([padding]) + b"\xff" * padding)
        out.extend(array.tobytes(order))

    add(value)
    return bytes(out + b".")


def _plain(value) -> bytes:
    return pickle.dumps(value, 2)[2:-1]
