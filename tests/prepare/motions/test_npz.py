"""Files of SMPL parameters: every layout ends as the same joints, in a world with y up."""

import numpy as np
import pytest
import torch

from kinemesh.export.scene import Footage
from kinemesh.export.write import OutputChoices, write_outputs
from kinemesh.prepare.motions.npz import read_amass, read_smpl_npz
from kinemesh.prepare.motions.sequences import Choices, NotAMotion
from kinemesh.structures import Timeline, Track, VideoCamera
from tests.prepare.conftest import BETAS, FEMALE_SHAPE, FPS, FRAME_COUNT, Y_TO_Z, joints_of
from tests.refusals import refused, refuses

EXACT_M = 1e-4


@pytest.fixture(scope="module")
def rest(body):
    return body.rest_joints_m(BETAS)


def smpl_h(truth, **changes) -> dict:
    """As the SMPL+H G release has it: `<subject>/<name>_poses.npz` (Mahmood et al., 2019; amass.is.tue.mpg.de)."""
    rng = np.random.default_rng(0)
    poses = np.concatenate([truth.poses[:, :66], rng.normal(0, 0.3, (FRAME_COUNT, 90))], axis=1)
    betas = np.concatenate([BETAS, rng.normal(0, 1, 6)])
    content = {"poses": poses, "trans": truth.root_m, "betas": betas, "dmpls": np.zeros((FRAME_COUNT, 8))}
    return content | {"gender": np.array(b"neutral"), "mocap_framerate": np.array(FPS)} | changes


def smpl_x(truth, **changes) -> dict:
    """As the SMPL-X release has it: `<subject>/<name>_stageii.npz`, with the parts of `poses` by themselves too."""
    rng = np.random.default_rng(0)
    poses = np.concatenate([truth.poses[:, :66], rng.normal(0, 0.1, (FRAME_COUNT, 99))], axis=1)
    content = {"poses": poses, "trans": truth.root_m, "betas": rng.normal(0, 1, 16), "num_betas": np.array(16)}
    content |= {"root_orient": poses[:, :3], "pose_body": poses[:, 3:66], "surface_model_type": np.array("smplx")}
    return content | {"gender": np.array("female"), "mocap_frame_rate": np.array(FPS)} | changes


def read_one(read, path, content, bodies, name="AMASS/CMU/01/01_01_poses", **choices):
    np.savez(path, **content)
    (sequence,) = read(path, name, bodies, Choices(**choices))
    return sequence


def error_m(sequence, body, truth, rest) -> float:
    return float(np.linalg.norm(joints_of(sequence, body) - truth.joints_m(rest), axis=2).max())


def test_amass_smpl_h_keeps_every_joint(truth, body, bodies, rest, tmp_path):
    sequence = read_one(read_amass, tmp_path / "a.npz", smpl_h(truth.turned(Y_TO_Z, rest)), bodies)
    assert error_m(sequence, body, truth, rest) < EXACT_M
    assert (sequence.subject, sequence.split, sequence.fps) == ("CMU/01", "train", FPS)
    assert {"SMPL+H", "hands dropped", "betas 11 to 16 dropped", "z up, turned"} == {*sequence.notes}
    np.testing.assert_array_equal(sequence.betas, BETAS)


def test_a_gendered_shape_is_refitted(truth, body, bodies, rest, tmp_path):
    female = bodies.of("female")
    betas = BETAS - FEMALE_SHAPE  # so that the neutral body of BETAS is the same person
    content = smpl_h(truth.turned(Y_TO_Z, rest), gender=np.array("female"))
    content["betas"] = np.concatenate([betas, np.zeros(6)])
    # The same path of the pelvis, for a body whose pelvis is elsewhere in its own axes.
    content["trans"] = content["trans"] + rest[0] - female.rest_joints_m(betas)[0]
    path = tmp_path / "a.npz"
    sequence = read_one(read_amass, path, content, bodies)
    assert error_m(sequence, body, truth, rest) < EXACT_M
    np.testing.assert_allclose(sequence.betas, BETAS, atol=1e-6)
    assert "betas of a female body refitted to the neutral body" in sequence.notes
    for choice, shape in (("ignore", betas), ("mean", np.zeros(10))):
        np.testing.assert_array_equal(read_one(read_amass, path, content, bodies, betas=choice).betas, shape)
    content["gender"] = np.array("male")
    refuses(r"SMPL_MALE.pkl not found.*--betas ignore or --betas mean", read_one, read_amass, path, content, bodies)


@pytest.mark.parametrize("has_whole", [True, False])
def test_amass_smpl_x_keeps_the_pose_and_takes_the_mean_shape(has_whole, truth, body, bodies, tmp_path):
    rest = body.joints_m
    content = smpl_x(truth.turned(Y_TO_Z, rest))
    if not has_whole:
        del content["poses"]
    sequence = read_one(read_amass, tmp_path / "a.npz", content, bodies, "AMASS/HDM05/bk/a_stageii")
    assert error_m(sequence, body, truth, rest) < EXACT_M
    assert {"SMPL-X", "SMPL-X's betas are not SMPL's: mean shape", "hands dropped"} < {*sequence.notes}
    assert sequence.split == "val" and sequence.gender == "female"


