"""`kinemesh prepare`: a motion folder from the command line; every fault is one line and status 2."""

import numpy as np
import pytest

from kinemesh.body.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.demo.splits import StandIn
from kinemesh.motion.recorded import open_motions
from kinemesh.program.console import main
from tests.prepare.conftest import Skeleton, bvh_file


@pytest.fixture
def call(body_folder, tmp_path, capsys):
    """Runs the command on tmp_path/raw: (status, standard output, standard error)."""

    def _call(source: str, *flags: str):
        places = ("--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out"), "--data_root", str(body_folder))
        status = main(["prepare", source, *places, *flags])
        return status, *capsys.readouterr()

    return _call


@pytest.fixture
def bvh(tmp_path):
    """Somebody who nods, in a skeleton with names that nobody knows."""
    joints = StandIn().rest_joints_m
    skeleton = Skeleton(tuple(f"b{n}" for n in range(24)), SMPL_PARENTS, joints - joints[list(SMPL_PARENTS)])
    local = np.tile(np.eye(3), (3, 24, 1, 1))
    local[1:, 12] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    (tmp_path / "raw").mkdir()
    return bvh_file(tmp_path / "raw/nod.bvh", skeleton, local, np.tile(joints[0], (3, 1)))


def test_a_folder_of_bvh_with_names_that_are_told(call, bvh, tmp_path):
    names = tmp_path / "names.yaml"
    names.write_text("".join(f"{joint}: b{place}\n" for place, joint in enumerate(SMPL_JOINT_NAMES)))
    status, out, err = call("bvh", "--names", str(names), "--licence", "CC0", "--dry_run")
    assert (status, err) == (0, "") and not (tmp_path / "out").exists()
    status, out, err = call("bvh", "--names", str(names), "--licence", "CC0")
    assert (status, err) == (0, "")
    assert "nobody goes faster than" in out and "look at" in out
    assert "1 files read: 1 sequences, 2 frames" in out and "1 sequences: first frames in the rest pose dropped" in out
    motions = open_motions(tmp_path / "out")
    assert motions.provenance["licence"] == "CC0" and motions[0].name == "raw/nod"
    assert np.linalg.norm(motions[0].poses[0, 36:39]) == pytest.approx(np.arctan2(0.6, 0.8), abs=1e-5)
    status, _, err = call("bvh", "--names", str(names))
    assert status == 2 and "is there already" in err


@pytest.mark.parametrize(
    ("source", "flags", "message"),
    [
        ("bvh", (), "error: none of 1 files is a motion: "),
        ("bvh", ("--names", "none.yaml"), "error: none.yaml not found"),
        ("bvh", ("--names", "{raw}/nod.bvh"), "error: "),
        ("bvh", ("--betas", "ignore"), "error: --betas ignore: bvh files hold no betas"),
        ("amass", ("--unit", "cm"), "error: --names and --unit are for bvh"),
        ("amass", (), "nothing to read in it. Expected AMASS's folders"),
        ("fbx", (), "invalid choice: 'fbx'"),
        ("bvh", ("--fps", "30"), "unrecognized arguments: --fps 30"),
    ],
)
def test_faults_are_one_line(source, flags, message, call, bvh, tmp_path):
    status, _, err = call(source, *(flag.format(raw=tmp_path / "raw") for flag in flags))
    assert status == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_of_joints_that_smpl_has_not_are_told(call, bvh, tmp_path):
    path = tmp_path / "names.yaml"
    path.write_text("left_thumb: b3\n")
    status, _, err = call("bvh", "--names", str(path))
    assert status == 2 and "no joint 'left_thumb' in SMPL. Expected one of pelvis, left_hip" in err
