import bz2
import collections
import gzip
import lzma
import os
import pickle
import struct
import zlib

import numpy as np
import pytest

from kinemesh.files import joblib as safe_joblib
from kinemesh.files.joblib import load_joblib, unpacked_limit
from tests.files.calls import Call
from tests.refusals import refused, refuses
from tests.same import assert_same

WHAT = "an estimator's file"
VALUE = {
    "float32": np.random.default_rng(0).normal(size=(30, 24, 3)).astype("f4"),
    "fortran": np.asfortranarray(np.arange(60.0).reshape(5, 12)),
    "big-endian": np.arange(3, dtype=">i4"),
    "booleans": np.array([True, False]),
    "no rows": np.zeros((0, 3)),
    "no axes": np.array(3.0),
    "text": np.array(["a/é.png", "b"]),
    "person": {1: {"pose": np.ones((2, 72)), "frame_ids": np.array([4, 5])}},
    "list": [np.zeros(3), [np.float32(2), "x"], {"deep": [np.arange(4, dtype="i2")]}],
    "scalars": [np.float32(3), np.int64(-1), 2.5, None, True, "text", b"bytes"],
}
HACK = Call(os.system, ("touch hacked",))
PACKERS = {
    "none": bytes,
    "zlib": lambda data: zlib.compress(data, 3),
    "gzip": lambda data: gzip.compress(data, 3),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


@pytest.fixture
def load_bytes(tmp_path):
    def load(content: bytes):
        path = tmp_path / "file.pkl"
        path.write_bytes(content)
        return load_joblib(path, what=WHAT)

    return load


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("alignment", [None, 16, 64])
def test_the_layout_is_read_packed_or_not(alignment, packer, joblib_bytes, load_bytes):
    assert_same(load_bytes(PACKERS[packer](joblib_bytes(VALUE, alignment))), VALUE)


def test_array_data_that_looks_like_opcodes_is_not_read(joblib_bytes, load_bytes):
    value = [np.frombuffer(b".P\nQcos\nsystem\n(R" * 4, np.uint8).copy()]
    assert_same(load_bytes(joblib_bytes(value)), value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("compress", [0, 3, ("gzip", 1), ("bz2", 1), ("lzma", 1), ("xz", 1)])
def test_what_joblib_writes_is_read(compress, protocol, tmp_path):
    joblib = pytest.importorskip("joblib")
    path = tmp_path / "dump.pkl"
    joblib.dump(collections.defaultdict(dict, VALUE), path, compress=compress, protocol=protocol)
    assert_same(load_joblib(path, what=WHAT), VALUE)


def test_joblib_reads_the_layout_these_tests_write(joblib_bytes, tmp_path):
    joblib = pytest.importorskip("joblib")
    path = tmp_path / "file.pkl"
    path.write_bytes(joblib_bytes(VALUE))
    assert_same(joblib.load(path), VALUE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_pickles_are_read_too(protocol, load_bytes):
    assert_same(load_bytes(pickle.dumps(VALUE, protocol)), VALUE)


def test_arrays_of_objects_are_a_pickle_in_the_pickle(joblib_bytes, load_bytes):
    array = np.array(["a", None, [1, 2]], dtype=object)
    layout = joblib_bytes([array], alignment=None)
    start = len(layout) - len(b"a.") - len(array.tobytes())
    whole = layout[:start] + pickle.dumps(array, 5) + b"a."
    assert_same(load_bytes(whole), [array])
    refuses(r"it holds an array of objects that is none", load_bytes, layout[:start] + pickle.dumps([1], 5) + b"a.")
    with refused(r"it names (posix|nt)\.system"):
        load_bytes(layout[:start] + pickle.dumps(np.array([HACK], dtype=object), 5) + b"a.")


def test_nothing_is_run(joblib_bytes, load_bytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (joblib_bytes([np.zeros(3), HACK]), zlib.compress(pickle.dumps({1: HACK}))):
        refuses(r"refused, nothing in it was run: it names (posix|nt)\.system", load_bytes, content)
    assert not (tmp_path / "hacked").exists()


REFUSED = {
    "shape of floats": ({"shape": (3.0,)}, r"whose shape is not a tuple of sizes"),
    "negative shape": ({"shape": (-3,)}, r"whose shape is not a tuple of sizes"),
    "type": ({"dtype": "f8"}, r"it holds an array without a type"),
    "structured type": ({"dtype": np.dtype([("a", "f8")])}, r"it holds an array of type 'V8'"),
    "order": ({"order": "K"}, r"whose order is neither C nor F"),
    "size": ({"shape": (10**15,)}, r"ends early \(8000000000000000 bytes at \d+, its content has \d+\)"),
    "one too many": ({"shape": (4,)}, r"ends early|damaged"),
    "empty text": ({"dtype": np.dtype("U0"), "shape": (10**12,)}, r"type <U0, without the data"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("alignment", [None, 16])
def test_descriptions_that_do_not_fit_the_data_are_refused(name, alignment, joblib_bytes, load_bytes):
    change, message = REFUSED[name]
    refuses(message, load_bytes, joblib_bytes([np.arange(3.0)], alignment, change))


STREAMS = (
    b"}" + b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81K\x01s.",  # an array as a key
    b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81.",  # a bare description
    b"]cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81q\x00ah\x00a.",  # a description from the memo
    b"cjoblib.numpy_pickle_compat\nNDArrayWrapper\n)\x81.",  # another class of joblib
    b"K\x01Q.",  # a persistent id
    b"]\xff.",  # an unknown opcode
    b"a.",  # an empty stack
)
LENGTHS = (b"\x8e", b"\x96", b"\x95", b"\x8d")


@pytest.mark.parametrize("packer", PACKERS)
def test_every_cut_is_one_line(packer, joblib_bytes, load_bytes):
    whole = PACKERS[packer](joblib_bytes({"a": np.arange(3.0), "b": ["text", 1.5]}))
    for length in range(0, len(whole) - 1):
        refuses(r"is empty|ends early|is damaged|is not a pickle|refused", load_bytes, whole[:length])


def test_a_file_that_unpacks_to_far_more_than_its_size_is_refused(joblib_bytes, load_bytes, monkeypatch):
    monkeypatch.setattr(safe_joblib, "ALWAYS_ALLOWED_BYTES", 1000)
    zeros = joblib_bytes([np.zeros(1_000_000)])
    for packer in ("zlib", "gzip", "bz2", "xz", "lzma"):
        packed = PACKERS[packer](zeros)
        message = rf"it unpacks from {len(packed)} to more than {unpacked_limit(len(packed))} bytes"
        refuses(message, load_bytes, packed)
    assert unpacked_limit(5) == 1000 and unpacked_limit(1000) == 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ZF0x12 abc", r"is not a pickle \(it was written by joblib before 0.10: write it again with a newer one\)"),
        (b"\x04\x22\x4d\x18abc", r"it is compressed by lz4: write it again with compress=3"),
        (b"PK\x03\x04abc", r"is not a pickle \(it looks like a zip archive, .npz file or PyTorch checkpoint\)"),
        (b"hello world", r"is not a pickle \(its content starts b'hello world'\)"),
        (zlib.compress(b"hello world"), r"is not a pickle \(its content starts b'hello world'\)"),
        (b"x is not zlib", r"is damaged \(error: .*\)\. Expected an estimator's file: copy or download it again"),
        (b"BZh9 is not bz2", r"is damaged \(UnpicklingError: Invalid data stream\)"),
        (b"", r"is empty \(0 bytes\). Expected an estimator's file"),
        *((b"\x80\x04" + stream, "refused, nothing in it was run|is damaged") for stream in STREAMS),
        # Lengths beyond the end, which take no memory.
        *((b"\x80\x05" + code + struct.pack("<Q", 1 << 45) + b"abc.", "ends early|is damaged") for code in LENGTHS),
    ],
)
def test_what_joblib_does_not_write_is_named(content, message, load_bytes):
    refuses(message, load_bytes, content)


def test_a_memo_index_far_beyond_the_content_takes_no_memory(load_bytes):
    assert load_bytes(b"\x80\x04]r\xff\xff\xff\x7f.") == []
