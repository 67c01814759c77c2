"""A folder of arrays: what is written in pieces is there whole or not at all, and only what the manifest says is read."""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from kinemesh.files.array_folder.reading import is_array_folder, open_folder, verify
from kinemesh.files.array_folder.writing import TEXT, Column, unfinished_path, writing_folder
from tests.refusals import refused, refuses
from tests.runs import run_python

ROWS = np.arange(60, dtype="<f4").reshape(10, 3, 2)
COLUMNS = {
    "train.joint_2d": Column(np.dtype("<f4"), (3, 2)),
    "train.size": Column(np.dtype("<i8")),
    "none": Column(np.dtype("?"), (0,)),
    "names": TEXT,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A finished folder, written in two pieces."""
    path = tmp_path / "out" / "data"
    with writing_folder(path, "dataset", COLUMNS, provenance={"detector": "none"}) as writer:
        writer.append({"train.joint_2d": ROWS[:7], "train.size": np.arange(2)})
        writer.append_text("names", ["walk", "läuft", ""])
        writer.append({"train.joint_2d": ROWS[7:]})
        writer.append_text("names", ["\udcff", "end"])
        writer.provenance["sources"] = 2
    return path


def test_arrays_text_and_provenance_come_back_read_only_and_unloaded(folder):
    opened = open_folder(folder, what="a dataset", kind="dataset")
    assert (opened.kind, opened.provenance) == ("dataset", {"detector": "none", "sources": 2})
    np.testing.assert_array_equal(opened.arrays["train.joint_2d"], ROWS)
    np.testing.assert_array_equal(opened.arrays["train.size"], [0, 1])
    assert opened.arrays["none"].shape == (0, 0)
    assert opened.text("names") == ["walk", "läuft", "", "\udcff", "end"]
    assert isinstance(opened.arrays["train.joint_2d"].base, np.memmap)
    assert not any(array.flags.writeable for array in opened.arrays.values())
    assert sum(verify(opened)) == sum(array.nbytes for array in opened.arrays.values())
    assert sorted(os.listdir(folder.parent)) == ["data"]


def test_the_files_are_what_numpy_and_the_manifest_say(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(os.listdir(folder)) == sorted([*(f"{name}.npy" for name in manifest["arrays"]), "manifest.json"])
    for name, entry in manifest["arrays"].items():
        array = np.load(folder / f"{name}.npy")
        assert (array.dtype.str, list(array.shape), array.nbytes) == (entry["dtype"], entry["shape"], entry["bytes"])
        assert hashlib.sha256(array.tobytes()).hexdigest() == entry["sha256"]


def change(**values):
    """Changes the manifest's entry of `train.joint_2d`."""

    def apply(folder):
        content = json.loads((folder / "manifest.json").read_text())
        content["arrays"]["train.joint_2d"] |= values
        (folder / "manifest.json").write_text(json.dumps(content))

    return apply


def rename(name):
    def apply(folder):
        text = (folder / "manifest.json").read_text().replace('"train.joint_2d"', json.dumps(name))
        (folder / "manifest.json").write_text(text)

    return apply


def put(array):
    return lambda folder: np.save(folder / "train.joint_2d.npy", array, allow_pickle=True)


def link(target):
    def apply(folder):
        (folder / "train.joint_2d.npy").rename(folder.parent / "moved.npy")
        (folder / "train.joint_2d.npy").symlink_to(target)

    return apply


def write(data):
    return lambda folder: (folder / "manifest.json").write_bytes(data)


FAULTS = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json: cannot be read"),
    "linked manifest": (
        lambda folder: (
            (folder / "manifest.json").rename(folder / "other.json"),
            (folder / "manifest.json").symlink_to("other.json"),
        ),
        "manifest.json: cannot be read",
    ),
    "no JSON": (write(b"{"), "is not JSON"),
    "too deep": (write(b"[" * 100_000), "is not JSON"),
    "huge": (write(b" " * (1 << 22) + b"{}"), "has more than 4194304 bytes"),
    "another format": (write(b'{"format": "other"}'), "is not the manifest of"),
    "a later version": (write(b'{"format": "kinemesh arrays", "version": 2}'), "version 2, expected 1"),
    "leaves the folder": (rename("../moved"), "has no name for a file"),
    "absolute": (rename("/etc/passwd"), "has no name for a file"),
    "a hidden file": (rename(".hidden"), "has no name for a file"),
    "a link": (link("../moved.npy"), "train.joint_2d.npy: is a link"),
    "no array": (lambda folder: (folder / "train.joint_2d.npy").unlink(), "train.joint_2d.npy: cannot be read"),
    "a pipe": (
        lambda folder: (
            (folder / "train.joint_2d.npy").unlink(),
            os.mkfifo(folder / "train.joint_2d.npy"),
        ),
        "not a regular file",
    ),
    "objects": (put(np.array([[{}]], dtype=object)), "is object of shape"),
    "object type": (change(dtype="|O"), r"is of type '\|O'"),
    "a record type": (change(dtype="f4,f4"), "is of type 'f4,f4'"),
    "another type": (put(ROWS.astype("f8")), "is float64 of shape .* Expected float32"),
    "another shape": (put(ROWS[:4]), r"is float32 of shape \(4, 3, 2\). Expected"),
    "by columns": (put(np.asfortranarray(ROWS)), "by columns"),
    "negative": (change(shape=[-10, -3, 2]), "has shape"),
    "more than there is": (change(shape=[10**15, 3, 2], bytes=24 * 10**15), "of shape"),
    "wrong bytes": (change(bytes=1), "has 1 bytes. Expected 240"),
    "cut short": (lambda folder: os.truncate(folder / "train.joint_2d.npy", 200), "has 200 bytes"),
    "not npy": (lambda folder: (folder / "train.joint_2d.npy").write_bytes(b"PK" * 99), "is no .npy file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_as_the_manifest_says_is_refused_in_one_line(fault, folder):
    damage, message = FAULTS[fault]
    damage(folder)
    refuses(message, open_folder, folder, what="a dataset")


def test_a_changed_number_opens_but_does_not_verify_and_damaged_text_is_named(folder):
    with (folder / "train.joint_2d.npy").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1")
    with refused(r"train.joint_2d.npy: its SHA-256 is not the manifest's"):
        list(verify(open_folder(folder, what="a dataset")))
    ends = np.load(folder / "names.ends.npy")
    np.save(folder / "names.ends.npy", ends[::-1].copy())
    refuses(r"names.ends.npy: does not divide the bytes", open_folder(folder, what="a dataset").text, "names")


def test_another_kind_and_what_is_there_already_are_refused(folder):
    with refused(r"holds a dataset, expected a motion \(kind 'motion'\)"):
        open_folder(folder, what="a motion", kind="motion")
    with refused("is there already"), writing_folder(folder, "dataset", COLUMNS):
        pass


def test_a_fault_leaves_nothing_and_a_full_disk_is_said_first(tmp_path):
    path = tmp_path / "data"
    with pytest.raises(RuntimeError, match="bug"), writing_folder(path, "motion", COLUMNS):
        raise RuntimeError("bug")
    with (
        refused(r"GB are needed, .* GB are free"),
        writing_folder(path, "motion", COLUMNS, needed_bytes=1 << 60),
    ):
        raise AssertionError("not reached")
    assert os.listdir(tmp_path) == []


def test_rows_of_another_type_or_shape_are_a_bug(tmp_path):
    for rows in (ROWS.astype("f8"), ROWS[:, :2]):
        with (
            pytest.raises(ValueError, match=r"expected float32 of rows \(3, 2\)"),
            writing_folder(tmp_path / "data", "motion", COLUMNS) as writer,
        ):
            writer.append({"train.joint_2d": rows})


# Writes ten pieces, and is killed with half of the seventh on the disk.
KILLED = """
import os, sys
import numpy as np
from pathlib import Path
from kinemesh.files.array_folder.writing import TEXT, Column, writing_folder

path, work, kill_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
columns = {"rows": Column(np.dtype("<f4"), (1000,)), "names": TEXT}
with writing_folder(path, "motion", columns, work=work) as writer:
    first = writer.place or 0
    print(first)
    for number in range(first, 10):
        writer.append({"rows": np.full((3, 1000), number, "<f4")})
        writer.append_text("names", [f"n{number}"])
        if number == kill_at:
            writer._parts["rows"].flush()
            os.kill(os.getpid(), 9)
        if number % 2:
            writer.commit(number + 1)
"""


def test_killed_work_is_seen_as_unfinished_and_goes_on_to_the_same_bytes(tmp_path):
    def call(path, work, kill_at=-1):
        return run_python("-c", KILLED, path, work, str(kill_at), PYTHONPATH=os.pathsep.join(sys.path))

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert call(whole, "a").stdout == "0\n"
    assert call(killed, "a", kill_at=7).returncode == -9
    assert not killed.exists() and unfinished_path(killed).is_dir() and is_array_folder(killed)
    for path in (killed, unfinished_path(killed)):
        refuses(None, open_folder, path, what="motion")
    finished = call(killed, "a")
    assert finished.stdout == "6\n", finished.stderr
    written = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (whole, killed))
    assert next(written) == next(written)
    assert not unfinished_path(killed).exists()
    other = tmp_path / "other"
    assert call(other, "a", kill_at=7).returncode == -9
    assert call(other, "b").stdout == "0\n"  # other work begins anew
    assert open_folder(other, what="motion").text("names") == [f"n{number}" for number in range(10)]


def test_two_writers_of_one_folder_do_not_meet(tmp_path):
    path = tmp_path / "data"
    with writing_folder(path, "motion", COLUMNS) as writer:
        writer.append({"train.size": np.arange(3)})
        with refused("another process writes here"), writing_folder(path, "motion", COLUMNS):
            pass
    assert len(open_folder(path, what="motion").arrays["train.size"]) == 3
