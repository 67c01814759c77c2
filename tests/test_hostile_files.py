"""Files that run code when they are read carelessly, given to every reader: each is one line, and nothing runs.

Every payload makes a folder. That it is live is shown by reading it as one should not.
"""

import contextlib
import copyreg
import io
import os
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from kinemesh.body.assets import read_joint_regressor, read_mean_params, read_smpl
from kinemesh.config import load_config
from kinemesh.data.sources import load_dataset
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import load_predictions
from kinemesh.files.checkpoints import load_checkpoint

MADE = "hacked"  # in the folder that is current
RUN = f"__import__('os').mkdir('{MADE}')"
NAME = b"X\x06\0\0\0hacked"


class Call:
    """Pickles as a call of any function."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


MKDIR = Call(os.mkdir, (MADE,))
BY_PICKLER = {
    "a call": MKDIR,
    "exec": Call(exec, (RUN,)),
    "eval": Call(eval, (RUN,)),
    "an argument": Call(set, ([MKDIR],)),
    "deep inside": {"train": [(1, {"x": [MKDIR]})]},
    "a key": {(1, MKDIR): 2},
    "an item of an object array": np.array([MKDIR], dtype=object),
    "the state of an array": Call(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), MKDIR),
    "the state of a dtype": Call(np.dtype, ("f8", False, True), MKDIR),
    "the state of an object": Call(complex, (1, 2), MKDIR),
}
STREAMS = {
    "INST": b"(S'hacked'\nios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\nS'hacked'\no.",
    "NEWOBJ": b"\x80\x02(cos\nmkdir\n" + NAME + b"\x85Rcbuiltins\nint\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04cbuiltins\nint\n(cos\nmkdir\n" + NAME + b"\x85Rt}\x92.",
    "getattr of an import": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'mkdir'\ntR(S'hacked'\ntR.",
    "Python 2's name": b'c__builtin__\neval\n(S"' + RUN.encode() + b'"\ntR.',
    "a dotted name": b"\x80\x04\x8c\x02os\x8c\x0dpath.os.mkdir\x93\x8c\x06hacked\x85R.",
    "a dotted name of numpy": b"\x80\x04\x8c\x05numpy\x8c\x16_core.records.os.mkdir\x93\x8c\x06hacked\x85R.",
    "a dotted name of torch": b"\x80\x04\x8c\x13torch.serialization\x8c\x08os.mkdir\x93\x8c\x06hacked\x85R.",
    "numpy's own exec": b'cnumpy.testing._private.utils\nrunstring\n(S"' + RUN.encode() + b'"\n}tR.',
    "an extension code": b"\x80\x02\x82\xf0" + NAME + b"\x85R.",
    "an extension code of two bytes": b"\x80\x02\x83\xf0\0" + NAME + b"\x85R.",
    "an extension code of four bytes": b"\x80\x02\x84\xf0\0\0\0" + NAME + b"\x85R.",
    "a persistent id": b"\x80\x02" + NAME + b"Q.",
    "a persistent id as text": b"(dPhacked\n.",
    "a call before a fault": b"\x80\x02cos\nmkdir\n" + NAME + b"\x85R" + b"\xff" * 20,
    "a call that is thrown away": b"\x80\x02cos\nmkdir\n" + NAME + b"\x85R0}.",
    "a name from the memo": b"\x80\x02cos\nmkdir\nq\x000h\x00" + NAME + b"\x85R.",
}
PAYLOADS = {
    f"{name}, protocol {protocol}": pickle.dumps(value, protocol)
    for name, value in BY_PICKLER.items()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
} | STREAMS


def zip_of(members: dict[str, bytes], method: int = zipfile.ZIP_STORED):
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return write


def npy_of_objects(payload: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


def legacy_checkpoint(payload: bytes, place: int) -> bytes:
    """Before PyTorch 1.6: magic number, version, system, content, keys."""
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, [])]
    parts[place] = payload
    return b"".join(parts)


def members_of(*names: str):
    """An npz whose arrays are all the payload."""
    return lambda payload: zip_of({f"{name}.npy": npy_of_objects(payload) for name in names})


def inline_tensor(payload: bytes) -> bytes:
    """A pickle of a tensor whose numbers are the payload."""
    storage = legacy_checkpoint(payload, 3)
    return b"\x80\x03ctorch.storage\n_load_from_bytes\nB" + len(storage).to_bytes(4, "little") + storage + b"\x85R."


# File name, how a payload gets into it, its reader, and how it is read carelessly.
READERS = {
    "dataset": ("mesh_det.pkl", bytes, lambda path: load_dataset("pw3d", path), "pickle"),
    "SMPL": ("SMPL_NEUTRAL.pkl", bytes, read_smpl, "pickle"),
    "estimator": ("res.pk", bytes, load_predictions, "pickle"),
    "estimator, packed": ("res.pk", zlib.compress, load_predictions, "zlib"),
    "regressor": ("J_regressor.npy", npy_of_objects, lambda path: read_joint_regressor(path, 17), "numpy"),
    "mean parameters": ("smpl_mean_params.npz", members_of("pose", "shape"), read_mean_params, "numpy"),
    "SMPL npz": (
        "SMPL_NEUTRAL.npz",
        members_of("v_template", "posedirs", "J_regressor", "weights", "kintree_table", "f", "shapedirs"),
        read_smpl,
        "numpy",
    ),
    "predictions": ("a.npz", members_of("video", "frame", "poses", "betas"), load_predictions, "numpy"),
    "TRAM": ("hps_track_0.npy", npy_of_objects, load_predictions, "numpy"),
    "ROMP": ("00000000.npz", members_of("results"), load_predictions, "numpy"),
    "MMHuman3D": ("inference_result.npz", members_of("smpl", "frame_id"), load_predictions, "numpy"),
    "GVHMR": (
        "a.pt",
        lambda payload: zip_of({"archive/data.pkl": payload, "archive/version": b"3\n"}),
        load_predictions,
        "torch",
    ),
    "a tensor in a pickle": ("nlf.pkl", inline_tensor, load_predictions, "pickle"),
    "checkpoint": (
        "latest_epoch.bin",
        lambda payload: zip_of({"archive/data.pkl": payload, "archive/version": b"3\n"}),
        load_checkpoint,
        "torch",
    ),
    "checkpoint of old": ("a.bin", lambda payload: legacy_checkpoint(payload, 3), load_checkpoint, "torch"),
    "system of an old checkpoint": ("a.bin", lambda payload: legacy_checkpoint(payload, 2), load_checkpoint, "torch"),
}


class CarelessUnpickler(pickle.Unpickler):
    def persistent_load(self, name):
        os.mkdir(name)


def read_arrays(path: Path):
    loaded = np.load(path, allow_pickle=True)
    return dict(loaded) if hasattr(loaded, "files") else loaded


CARELESSLY = {
    "pickle": lambda path: CarelessUnpickler(io.BytesIO(path.read_bytes())).load(),
    "zlib": lambda path: pickle.loads(zlib.decompress(path.read_bytes())),
    "numpy": read_arrays,
    "torch": lambda path: torch.load(path, weights_only=False),
    "yaml": lambda path: yaml.unsafe_load(path.read_text()),
}


def put(path: Path, content) -> Path:
    """Write bytes, or call a function that writes."""
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    return path


@pytest.fixture
def current(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is current: what a payload makes is made here."""
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def is_live(content, how: str, current: Path) -> bool:
    """Whether a file makes the folder when it is read carelessly."""
    path = put(current.parent / "file", content)
    with contextlib.suppress(Exception):
        CARELESSLY[how](path)
    made = current / MADE
    with contextlib.suppress(FileNotFoundError):
        made.rmdir()
        return True
    return False


