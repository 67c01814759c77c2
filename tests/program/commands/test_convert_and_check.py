"""`kinemesh convert` and `kinemesh check`: pickle to folder and back to the same bytes of numbers; faults by name."""

import json
import pickle
import shutil

import numpy as np
import pytest

from kinemesh.files.pickles import load_pickle
from kinemesh.program.console import main


@pytest.fixture
def run(capsys):
    """Runs a command: (status, standard output, standard error)."""

    def _run(*arguments) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _run


@pytest.fixture
def folder(run, demo_folder, tmp_path):
    """The small 3DPW-like dataset as a folder."""
    status, output, error = run(
        "convert", demo_folder / "mesh_det_pw3d.pkl", tmp_path / "folder", "--detector", "made up"
    )
    assert status == 0, error
    assert "4,800 train frames of 7 keys" in output
    return tmp_path / "folder"


def test_there_and_back_is_the_same_dict(run, folder, demo_folder, tmp_path):
    provenance = json.loads((folder / "manifest.json").read_text())["provenance"]
    assert provenance["detector"] == "made up" and provenance["betas"] == "unknown"
    assert provenance["sources"][0]["file"] == "mesh_det_pw3d.pkl"
    status, _, error = run("convert", folder, tmp_path / "back.pkl")
    assert status == 0, error
    # The same dict makes the same pickle, once the same objects are shared in it.
    back, before = (load_pickle(path, what="x") for path in (tmp_path / "back.pkl", demo_folder / "mesh_det_pw3d.pkl"))
    for split in before:
        assert list(back[split]) == list(before[split])
        for key, value in before[split].items():
            if isinstance(value, np.ndarray):
                assert back[split][key].tobytes() == value.tobytes() and back[split][key].dtype == value.dtype
            else:
                assert back[split][key] == value and type(back[split][key][0]) is type(value[0])


def test_what_is_there_or_has_changed_is_refused(run, folder, demo_folder, tmp_path):
    assert "is there already" in run("convert", demo_folder / "mesh_det_coco.pkl", folder)[2]
    (tmp_path / "old.pkl").write_bytes(b"old")
    assert "is there already" in run("convert", folder, tmp_path / "old.pkl")[2]
    path = folder / "train.smpl_pose.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for command in (("convert", folder, tmp_path / "new.pkl"), ("check", folder)):
        status, _, error = run(*command)
        assert status == 2 and "its SHA-256 is not the manifest's" in error
    assert not (tmp_path / "new.pkl").exists()
    assert run("check", tmp_path / "none.pkl")[0] == 2


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_sound_file_checks_by_itself(is_folder, run, folder, demo_folder):
    path = folder if is_folder else demo_folder / "mesh_det_pw3d.pkl"
    status, output, error = run("check", path, "--data_root", demo_folder)
    assert status == 0, error
    assert "this file can be used" in output and "off the projected ground truth" in output.replace("\n", "")
    assert ("hashes" in output) == is_folder
    assert output.count("warning") == 2 * is_folder  # betas and body_model were not said
    status, output, _ = run("check", path, "--data_root", "nowhere", "--layout", "pw3d")
    assert status == 0 and "no body model there" in output


def test_a_fault_is_one_line_and_a_doubt_a_warning(run, demo_folder, tmp_path):
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    path = tmp_path / "mine.pkl"
    content["test"]["smpl_pose"] = content["train"]["smpl_pose"][: len(content["test"]["smpl_pose"])]
    content["test"]["smpl_shape"] = content["train"]["smpl_shape"][: len(content["test"]["smpl_pose"])]
    path.write_bytes(pickle.dumps(content))
    status, output, _ = run("check", path, "--data_root", demo_folder)
    assert status == 0 and "warning  mine splits" in output
    content["test"]["smpl_pose"] = content["test"]["smpl_pose"] * 57.3
    path.write_bytes(pickle.dumps(content))
    status, _, error = run("check", path)
    assert status == 2 and "test 'smpl_pose' row" in error and "radians, not degrees" in error
    path.write_bytes(pickle.dumps({}))
    assert "has neither 'train' nor 'test'" in run("check", path)[2]


def test_another_kind_of_folder_is_named(run, folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"kind": "recipe"}))
    status, _, error = run("check", other)
    assert status == 2 and "holds a recipe. Expected one of dataset" in error


def test_a_motion_folder_checks_by_itself(run, write_motions):
    path, _ = write_motions()
    status, output, error = run("check", path)
    assert (status, error) == (0, "") and "3 sequences, 20 frames" in output and "SMPL neutral" in output
    with (path / "pose.npy").open("r+b") as file:
        file.seek(-4, 2)
        file.write(np.float32(7).tobytes())
    status, _, error = run("check", path)
    assert status == 2 and "pose.npy: its SHA-256 is not the manifest's" in error


def test_motion_that_is_not_finite_is_one_line(run, write_motions):
    path, _ = write_motions(trans=np.full((20, 3), np.inf, "f4"))
    status, _, error = run("check", path)
    assert status == 2 and "'trans_m' holds NaN or infinity" in error and error.count("\n") == 1
