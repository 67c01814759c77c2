"""A motion folder of a source's files: what is in it, what was left out, and that stopped work goes on."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from kinemesh.body.params import turned
from kinemesh.errors import UserError
from kinemesh.files.array_folder import writing
from kinemesh.motion.recorded import open_motions
from kinemesh.prepare.motions import folder as folder_module
from kinemesh.prepare.motions.folder import prepare_motions
from kinemesh.prepare.motions.sequences import Choices
from tests.prepare.conftest import BETAS, FPS, FRAME_COUNT, Y_TO_Z, joints_of


@pytest.fixture
def raw(truth, body, tmp_path):
    """As AMASS is unpacked: two motions, one cut short while it was downloaded, a shape, and other files."""
    rest = body.rest_joints_m(BETAS)
    there = truth.turned(Y_TO_Z, rest)
    poses = np.concatenate([there.poses, np.zeros((FRAME_COUNT, 84))], axis=1)
    content = {"poses": poses, "trans": there.root_m, "betas": [*BETAS, *np.zeros(6)], "mocap_framerate": FPS}
    content["gender"] = "neutral"
    for name in ("CMU/01/01_01_poses", "SFU/0005/walk_poses", "CMU/02/02_01_poses"):
        path = tmp_path / "AMASS" / f"{name}.npz"
        path.parent.mkdir(parents=True)
        np.savez(path, **content)
    path.write_bytes(path.read_bytes()[:5000])
    np.savez(tmp_path / "AMASS/CMU/01/shape.npz", betas=np.zeros(16))
    (tmp_path / "AMASS/CMU/LICENSE.txt").write_text("")
    return tmp_path / "AMASS"


@pytest.fixture
def prepare(raw, bodies, tmp_path):
    def _prepare(out="out", **options):
        return prepare_motions("amass", raw, tmp_path / out, bodies.data_root, Choices(), **options)

    return _prepare


def test_a_folder_holds_the_motions_and_says_what_it_left_out(prepare, truth, body, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "kinemesh"):
        summary = prepare(licence="as AMASS has it")
    missing = next(line for line in caplog.messages if "not there, of what is published" in line)
    assert (
        "HumanEva (val)" in missing and "SSM_synced (test)" in missing and "CMU" not in missing and "SFU" not in missing
    )
    motions = open_motions(tmp_path / "out")
    assert [motion.name for motion in motions] == ["AMASS/CMU/01/01_01_poses", "AMASS/SFU/0005/walk_poses"]
    assert motions.texts["source"] == [f"{motion.name}.npz" for motion in motions]
    assert [(motion.subject, motion.split, motion.fps) for motion in motions] == [
        ("CMU/01", "train", FPS), ("SFU/0005", "val", FPS),
    ]  # fmt: skip
    expected = truth.joints_m(body.rest_joints_m(BETAS))
    for motion in motions:
        assert np.linalg.norm(joints_of(motion, body) - expected, axis=2).max() < 1e-4
    assert motions.provenance["up"] == "y" and motions.body_model == "stand-in, not SMPL"
    assert motions.provenance["licence"] == "as AMASS has it"
    said = motions.provenance["summary"]
    assert said["dropped"] == {"a shape or a calibration, no motion": 1} == dict(summary.dropped)
    assert said["unreadable"] == 1
    assert "02_01_poses.npz" in summary.told[0]
    with Image.open(tmp_path / "out/sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    # Two motions, each drawn from the front and from the side: blue bodies on white.
    is_body = (pixels[..., 2] - pixels[..., 0] > 30)[:, 270:]
    assert sheet.format == "PNG" and is_body[: len(is_body) // 2].sum() > 5000 < is_body[len(is_body) // 2 :].sum()


def test_a_dry_run_writes_nothing_and_finds_the_same(prepare, tmp_path):
    dry = prepare(is_dry=True)
    assert not list(tmp_path.glob("out*"))
    assert dry.state() == prepare().state()


def test_stopped_work_goes_on_to_the_same_folder(prepare, monkeypatch, tmp_path):
    prepare("whole")
    monkeypatch.setattr(writing, "_COMMITTED_EVERY_S", -1.0)
    read, seen = folder_module.SOURCES["amass"].read, []

    def stopping(path, *rest):
        seen.append(path.name)
        if path.name.startswith("walk") and seen.count(path.name) == 1:
            raise KeyboardInterrupt
        return read(path, *rest)

    monkeypatch.setitem(folder_module.SOURCES, "amass", folder_module.SOURCES["amass"]._replace(read=stopping))
    with pytest.raises(KeyboardInterrupt):
        prepare()
    assert not (tmp_path / "out").exists() and (tmp_path / "out.unfinished").is_dir()
    prepare()
    assert seen.count("01_01_poses.npz") == 1 and seen.count("walk_poses.npz") == 2
    whole, gone_on = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("whole", "out"))
    assert whole == gone_on
    assert not (tmp_path / "out.unfinished").exists()


def test_what_is_not_there_is_one_line(prepare, raw, bodies, tmp_path):
    with pytest.raises(UserError, match="no such folder. Expected AMASS's folders .amass.is.tue.mpg.de"):
        prepare_motions("amass", tmp_path / "none", tmp_path / "o", bodies.data_root, Choices())
    with pytest.raises(UserError, match="nothing to read in it. Expected BVH files"):
        prepare_motions("bvh", raw, tmp_path / "o", bodies.data_root, Choices())
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/CMU.tar.bz2").write_bytes(b"")
    with pytest.raises(UserError, match="only CMU.tar.bz2, which are to be unpacked"):
        prepare_motions("amass", tmp_path / "packed", tmp_path / "o", bodies.data_root, Choices())
    for path in raw.rglob("*_poses.npz"):
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UserError, match="none of 4 files is a motion: .*01_01_poses.npz"):
        prepare("o")
    assert not (tmp_path / "o").exists()


def test_a_body_that_is_missing_is_no_fault_of_the_files(raw, bodies, tmp_path):
    path = raw / "SFU/0005/walk_poses.npz"
    content = dict(np.load(path)) | {"gender": "male"}
    np.savez(path, **content)
    with pytest.raises(UserError, match=r"SMPL_MALE.pkl not found.*--betas ignore"):
        prepare_motions("amass", raw, tmp_path / "o", bodies.data_root, Choices())
    assert not list(tmp_path.glob("o*"))


def test_turned_bodies_turn_about_the_worlds_origin(truth, body):
    """With a pelvis that is not at the body's origin, as SMPL's is not."""
    rest = body.rest_joints_m(BETAS)
    poses, trans_m = turned(truth.poses, truth.root_m, Y_TO_Z, rest[0], rest[0])
    expected = truth.joints_m(rest) @ Y_TO_Z.T
    rotations = truth.turned(Y_TO_Z, rest)
    np.testing.assert_allclose(trans_m, rotations.root_m, atol=1e-12)
    np.testing.assert_allclose(rotations.joints_m(rest), expected, atol=1e-9)
    assert np.abs((truth.root_m @ Y_TO_Z.T) - trans_m).max() > 0.05 and poses.shape == truth.poses.shape