@pytest.fixture
def extension():
    copyreg.add_extension("os", "mkdir", 240)
    yield
    copyreg.remove_extension("os", "mkdir", 240)


def test_the_payloads_are_live(current, extension):
    dead = [name for name, payload in PAYLOADS.items() if not is_live(payload, "pickle", current)]
    call = PAYLOADS["a call, protocol 2"]
    dead += [name for name, (_, carry, _, how) in READERS.items() if not is_live(carry(call), how, current)]
    dead += [text for text in YAML_CALLS if not is_live(text.encode(), "yaml", current)]
    assert dead == []


@pytest.mark.parametrize("reader", READERS)
def test_no_payload_runs(reader, current, extension):
    name, carry, read, _ = READERS[reader]
    for what, payload in PAYLOADS.items():
        path = put(current.parent / name, carry(payload))
        with pytest.raises(UserError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(str(path)) and "\n" not in message, what
        assert list(current.iterdir()) == [], what
        if what == "a call, protocol 2":
            assert "refused, nothing in it was run" in message


YAML_CALLS = (
    f"!!python/object/apply:os.mkdir ['{MADE}']",
    f"epochs: !!python/object/apply:os.mkdir ['{MADE}']",
    f"? !!python/object/apply:os.mkdir ['{MADE}']\n: 1",
    f"a: [{{b: !!python/object/new:os.mkdir ['{MADE}']}}]",
    f'a: !!python/object/apply:eval ["{RUN}"]',
    f"%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.mkdir ['{MADE}']",
    f"a: !<tag:yaml.org,2002:python/object/apply:os.mkdir> ['{MADE}']",
)


@pytest.mark.parametrize("text", YAML_CALLS)
def test_no_yaml_tag_runs(text, current):
    path = put(current.parent / "x.yaml", text.encode())
    with pytest.raises(
        UserError, match="x.yaml: not valid YAML .*could not determine a constructor for the tag"
    ) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert list(current.iterdir()) == []


def test_a_payload_inside_a_real_checkpoint(current):
    for content in ({"model": {"a": torch.ones(2)}, "optimizer": MKDIR}, {"best_jpe": MKDIR}, {"model": {"a": MKDIR}}):
        for is_zip in (True, False):
            torch.save(content, "x.bin", _use_new_zipfile_serialization=is_zip)
            with pytest.raises(UserError, match=r"x.bin: refused, nothing in it was run: it names (posix|nt)\.mkdir"):
                load_checkpoint("x.bin")
    assert os.listdir() == ["x.bin"]
