import builtins
import collections
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.files.pickles import load_pickle
from tests.files.calls import Call
from tests.refusals import refused, refuses
from tests.same import assert_same

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WHAT = "a dataset pickle"


@pytest.fixture
def load_bytes(tmp_path):
    def load(content: bytes, **options):
        path = tmp_path / "file.pkl"
        path.write_bytes(content)
        return load_pickle(path, what=WHAT, **options)

    return load


DATA = {
    "float32": np.random.default_rng(0).normal(size=(300, 17, 3)).astype("f4"),
    "fortran": np.asfortranarray(np.arange(60.0).reshape(5, 12)),
    "permuted": np.arange(60.0).reshape(3, 4, 5).transpose(1, 0, 2),
    "integers": np.arange(-5, 5, dtype="i2"),
    "booleans": np.array([True, False]),
    "complex": np.array([1j, 2.0]),
    "no rows": np.zeros((0, 3)),
    "no axes": np.array(3.0),
    "unicode": np.array(["ab", "c", ""]),
    "bytes array": np.array([b"x", b"yy"]),
    "objects": np.array(["ab", 3, None, 1.5], dtype=object),
    "nested objects": np.array([[1, 2], [3]], dtype=object),
    "scalars": [np.float64(3), np.int32(-1), np.bool_(True), np.str_("text")],
    "many names": [name for i in range(3000) for name in (f"video_{i // 7}", f"camera {i}")],
    "same name": ["s_01_act_02"] * 3000,
    "numbers": [0, -1, 255, 70_000, 2**31, -(2**40), 1 << 500, 1.5, True, False, None, 1j],
    "texts": ["", "é", "\n", "x" * 300, "y" * 100_000, b"", b"\x00\xff", b"z" * 70_000, bytearray(b"\x00\xff")],
    "containers": [(), (1,), (1, 2, 3, 4), set(), {1, "a"}, frozenset([2]), slice(1, None), {}, {"a": [{"b": ()}]}],
    "arrays in tuples": (np.ones(2), [np.zeros(3)], {"key": (np.arange(4), "x")}),
    "tuple keys": {(1, "a"): 2},
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", DATA)
def test_data_comes_back_as_it_was(name, protocol, load_bytes):
    assert_same(load_bytes(pickle.dumps(DATA[name], protocol)), DATA[name], is_writeable=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_whole_file_shares_what_it_shared(protocol, load_bytes):
    array = np.arange(5.0)
    whole = {**DATA, "one": array, "other": [array]}
    loaded = load_bytes(pickle.dumps(whole, protocol))
    assert loaded["one"] is loaded["other"][0]
    assert_same(loaded, whole, is_writeable=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_byte_orders_and_ordered_dicts(protocol, load_bytes):
    loaded = load_bytes(pickle.dumps([np.arange(3, dtype=">i4"), collections.OrderedDict(b=1, a=2)], protocol))
    assert loaded[0].tolist() == [0, 1, 2]
    assert type(loaded[1]) is dict and list(loaded[1]) == ["b", "a"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_defaultdict_is_a_dict_without_its_default(protocol, load_bytes):
    made = collections.defaultdict(dict, {"a": {"b": 1}})
    loaded = load_bytes(pickle.dumps(made, protocol))
    assert type(loaded) is dict and loaded == {"a": {"b": 1}}
    refuses(r"it holds a value of type object, which is not data", load_bytes, pickle.dumps({"a": dict}, protocol))
    refuses(r"it names (os|posix|nt)\.system", load_bytes, pickle.dumps(collections.defaultdict(os.system), protocol))


def test_numpy_1_and_python_2_names(load_bytes):
    array = np.arange(200, 230, dtype="u1")
    by_numpy_1 = pickle.dumps(array, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x1e\x85"
    by_python_2 = b"\x80\x02" + made + dtype + b"I00\nU\x1e" + array.tobytes() + b"tb."
    for loaded in (load_bytes(by_numpy_1), load_bytes(by_python_2, encoding="latin1")):
        assert_same(loaded, array, is_writeable=True)
    refuses(r"holds text of Python 2 that is not ASCII. Expected .* written by Python 3", load_bytes, by_python_2)


def test_a_list_may_hold_itself(load_bytes):
    loaded = load_bytes(b"\x80\x02]q\x00h\x00a.")
    assert loaded[0] is loaded


def numpy_array(dtype: str, shape: tuple, data, dtype_state=(3, "<", None, None, None, -1, -1, 0), cls=np.ndarray):
    made = Call(np.dtype, (dtype, False, True), dtype_state)
    return Call(np.zeros(1).__reduce__()[0], (cls, (0,), b"b"), (1, shape, made, False, data))


def numpy_scalar(dtype: str, data):
    return Call(np.float64(1).__reduce__()[0], (Call(np.dtype, (dtype, False, True)), data))


CALLS = {
    "system": (Call(os.system, ("touch hacked",)), r"it names (posix|nt)\.system"),
    "eval": (Call(eval, ("1",)), r"it names builtins\.eval|it names __builtin__\.eval"),
    "getattr": (Call(getattr, ("a", "upper")), r"it names (builtins|__builtin__)\.getattr"),
    "range": (Call(range, (10**12,)), r"it names (builtins|__builtin__)\.x?range"),
    "deep inside": ({"train": [(1, {"x": Call(os.system, ("touch hacked",))})]}, r"it names (posix|nt)\.system"),
    "in an object array": (np.array([Call(os.system, ("touch hacked",))], dtype=object), r"it names (posix|nt)\.system"),
    "as an argument": (Call(set, ([Call(os.system, ("touch hacked",))],)), r"it names (posix|nt)\.system"),
    "class instance": (UserError("x"), r"it names kinemesh\.errors\.UserError"),
    "numpy function": (Call(np.load, ("x.npy",)), r"it names numpy\.load"),
    "a class as value": ({"a": np.ndarray}, r"it holds a value of type object, which is not data"),
    "a function as value": ([np.zeros(1).__reduce__()[0]], r"it holds a value of type method, which is not data"),
    "a dtype as value": ({"a": np.dtype("f4")}, r"it holds a value of type LoadedDtype, which is not data"),
    "a dtype in an object array": (np.array([np.dtype("f4")], dtype=object), r"LoadedDtype, which is not data"),
    "structured array": (np.zeros(2, [("a", "f4")]), r"it holds an array of type 'V4'"),
    "date array": (np.zeros(2, "M8[s]"), r"it holds an array of type 'M8'"),
    "other array class": (numpy_array("f4", (1,), b"abcd", cls=set), r"it holds an array of an unknown class"),
    "huge shape": (numpy_array("f4", (10**15,), b"abcd"), r"it claims an array of shape \(1000000000000000,\), type float32, without"),
    "overflowing shape": (numpy_array("f4", (2**62, 4), b""), r"it claims an array of shape"),
    "negative shape": (numpy_array("f4", (-1, -1), b"abcd"), r"whose shape is not a tuple of sizes"),
    "shape of floats": (numpy_array("f4", (1.0,), b"abcd"), r"whose shape is not a tuple of sizes"),
    "empty text elements": (numpy_array("U0", (10**12,), b""), r"it claims an array of shape \(1000000000000,\), type <U0"),
    "huge object shape": (numpy_array("O8", (10**12,), ["a"]), r"it claims an array of shape \(1000000000000,\), type object"),
    "bytes as pointers": (numpy_array("O8", (1,), b"A" * 8, (3, "|", None, None, None, 8, 8, 0)), r"type object, without the data"),
    "fields": (numpy_array("f4", (1,), b"abcd", (3, "<", None, ("a",), {"a": 1}, 4, 4, 0)), r"it holds a structured array"),
    "array without type": (Call(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), "f4", False, b"abcd")), r"without a type"),
    "huge scalar": (numpy_scalar("V1000000000000", b"a"), r"it holds an array of type 'V1000000000000'"),
    "huge text scalar": (numpy_scalar("U100000000", b"a"), r"it claims an array of shape \(1,\), type <U100000000"),
    "object scalar": (numpy_scalar("O8", "a"), r"it holds a numpy scalar that is not text or a number"),
    "other encoding": (Call(pickle.loads(b"c_codecs\nencode\n."), ("a", "rot13")), r"it encodes text as 'rot13'"),
}  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_not_data_is_refused_and_not_run(name, protocol, load_bytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value, message = CALLS[name]
    with refused(message) as caught:
        load_bytes(pickle.dumps(value, protocol))
    assert str(caught.value).startswith(f"{tmp_path / 'file.pkl'}: refused, nothing in it was run: ")
    assert "Expected a dataset pickle of arrays, text and numbers only: get it from its publisher" in str(caught.value)
    assert not (tmp_path / "hacked").exists()


STREAMS = {
    b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.": r"it names numpy\.ndarray\.__class__",
    b"(S'touch hacked'\nios\nsystem\n.": r"it names os\.system",  # INST
    b"(cos\nsystem\nS'touch hacked'\no.": r"it names os\.system",  # OBJ
    b"\x80\x02cos\n_wrap_close\n)\x81.": r"it names os\._wrap_close",  # NEWOBJ
    b"\x80\x04\x88Q.": r"it holds a persistent id",
    b"(lPx\na.": r"it holds a persistent id",  # as text
    b"\x80\x04\x82\x01.": r"it holds a copyreg extension code",
    b"\x80\x05\x97.": r"it holds an outside buffer",
    b"\x80\x02ccopy_reg\n_reconstructor\nc__builtin__\nset\nc__builtin__\nobject\nN\x87R.": "it builds an object of an unknown class",
    b"\x80\x02c__builtin__\nobject\n)\x81.": r"it holds a value of type object",
    b"\x80\x04" + b"]" * 5000 + b"a" * 4999 + b".": r"it is nested deeper than 100 levels",
    b"\x80\x04)" + b"\x85" * 200_000 + b".": r"it is nested deeper than 100 levels",  # tuples
    b"\x80\x02]r\xff\xff\xff\x7f.": r"it asks for 2147483647 memo entries at byte 3",
    b"]p99999999999\n.": r"it asks for 99999999999 memo entries at byte 1",  # as text
}  # fmt: skip


@pytest.mark.parametrize(("stream", "message"), STREAMS.items(), ids=range(len(STREAMS)))
def test_streams_that_no_pickler_writes_are_refused(stream, message, load_bytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuses(f"refused, nothing in it was run: {message}", load_bytes, stream)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x04\x86.",  # an empty stack
        b".",
        b"\x80\x04]" + b"\xff" * 20,  # an unknown opcode
        b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",  # a call of ndarray
        b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93N}\x8c\x0c__defaults__\x88s\x86b.",  # attributes of functions
        b"\x80\x04\x8c\x08builtins\x8c\x03set\x93N}\x8c\x03add\x88s\x86b.",
        b"\x80\x02}" + pickle.dumps(np.zeros(1), 2)[2:-1] + b"K\x01s.",  # an array as a key
    ],
)
def test_a_damaged_stream_is_one_line(stream, load_bytes):
    refuses(r"file\.pkl is damaged \(.*\)\. Expected a dataset pickle: copy or download", load_bytes, stream)
    assert builtins.set.add is not True


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x96", b"\x95", b"\x8d"])
def test_length_beyond_the_file(opcode, load_bytes):
    with refused(r"ends early \(1000000000000 bytes at 11, the file has 15\). Expected a dataset pickle: copy"):
        load_bytes(b"\x80\x05" + opcode + struct.pack("<Q", 10**12) + b"abc.")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_cut_of_a_file_is_one_line_and_one_near_its_end_is_said_to_end_early(protocol, load_bytes):
    whole = pickle.dumps([np.arange(3.0), "text", "é" * 300, -70_000, 1.5, [1, "a" * 20]], protocol)
    for length in range(1, len(whole)):
        refuses(r"ends early|is damaged|is not a pickle", load_bytes, whole[:length])
    whole = pickle.dumps({"a": np.zeros(1000), "b": ["x"] * 50}, protocol)
    refuses(r"file.pkl ends early \(.*the file has \d+( bytes)?\)", load_bytes, whole[:-3])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>", r"is not a pickle \(it looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"is not a pickle \(it looks like a Git LFS pointer"),
        (b"PK\x03\x04abcdefgh", r"is not a pickle \(it looks like a zip archive, .npz file or PyTorch checkpoint"),
        (b"\x1f\x8babcdefgh", r"is not a pickle \(it looks like a gzip archive"),
        (b"\x93NUMPY\x01\x00", r"is not a pickle \(it looks like an .npy file"),
        (b"hello world, a text file", r"is not a pickle \(byte 5 is b' ', the file starts b'hello world,'\)"),
        (b"]p12a\n" + b" " * 40, r"is not a pickle \(byte 1 is not a memo index\)"),
        (b"", r"is empty \(0 bytes\). Expected a dataset pickle: copy or download it again"),
    ],
)
def test_other_files_are_named(content, message, load_bytes):
    refuses(message, load_bytes, content)


