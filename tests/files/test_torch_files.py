"""PyTorch's files: what comes back, and what claims more than it has or is no tensor of numbers."""

import io
import pickle
import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from kinemesh.files.joblib import load_joblib, unpickle
from kinemesh.files.torch_files import load_torch_file
from tests.files.calls import Call
from tests.refusals import refuses
from tests.same import assert_same

WHAT = "a PyTorch checkpoint"


def load(path):
    return load_torch_file(path, what=WHAT)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.bin"


def content() -> dict:
    base = torch.arange(24.0)
    return {
        "tensors": [base.reshape(2, 3, 4), base[3:9:2], base.reshape(4, 6).T, torch.tensor(3.0), torch.empty(0, 3)],
        "kinds": {kind: torch.arange(5).to(getattr(torch, kind)) for kind in KINDS},
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "state": torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict(),
        "tuple": (1, torch.ones(2), "x"),
        "scalars": [np.float64(2.5), np.float32(1), 3, None, True, "text"],
        "size": torch.ones(2, 3).shape,
    }


KINDS = ("float16", "bfloat16", "float32", "float64", "int64", "int32", "int16", "int8", "uint8")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_writes_comes_back(is_zip, protocol, path):
    """As plain tensors, dicts and tuples."""
    value = content()
    torch.save(value, path, _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
    plain = {"parameter": value["parameter"].data, "state": dict(value["state"]), "size": (2, 3)}
    assert_same(load(path), value | plain)


@pytest.mark.parametrize("is_zip", [True, False])
def test_tensors_go_on_sharing_memory(is_zip, path):
    base = torch.zeros(4)
    torch.save({"whole": base, "part": base[1:3], "again": base}, path, _use_new_zipfile_serialization=is_zip)
    loaded = load(path)
    loaded["whole"][1] = 5.0
    assert loaded["part"][0] == 5.0
    assert loaded["again"] is loaded["whole"]


def test_a_tensor_may_repeat_its_numbers_but_not_fill_the_memory(path):
    """As one shape for every frame of a video."""
    torch.save({"betas": torch.arange(10.0).expand(100, 10)}, path)
    assert torch.equal(load(path)["betas"], torch.arange(10.0).expand(100, 10))
    torch.save({"betas": torch.zeros(1).expand(1 << 21)}, path)
    refuses(r"it claims a tensor of shape \(2097152,\) over 1 numbers", load, path)


def storage(content: bytes) -> Call:
    """What PyTorch calls with a storage's bytes."""
    return Call(torch.storage._load_from_bytes, (content,))


def test_tensors_inside_a_pickle_come_back_as_arrays():
    """As np.save and joblib write them, each storage a file in the file."""
    base = torch.arange(24.0).reshape(4, 6)
    value = {
        "part": base[1:3, ::2], "turned": base.T, "none": torch.zeros(0, 3), "frames": torch.arange(5), "half": base.half(),
        "bfloat16": base.bfloat16(), "parameter": torch.nn.Parameter(base), "list": [base, base],
    }  # fmt: skip
    for protocol in range(2, 6):
        loaded = unpickle(pickle.dumps(value, protocol))
        for name, tensor in value.items():
            for found, true in zip(
                *((loaded[name], tensor) if name == "list" else ([loaded[name]], [tensor])), strict=True
            ):
                assert type(found) is np.ndarray and found.flags.c_contiguous
                np.testing.assert_array_equal(found, true.detach().float() if name == "bfloat16" else true.detach())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86"), r"it claims a tensor of shape \(2, 4\) over 6 numbers"),
        (lambda data: data.replace(b"_rebuild_tensor_v2", b"_rebuild_tensxr_v2"), "it names torch._utils._rebuild_tensxr_v2"),
        (lambda data: data.replace(b"_load_from_bytes", b"_load_from_bytos"), "it names torch.storage._load_from_bytos"),
        (lambda data: data.replace(b"FloatStorage", b"QloatStorage"), "it names torch.QloatStorage"),
        (lambda data: data.replace(b"\x06\0\0\0\0\0\0\0", b"\x07\0\0\0\0\0\0\0"), "it claims 6 numbers where it has 7"),
        (lambda data: pickle.dumps({"a": storage(b"")}), "it holds a tensor without numbers"),
        (lambda data: pickle.dumps({"a": storage(b"PK\3\4")}), "it has 4 bytes"),
        (lambda data: pickle.dumps({"a": storage(_bytes_of(torch.zeros(2)))}), "it holds a tensor whose numbers are none"),
    ],
)  # fmt: skip
def test_a_tensor_inside_a_pickle_that_is_none_is_refused(change, message, tmp_path):
    data = change(pickle.dumps({"a": torch.arange(6.0).reshape(2, 3)}, 4))
    (tmp_path / "a.pkl").write_bytes(data)
    refuses(message, load_joblib, tmp_path / "a.pkl", what="an estimator's file")


