"""`kinemesh convert` and `kinemesh check`: pickle to folder and back to the same bytes of numbers; faults by name."""

import json
import pickle

import numpy as np
import pytest

from kinemesh.files.pickles import load_pickle
from kinemesh.program.console import main
from tests.same import assert_same


@pytest.fixture
def program():
    return main


@pytest.fixture
def folder(succeeds, demo_folder, tmp_path):
    """The small 3DPW-like dataset as a folder."""
    output = succeeds("convert", demo_folder / "mesh_det_pw3d.pkl", tmp_path / "folder", "--detector", "made up")
    assert "4,800 train frames of 7 keys" in output
    return tmp_path / "folder"


def test_there_and_back_is_the_same_dict(succeeds, folder, demo_folder, tmp_path):
    provenance = json.loads((folder / "manifest.json").read_text())["provenance"]
    assert provenance["detector"] == "made up" and provenance["betas"] == "unknown"
    assert provenance["sources"][0]["file"] == "mesh_det_pw3d.pkl"
    succeeds("convert", folder, tmp_path / "back.pkl")
    # The same dict makes the same pickle, once the same objects are shared in it.
    assert_same(*(load_pickle(path, what="x") for path in (tmp_path / "back.pkl", demo_folder / "mesh_det_pw3d.pkl")))


def test_what_is_there_or_has_changed_is_refused(fails, folder, demo_folder, tmp_path):
    assert "is there already" in fails("convert", demo_folder / "mesh_det_coco.pkl", folder)
    (tmp_path / "old.pkl").write_bytes(b"old")
    assert "is there already" in fails("convert", folder, tmp_path / "old.pkl")
    path = folder / "train.smpl_pose.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for command in (("convert", folder, tmp_path / "new.pkl"), ("check", folder)):
        assert "its SHA-256 is not the manifest's" in fails(*command)
    assert not (tmp_path / "new.pkl").exists()
    fails("check", tmp_path / "none.pkl")


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_sound_file_checks_by_itself(is_folder, succeeds, folder, demo_folder):
    path = folder if is_folder else demo_folder / "mesh_det_pw3d.pkl"
    output = succeeds("check", path, "--data_root", demo_folder)
    assert "this file can be used" in output and "off the projected ground truth" in output.replace("\n", "")
    assert ("hashes" in output) == is_folder
    assert output.count("warning") == 2 * is_folder  # betas and body_model were not said
    assert "no body model there" in succeeds("check", path, "--data_root", "nowhere", "--layout", "pw3d")


def test_a_fault_is_one_line_and_a_doubt_a_warning(succeeds, fails, demo_folder, tmp_path):
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    path = tmp_path / "mine.pkl"
    content["test"]["smpl_pose"] = content["train"]["smpl_pose"][: len(content["test"]["smpl_pose"])]
    content["test"]["smpl_shape"] = content["train"]["smpl_shape"][: len(content["test"]["smpl_pose"])]
    path.write_bytes(pickle.dumps(content))
    assert "warning  mine splits" in succeeds("check", path, "--data_root", demo_folder)
    content["test"]["smpl_pose"] = content["test"]["smpl_pose"] * 57.3
    path.write_bytes(pickle.dumps(content))
    error = fails("check", path)
    assert "test 'smpl_pose' row" in error and "radians, not degrees" in error
    path.write_bytes(pickle.dumps({}))
    assert "has neither 'train' nor 'test'" in fails("check", path)


def test_another_kind_of_folder_is_named(fails, folder, tmp_path):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"kind": "recipe"}))
    assert "holds a recipe. Expected one of dataset" in fails("check", folder)


def test_a_motion_folder_checks_by_itself(succeeds, fails, write_motions):
    path, _ = write_motions()
    output = succeeds("check", path)
    assert "3 sequences, 20 frames" in output and "SMPL neutral" in output
    with (path / "pose.npy").open("r+b") as file:
        file.seek(-4, 2)
        file.write(np.float32(7).tobytes())
    assert "pose.npy: its SHA-256 is not the manifest's" in fails("check", path)


def test_motion_that_is_not_finite_is_one_line(fails, write_motions):
    path, _ = write_motions(trans=np.full((20, 3), np.inf, "f4"))
    assert "'trans_m' holds NaN or infinity" in fails("check", path)
