import json
import os
import stat

import numpy as np
import pytest

from kinemesh.files.writing import json_text, write_atomically, write_text_atomically
from tests.refusals import refused, refuses


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    write_text_atomically(path, "one")
    write_text_atomically(path, "two")
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_fault_while_writing_leaves_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_full_disk_is_a_clear_error(tmp_path):
    def fail(file):
        raise OSError(28, "No space left on device")

    refuses(r"file.bin: cannot be written \(No space left on device\)", write_atomically, tmp_path / "file.bin", fail)
    assert os.listdir(tmp_path) == []


def test_what_the_disk_refuses_at_the_end_leaves_the_old_content(tmp_path, monkeypatch):
    """Space is often refused only when it is flushed."""
    path = tmp_path / "file.txt"
    path.write_text("old")

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    refuses(r"file.txt: cannot be written \(No space left on device\)", write_text_atomically, path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(source, target):
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_text_atomically(tmp_path / "file.txt", "new")
    assert calls == ["file", "rename", "folder"]


def test_permissions_are_those_of_an_ordinary_file_and_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    refuses("cannot be written", write_text_atomically, tmp_path / "file" / "below.txt", "x")
    (tmp_path / "plain").write_text("")
    write_text_atomically(tmp_path / "atomic", "")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_json_is_strict():
    """What every reader takes: there is no nan in JSON."""
    content = {"a": float("nan"), "b": [1.5, float("inf"), {"c": np.float64("-inf")}], "d": (np.float64(2), None, 3)}
    text = json_text(content)

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {"a": None, "b": [1.5, None, {"c": None}], "d": [2.0, None, 3]}
    assert json_text({"a": 0.1}, indent=2) == '{\n  "a": 0.1\n}'


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_not_replaced(make, tmp_path):
    make(tmp_path / "metrics.json")
    before = os.lstat(tmp_path / "metrics.json").st_mode
    with refused("metrics.json: cannot be written, it is a (folder|device or pipe)"):
        write_text_atomically(tmp_path / "metrics.json", "x")
    assert os.lstat(tmp_path / "metrics.json").st_mode == before and len(os.listdir(tmp_path)) == 1