def _bytes_of(value) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def rewrite(path, change=lambda members: None, method=zipfile.ZIP_STORED, extra=()):
    """Write a zip checkpoint of one tensor again, with `change` done to its members."""
    torch.save({"model": {"a": torch.arange(4.0)}}, path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    change(members)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"x/{name}", data)
        for name, data in extra:
            archive.writestr(name, data)


def replaced(old: bytes, new: bytes):
    def change(members):
        assert old in members["data.pkl"]
        members["data.pkl"] = members["data.pkl"].replace(old, new)

    return change


FOUR = b"K\x04tq"  # the number of numbers in the storage
SHAPE = b"K\x04\x85q"
STRIDE = b"K\x01\x85q"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced(FOUR, b"K\x05tq"), "it claims 5 numbers of torch.float32 where it has 16 bytes"),
        (replaced(FOUR, b"\x8a\x06\0\0\0\0\0\x01tq"), "it claims 1099511627776 numbers of torch.float32 where"),
        (replaced(FOUR, b"J\xff\xff\xff\xfftq"), "persistent id that is no storage of numbers"),
        (replaced(b"FloatStorage", b"DoubleStorage"), "it claims 4 numbers of torch.float64 where it has 16 bytes"),
        (replaced(b"FloatStorage", b"QInt8Storage"), r"it names torch\.QInt8Storage"),
        (replaced(SHAPE, b"K\x05\x85q"), r"it claims a tensor of shape \(5,\) over 4 numbers"),
        (replaced(SHAPE, b"J\xff\xff\xff\xff\x85q"), "it describes a tensor that is none"),
        (replaced(SHAPE, b"J\xff\xff\xff\x7f\x85q"), r"it claims a tensor of shape \(2147483647,\) over 4 numbers"),
        (replaced(STRIDE, b"K\x02\x85q"), r"it claims a tensor of shape \(4,\) over 4 numbers"),
        (replaced(STRIDE, b"J\xff\xff\xff\xff\x85q"), "it describes a tensor that is none"),
        (replaced(STRIDE, b")q"), "it describes a tensor that is none"),
        (replaced(b"_rebuild_tensor_v2", b"_rebuild_sparse_tensor"), r"it names torch\._utils\._rebuild_sparse"),
        (replaced(b"_rebuild_tensor_v2", b"_rebuild_meta_tensor_no_storage"), r"it names torch\._utils\._rebuild_meta"),
        (replaced(b"storage", b"sturage"), "persistent id that is no storage of numbers"),
        (lambda members: members.pop("data/0"), "it claims 4 numbers of torch.float32 where it has 0 bytes"),
        (lambda members: members.update({"data/0": bytes(12)}), "it claims 4 numbers of torch.float32 where it has 12"),
        (lambda members: members.update(byteorder=b"big"), "its numbers are big-endian"),
        (lambda members: members.update({"constants.pkl": b""}), "it is a TorchScript archive, which holds code"),
    ],
)
def test_claims_that_the_file_does_not_keep(change, message, path):
    rewrite(path, change)
    refuses(rf"x.bin: refused, nothing in it was run: .*{message}", load, path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(path):
    rewrite(path, lambda members: members.update({"data/0": bytes(1 << 23)}), zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    refuses("it is compressed, which PyTorch does not do", load, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "y/data.txt"])
def test_members_elsewhere_are_refused(name, path):
    rewrite(path, extra=[(name, b"evil")])
    refuses("its members are not in one folder", load, path)


def test_two_members_of_one_name_and_flipped_bits_are_noticed(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        rewrite(path, extra=[("x/data/0", bytes(16))])
    refuses("two of its members have one name", load, path)
    rewrite(path)
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(4, dtype="f4").tobytes()) + 5] ^= 4
    path.write_bytes(data)
    refuses(r"x.bin is damaged \(BadZipFile: Bad CRC-32 for file 'x/data/0'\)", load, path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_cut_of_an_old_file_is_one_line(protocol, path):
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    whole = path.read_bytes()
    for length in range(1, len(whole), 5):
        path.write_bytes(whole[:length])
        refuses(r"x.bin(: refused| ends early| is not a PyTorch checkpoint| is damaged)", load, path)


@pytest.mark.parametrize("count", [2, 4, 1 << 40])
def test_an_old_file_that_claims_another_number(count, path):
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    numbers = np.arange(3, dtype="f4").tobytes()
    path.write_bytes(whole.replace((3).to_bytes(8, "little") + numbers, count.to_bytes(8, "little") + numbers))
    refuses(f"it claims 3 numbers where it has {count}", load, path)


def legacy(*parts: bytes) -> bytes:
    return pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"".join(parts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello world", r"is not a PyTorch checkpoint \(its content starts b'hello world'\)"),
        (pickle.dumps({"a": 1}), r"is not a PyTorch checkpoint"),
        (b"PK\x03\x04" + bytes(50), r"ends early \(it has 54 bytes and no directory, which ends a zip archive\)"),
        (legacy(*(pickle.dumps(part, 2) for part in (9, {}, {}, []))), "its list of storages is not that of its"),
        (legacy(*(pickle.dumps(part, 2) for part in (1001, {}, {}, ["1"]))), "its list of storages is not that of"),
        (legacy(*(pickle.dumps(part, 2) for part in (1001, {}, {}, 7))), "its list of storages is not that of its"),
        (legacy(b"\x80\x05\x96" + (1 << 45).to_bytes(8, "little") + b"."), "ends early"),
        (legacy(b"\x80\x02X\xff\xff\xff\x7fabc."), "ends early|is damaged"),
        (b"", "is empty"),
    ],
)
def test_other_files(data, message, path):
    path.write_bytes(data)
    refuses(f"x.bin.*({message})", load, path)