def test_a_file_that_is_not_there(tmp_path):
    with refused(r"nowhere.pkl not found. Expected a dataset pickle there: put it there"):
        load_pickle(tmp_path / "nowhere.pkl", what=WHAT)
    refuses(r"is not a regular file. Expected a dataset pickle there", load_pickle, tmp_path, what=WHAT)


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps([1]))

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    refuses(r"file.pkl cannot be read: Permission denied. Expected a dataset pickle", load_pickle, path, what=WHAT)


def test_out_of_memory_is_one_line(load_bytes):
    def exhaust(_module, _name):
        raise MemoryError

    with refused(r"does not fit in memory. Expected a dataset pickle: free memory"):
        load_bytes(pickle.dumps(UserError("x")), extra_classes=exhaust)


class StandIn:
    """Takes the place of a class that a file names."""


class Foreign:
    """A class whose instances Python 2 and protocols 0 and 1 write with copyreg._reconstructor."""

    def __init__(self, **state):
        self.__dict__ = state


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stand_ins_take_state_and_are_checked(protocol, load_bytes):
    def extra(module, name):
        return StandIn if name == "Foreign" and module == Foreign.__module__ else None

    loaded = load_bytes(pickle.dumps(Foreign(x=np.arange(3), y=[1]), protocol), extra_classes=extra)
    assert type(loaded) is StandIn
    assert_same(vars(loaded), {"x": np.arange(3), "y": [1]}, is_writeable=True)
    for state, message in (
        (Call(os.system, ("true",)), r"it names (posix|nt)\.system"),
        ([np.dtype("f4")], "LoadedDtype, which is not data"),
    ):
        refuses(message, load_bytes, pickle.dumps(Foreign(x=state), protocol), extra_classes=extra)
    with refused(r"it names .*Foreign"):
        load_bytes(pickle.dumps(Foreign(), protocol), extra_classes=lambda module, name: None)


def test_large_array_data_is_not_copied(tmp_path):
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps({"a": np.zeros(4_000_000, "f4"), "b": np.zeros(4_000_000, "f4")}, 4))
    tracemalloc.start()
    loaded = load_pickle(path, what=WHAT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded["a"].nbytes + loaded["b"].nbytes <= peak < 33_000_000