@pytest.mark.parametrize(
    ("name", "subject", "split"),
    [
        ("raw/MPI_HDM05/bk/a", "MPI_HDM05/bk", "val"),
        ("raw/HDM05/bk/a", "HDM05/bk", "val"),
        ("raw/smplx/MoSh/50002/a", "MoSh/50002", "val"),
        ("Transitions_mocap/mazen/a", "Transitions_mocap/mazen", "test"),
        ("raw/SSM/s/a", "SSM/s", "test"),
        ("raw/BioMotionLab_NTroje/rub001/a", "BioMotionLab_NTroje/rub001", "train"),
        ("raw/BMLrub/rub001/a", "BMLrub/rub001", "train"),
        ("raw/MOYO/a", "raw/MOYO", ""),
    ],
)
def test_published_splits_by_old_and_new_folder_names(name, subject, split, truth, bodies, tmp_path):
    sequence = read_one(read_amass, tmp_path / "a.npz", smpl_h(truth), bodies, name)
    assert (sequence.subject, sequence.split) == (subject, split)
    assert ("of no published split" in sequence.notes) == (not split)


@pytest.mark.parametrize("name", ["shape", "neutral_stagei", "calibration_01", "nothing"])
def test_what_is_beside_motions_is_told_from_them(name, bodies, tmp_path):
    path = tmp_path / f"{name}.npz"
    np.savez(path, betas=np.zeros(16), gender=np.array("male"))
    with pytest.raises(NotAMotion):
        list(read_amass(path, "AMASS/CMU/01/x", bodies, Choices()))


@pytest.mark.parametrize("axes", ["y", "z"])
@pytest.mark.parametrize("rate", ["fps", "mocap_framerate"])
def test_anybodys_smpl(axes, rate, truth, body, bodies, rest, tmp_path):
    """Which way is up is seen from the bodies."""
    there = truth.turned(Y_TO_Z, rest) if axes == "z" else truth
    poses = there.poses.astype("f4").reshape(FRAME_COUNT, 24, 3) if axes == "z" else there.poses
    content = {"poses": poses, "trans": there.root_m, "betas": np.tile(BETAS, (FRAME_COUNT, 1)), rate: FPS}
    sequence = read_one(read_smpl_npz, tmp_path / "a.npz", content, bodies)
    assert error_m(sequence, body, truth, rest) < EXACT_M and sequence.fps == FPS


def test_what_this_program_infers(truth, body, bodies, rest, tmp_path):
    """Camera axes are turned, and a gap makes two sequences; AMASS's files, with z up, hold the pose there."""
    seen = truth.turned(np.diag([1.0, -1.0, -1.0]), rest)
    frames = np.r_[:30, 50:FRAME_COUNT]
    ones = np.ones(len(frames), "f4")
    arrays = (seen.poses[frames].astype("f4"), BETAS.astype("f4"), seen.root_m[frames].astype("f4"))
    track = Track("7", frames, *arrays, ones, ones < 0)
    camera = VideoCamera(1000.0, (500.0, 500.0), (1000, 1000))
    footage = Footage(camera, Timeline.of_constant_rate(FPS, FRAME_COUNT))
    choices = OutputChoices(("npz", "amass"))
    write_outputs([track], tmp_path, footage, choices, bodies.assets, torch.device("cpu"))
    first, second = read_smpl_npz(tmp_path / "7.npz", "walk/7", bodies, Choices())
    assert (first.name, len(first.poses), second.name, len(second.poses)) == ("walk/7_1", 30, "walk/7_2", 40)
    expected = truth.joints_m(rest)
    assert np.linalg.norm(joints_of(first, body) - expected[:30], axis=2).max() < EXACT_M
    assert np.linalg.norm(joints_of(second, body) - expected[50:], axis=2).max() < EXACT_M
    assert "cut where frames are missing" in first.notes and any("camera axes" in note for note in first.notes)
    (whole,) = read_amass(tmp_path / "7_amass.npz", "walk/7", bodies, Choices())
    held = expected[np.r_[:30, [29] * 20, 50:FRAME_COUNT]]
    assert np.linalg.norm(joints_of(whole, body) - held, axis=2).max() < EXACT_M and whole.fps == FPS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.full((FRAME_COUNT, 156), np.nan)}, "'poses' holds NaN or infinity"),
        ({"poses": np.zeros((FRAME_COUNT, 100))}, r"'poses' \(90, 100\): expected \(F, 156\)"),
        ({"poses": np.array([{}], dtype=object)}, "holds object|not read|refused"),
        ({"poses": np.zeros(3), "root_orient": np.zeros(3)}, r"'poses' \(3,\): expected"),
        ({"trans": np.zeros((3, 3))}, "'trans' \\(3, 3\\)"),
        ({"trans": np.full((FRAME_COUNT, 3), 1e6)}, "expected metres and radians"),
        ({"betas": np.zeros(3)}, "no shape of a body"),
        ({"gender": np.array("robot")}, "'gender' is 'robot'"),
        ({"mocap_framerate": np.array([30.0, 60.0])}, "Expected one number"),
        ({"mocap_framerate": np.array(0.0)}, "a rate of 0.0 frames a second"),
    ],
)
def test_hostile_values_are_one_line(changes, message, truth, bodies, tmp_path):
    refuses(message, read_one, read_amass, tmp_path / "a.npz", smpl_h(truth, **changes), bodies)


def test_who_lies_does_not_say_which_way_is_up(body, bodies, tmp_path):
    poses = np.zeros((4, 72))
    poses[:, 2] = np.pi / 2
    content = {"poses": poses, "trans": np.zeros((4, 3)), "betas": BETAS, "fps": 30}
    refuses("Say --up y or --up z", read_one, read_smpl_npz, tmp_path / "a.npz", content, bodies)
    assert len(read_one(read_smpl_npz, tmp_path / "a.npz", content, bodies, up="y").poses) == 4
    with refused("SMPL\\+H: prepare amass"):
        read_one(read_smpl_npz, tmp_path / "a.npz", content | {"poses": np.zeros((4, 156))}, bodies)