STATE = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0K\x04\x85K\x01\x85tR"
BY_CLAIM = b"\x8a\x06\0\0\0\0\0\x01\x85R."  # called with 1 << 40


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (STATE + b"}X\x04\0\0\0dataK\x01sb.", "it gives a tensor another state"),
        (b"\x80\x02ctorch\nFloatStorage\n.", "it holds a value of type dtype, which is not data"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "is damaged|refused"),
        (b"\x80\x02ctorch\nSize\n.", "it holds a value of type method, which is not data"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\0\0\0__code__K\x01sb.", "which is not data"),
        (b"\x80\x02]" + b"]" * 3000 + b"a" * 3000 + b".", "nested deeper than 100 levels"),
        (b"\x80\x02)" + b"\x85" * 3000 + b".", "nested deeper than 100 levels"),
        (b"\x80\x02cbuiltins\nbytearray\n" + BY_CLAIM, "is damaged"),
        (b"\x80\x02ctorch\nFloatTensor\n" + BY_CLAIM, r"it names torch\.FloatTensor"),
        (b"\x80\x02ctorch.storage\nUntypedStorage\n" + BY_CLAIM, r"it names torch\.storage\.Untyped"),
        (b"\x80\x02K\x01Q.", "persistent id that is no storage of numbers"),
    ],
)
def test_streams_that_torch_does_not_write(pickled, message, path):
    rewrite(path, lambda members: members.update({"data.pkl": pickled}))
    refuses(message, load, path)


def test_shared_tuples_do_not_multiply(path):
    value = (1.0,)
    for _ in range(60):
        value = (value, value)
    torch.save({"a": value, "b": torch.ones(1)}, path)
    assert load(path)["b"] == 1


def test_the_file_is_needed_no_more_and_bools_come_back_as_such(path):
    torch.save({"mask": torch.tensor([True, False, True]), "a": torch.arange(4.0)}, path)
    loaded = load(path)
    shutil.rmtree(path.parent)
    assert_same(loaded, {"mask": torch.tensor([True, False, True]), "a": torch.arange(4.0)})
