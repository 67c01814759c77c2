"""Files of strangers, given to every reader: code in them does not run, and each that is no data is one line.

Every payload makes a folder. That it is live is shown by reading it as one should not.
"""

import contextlib
import copyreg
import io
import json
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
from kinemesh.estimates.predictions import load_predictions
from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.render.video import video_info
from tests.files.calls import Call
from tests.refusals import refused, refuses

MADE = "hacked"  # in the folder that is current
RUN = f"__import__('os').mkdir('{MADE}')"
NAME = b"X\x06\0\0\0hacked"


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
        with refused() as caught:
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
    refuses("x.yaml: not valid YAML .*could not determine a constructor for the tag", load_config, path)
    assert list(current.iterdir()) == []


def test_a_payload_inside_a_real_checkpoint(current):
    for content in ({"model": {"a": torch.ones(2)}, "optimizer": MKDIR}, {"best_jpe": MKDIR}, {"model": {"a": MKDIR}}):
        for is_zip in (True, False):
            torch.save(content, "x.bin", _use_new_zipfile_serialization=is_zip)
            refuses(r"x.bin: refused, nothing in it was run: it names (posix|nt)\.mkdir", load_checkpoint, "x.bin")
    assert os.listdir() == ["x.bin"]


# Things that are no files, under a file's name.
NO_FILES = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to(path.parent / "nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
}
KEYPOINTS = json.dumps({"people": [{"pose_keypoints_2d": [100.0, 200.0, 0.9] * 25}]})
# A name, and what reads the folder it stands in, or the file.
FOLDER_READERS = {
    "OpenPose's": ("walk_000000000002_keypoints.json", lambda path: read_keypoints(path.parent)),
    "one keypoint file": ("walk_000000000000_keypoints.json", read_keypoints),
    "labels": ("walk_2.txt", lambda path: read_keypoints(path.parent)),
    "images": ("2.png", lambda path: video_info(path.parent)),
    "a video": ("walk.mp4", video_info),
    "predictions": ("a.npz", lambda path: load_predictions(path.parent)),
    "a dataset": ("a.pkl", lambda path: load_dataset("pw3d", path)),
    "a checkpoint": ("a.bin", load_checkpoint),
    "a config": ("a.yaml", load_config),
}


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("reader", FOLDER_READERS)
def test_what_is_no_file_is_neither_waited_for_nor_left_out(reader, what, tmp_path):
    name, read = FOLDER_READERS[reader]
    if reader == "OpenPose's":
        for number in range(2):
            (tmp_path / f"walk_{number:012d}_keypoints.json").write_text(KEYPOINTS)
    NO_FILES[what](tmp_path / name)
    refuses(str(tmp_path), read, tmp_path / name)


HALF, NO_CHARACTER = "a\ud800", np.frombuffer(b"\0\0\x11\0", "<U1")[0:1]


def write_dataset(folder: Path, make_content, **columns) -> Path:
    content = make_content("pw3d", train=(8, 4), test=(6, 6))
    for split in content.values():
        count = len(split["source"])
        split |= {
            key: value * count if isinstance(value, list) else np.repeat(value, count) for key, value in columns.items()
        }
    return put(folder / "mesh_det.pkl", pickle.dumps(content, 4))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ([HALF], "'source' holds halves of characters"),
        (np.array([HALF]), "'source' holds halves of characters"),
        (NO_CHARACTER, "it holds numbers that are no characters"),
        (np.array([b"\xff"]), "'source' holds bytes that are no text"),
        ([b"walk"], "'source' row 0 is of type bytes"),
        ([10**5000], "'source' row 0 is of type int"),
    ],
)
def test_names_that_are_no_text_are_one_line(source, fault, make_content, tmp_path):
    refuses(fault, load_dataset, "pw3d", write_dataset(tmp_path, make_content, source=source))


@pytest.mark.parametrize("action", [[10**5000], [HALF], ["q" * 5000], [[1]]])
def test_actions_that_are_no_names_are_left_out(action, make_content, tmp_path):
    dataset = load_dataset("pw3d", write_dataset(tmp_path, make_content, action=action))
    assert dataset.train.video_actions is None


def detections(image: object = "1.jpg", track: object = 1) -> bytes:
    points = [float(number) for number in range(51)]
    return json.dumps([{"image_id": image, "keypoints": points, "idx": track, "score": 0.9}]).encode()


@pytest.mark.parametrize(
    "content",
    [
        detections(image=HALF), detections(image="1" * 50_000), detections(image="_" * 4000 + "-1.jpg"),
        detections(image="a" + ".a" * 2000 + "-"), detections(track=HALF), detections(track="n" * 5000),
        detections(track=10**4000),
    ],
    ids=str,
)  # fmt: skip
def test_names_beyond_reason_in_keypoints_are_one_line(content, tmp_path):
    refuses("an image is called|the track of row 0 is", read_keypoints, put(tmp_path / "a.json", content))


@pytest.mark.parametrize("name", [HALF, 10**5000, "_" * 50_000 + "!"], ids=["half", "digits", "long"])
@pytest.mark.parametrize("layout", ["wham", "phalp", "phalp's track"])
def test_names_beyond_reason_in_predictions_are_one_line(layout, name, tmp_path):
    smpl = {"global_orient": np.eye(3)[None], "body_pose": np.tile(np.eye(3), (23, 1, 1)), "betas": np.zeros(10)}
    content = {
        "wham": {name: {"pose": np.zeros((1, 72)), "betas": np.zeros((1, 10)), "frame_ids": np.arange(1)}},
        "phalp": {name: {"time": 0, "tid": [1], "smpl": [smpl]}},
        "phalp's track": {"1.jpg": {"time": 0, "tid": [name], "smpl": [smpl]}},
    }[layout]
    with refused("a.pkl: (a person|a frame|.*'tid') is"):
        load_predictions(put(tmp_path / "a.pkl", pickle.dumps(content, 4)))


@pytest.mark.parametrize("shape", [(0, 17, 3), (5, 0, 3), (0, 5, 17, 3)])
def test_arrays_of_nobody_are_one_line(shape, tmp_path):
    np.savez(tmp_path / "a.npz", keypoints=np.zeros(shape))
    refuses("'keypoints' is an empty array", read_keypoints, tmp_path / "a.npz")


@pytest.mark.parametrize("reading", [{"least_score": float("nan")}, {"first_frame": 7}, {"image_size": (0, 480)}])
def test_a_reading_that_cannot_be_meant_is_one_line(reading, tmp_path):
    with refused(f"{next(iter(reading))}.* [Ee]xpected"):
        read_keypoints(put(tmp_path / "a.json", detections()), Reading(**reading))
