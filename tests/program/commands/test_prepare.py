"""`kinemesh prepare`: a motion folder from the command line; every fault is one line and status 2."""

import numpy as np
import pytest

from kinemesh.body.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.demo.splits import StandIn
from kinemesh.motion.recorded import open_motions
from kinemesh.program.console import main
from tests.prepare.conftest import Skeleton, bvh_file


@pytest.fixture
def program(body_folder, tmp_path):
    """`kinemesh prepare` from tmp_path/raw to tmp_path/out."""
    places = ("--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out"), "--data_root", str(body_folder))
    return lambda arguments: main(["prepare", *arguments, *places])


@pytest.fixture
def bvh(tmp_path):
    """Somebody who nods, in a skeleton with names that nobody knows."""
    joints = StandIn().rest_joints_m
    skeleton = Skeleton(tuple(f"b{n}" for n in range(24)), SMPL_PARENTS, joints - joints[list(SMPL_PARENTS)])
    local = np.tile(np.eye(3), (3, 24, 1, 1))
    local[1:, 12] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    (tmp_path / "raw").mkdir()
    return bvh_file(tmp_path / "raw/nod.bvh", skeleton, local, np.tile(joints[0], (3, 1)))


def test_a_folder_of_bvh_with_names_that_are_told(call, fails, bvh, tmp_path):
    names = tmp_path / "names.yaml"
    names.write_text("".join(f"{joint}: b{place}\n" for place, joint in enumerate(SMPL_JOINT_NAMES)))
    asked = ("bvh", "--names", names, "--licence", "CC0")
    status, _, err = call(*asked, "--dry_run")
    assert (status, err) == (0, "") and not (tmp_path / "out").exists()
    status, out, err = call(*asked)
    assert (status, err) == (0, "")
    assert "nobody goes faster than" in out and "look at" in out
    assert "1 files read: 1 sequences, 2 frames" in out and "1 sequences: first frames in the rest pose dropped" in out
    motions = open_motions(tmp_path / "out")
    assert motions.provenance["licence"] == "CC0" and motions[0].name == "raw/nod"
    assert np.linalg.norm(motions[0].poses[0, 36:39]) == pytest.approx(np.arctan2(0.6, 0.8), abs=1e-5)
    assert "is there already" in fails(*asked)


@pytest.mark.parametrize(
    ("source", "flags", "message"),
    [
        ("bvh", (), "error: none of 1 files is a motion: "),
        ("bvh", ("--names", "none.yaml"), "error: none.yaml not found"),
        ("bvh", ("--names", "raw/nod.bvh"), "error: "),
        ("bvh", ("--names", "thumb.yaml"), "no joint 'left_thumb' in SMPL. Expected one of pelvis, left_hip"),
        ("bvh", ("--betas", "ignore"), "error: --betas ignore: bvh files hold no betas"),
        ("amass", ("--unit", "cm"), "error: --names and --unit are for bvh"),
        ("amass", (), "nothing to read in it. Expected AMASS's folders"),
        ("fbx", (), "invalid choice: 'fbx'"),
        ("bvh", ("--fps", "30"), "unrecognized arguments: --fps 30"),
    ],
)
def test_faults_are_one_line(source, flags, message, fails, bvh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thumb.yaml").write_text("left_thumb: b3\n")
    assert message in fails(source, *flags)
    assert not (tmp_path / "out").exists()
