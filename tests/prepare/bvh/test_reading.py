"""BVH files as SMPL motion: joints where they were, whatever names, units, axes and rest pose a file has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinemesh.body.chain import global_rotations
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import SIDES, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.export.bvh import bvh_text
from kinemesh.export.rig import Rig
from kinemesh.geometry.alignment import smallest_turn
from kinemesh.prepare.bvh.reading import read_motion
from kinemesh.prepare.bvh.skeleton import number
from kinemesh.prepare.motions.sequences import Choices, NotAMotion
from kinemesh.structures import Timeline, Track
from tests.prepare.conftest import BETAS, FPS, FRAME_COUNT, Y_TO_Z, Skeleton, bvh_file, joints_of
from tests.refusals import refuses

EXACT_M = 1e-4
MIXAMO = dict(zip(["hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand"],
                  ["UpLeg", "Leg", "Foot", "ToeBase", "Shoulder", "Arm", "ForeArm", "Hand", "HandMiddle1"], strict=True))  # fmt: skip
MIXAMO_NAMES = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
}  # fmt: skip
MIXAMO_NAMES |= {f"{side}_{own}": f"{side.title()}{name}" for side in SIDES for own, name in MIXAMO.items()}
# Xsens MVN Animate's hierarchy, and Biovision's, whose arms hang at rest: joint, parent, OFFSET in cm and in inches.
XSENS = """Hips - 0 0 0; Chest Hips 0 9.82 -1.09; Chest2 Chest 0 10.88 0; Chest3 Chest2 0 9.93 0; Chest4 Chest3 0 9.92 0;
    Neck Chest4 0 13.9 0; Head Neck 0 9.24 0; RightCollar Chest4 -3.03 7.79 0; RightShoulder RightCollar -14.18 0 0;
    RightElbow RightShoulder -30.36 0 0; RightWrist RightElbow -24.82 0 0; LeftCollar Chest4 3.03 7.79 0;
    LeftShoulder LeftCollar 14.18 0 0; LeftElbow LeftShoulder 30.36 0 0; LeftWrist LeftElbow 24.82 0 0;
    RightHip Hips -8.08 0 0; RightKnee RightHip 0 -41.93 0; RightAnkle RightKnee 0 -40.92 0; RightToe RightAnkle 0 -7.1 16.2;
    LeftHip Hips 8.08 0 0; LeftKnee LeftHip 0 -41.93 0; LeftAnkle LeftKnee 0 -40.92 0; LeftToe LeftAnkle 0 -7.1 16.2"""
BIOVISION = """Hips - 0 0 0; Chest Hips 0 5.21 0; Neck Chest 0 18.65 0; Head Neck 0 5.45 0; LeftCollar Chest 1.12 16.23 1.87;
    LeftUpArm LeftCollar 5.54 0 0; LeftLowArm LeftUpArm 0 -11.96 0; LeftHand LeftLowArm 0 -9.93 0;
    RightCollar Chest -1.12 16.23 1.87; RightUpArm RightCollar -6.07 0 0; RightLowArm RightUpArm 0 -11.82 0;
    RightHand RightLowArm 0 -10.65 0; LeftUpLeg Hips 3.91 0 0; LeftLowLeg LeftUpLeg 0 -18.34 0;
    LeftFoot LeftLowLeg 0 -17.37 0; RightUpLeg Hips -3.91 0 0; RightLowLeg RightUpLeg 0 -17.63 0;
    RightFoot RightLowLeg 0 -17.14 0"""


@pytest.fixture(scope="module")
def read(bodies):
    def _read(path: Path, **choices):
        return read_motion(path, "motion", bodies, Choices(**choices))

    return _read


@pytest.fixture(scope="module")
def own(body) -> Skeleton:
    """SMPL's skeleton with another program's names."""
    joints = body.rest_joints_m(BETAS)
    names = tuple(MIXAMO_NAMES[name] for name in SMPL_JOINT_NAMES)
    return Skeleton(names, SMPL_PARENTS, joints - joints[list(SMPL_PARENTS)])


def error_m(sequence, truth, body) -> np.ndarray:
    """(24,) the largest of each joint."""
    return np.linalg.norm(joints_of(sequence, body) - truth.joints_m(body.rest_joints_m(BETAS)), axis=2).max(axis=0)


@pytest.mark.parametrize(("names", "is_z_up"), [("smpl", False), ("mixamo", False), ("mixamo", True), ("smpl", True)])
def test_what_this_program_exports_comes_back(names, is_z_up, read, truth, body, bodies, tmp_path):
    """With its own rest pose and any of its names and axes; the poses of all joints that have a name, too."""
    frames, ones = np.arange(FRAME_COUNT), np.ones(FRAME_COUNT, "f4")
    poses, betas, trans_m = (array.astype("f4") for array in (truth.poses, BETAS, truth.root_m))
    rig = Rig(Track("1", frames, poses, betas, trans_m, ones, ones < 0), bodies.assets)
    path = tmp_path / "1.bvh"
    path.write_text(bvh_text(rig, Timeline.of_constant_rate(FPS, FRAME_COUNT), names, is_z_up=is_z_up))
    sequence = read(path)
    assert error_m(sequence, truth, body).max() < EXACT_M
    np.testing.assert_allclose(sequence.betas, BETAS, atol=2e-3)
    found, expected = (rotations_from_axis_angle(torch.from_numpy(poses)) for poses in (sequence.poses, truth.poses))
    assert (found - expected).abs().max() < 1e-4
    assert sequence.fps == FPS and f"names of {'SMPL' if names == 'smpl' else 'Mixamo'}" in "".join(sequence.notes)


@pytest.mark.parametrize(
    ("namespace", "unit", "axes", "options"),
    [
        ("mixamorig:", 0.01, "y", {"order": "XYZ", "at_rest_first": True}),
        ("", 1.0, "z", {"order": "ZYX", "positions": "copies"}),
        ("Model_", 0.0254, "root", {"order": "YXZ", "positions": "zeros"}),
        ("", 0.001, "y", {"order": "YZX", "at_rest_first": True, "positions": "copies"}),
    ],
)
def test_renamed_skeletons_in_any_unit_order_and_axes(
    namespace, unit, axes, options, read, own, truth, body, tmp_path
):  # fmt: skip
    """Axes z: rest pose and world have z up; root: the world has, and the root turns the rest pose into it."""
    local, root, offsets = truth.rotations.copy(), truth.joints_m(body.rest_joints_m(BETAS))[:, 0], own.offsets
    if axes == "z":
        local, offsets = Y_TO_Z @ local @ Y_TO_Z.T, offsets @ Y_TO_Z.T
    elif axes == "root":
        local[:, 0] = Y_TO_Z @ local[:, 0]
    if axes != "y":
        root = root @ Y_TO_Z.T
    skeleton = Skeleton(tuple(namespace + name for name in own.names), own.parents, offsets / unit)
    path = bvh_file(tmp_path / "a.bvh", skeleton, local, root / unit, **options)
    sequence = read(path)
    assert len(sequence.poses) == FRAME_COUNT and sequence.fps == FPS
    assert error_m(sequence, truth, body).max() < EXACT_M


def test_a_rest_pose_that_does_not_stand_is_fitted_to_the_joints(read, own, truth, body, tmp_path):
    """As LAFAN1's: every joint's own axes have the next bone along x. The first frame is a T-pose to calibrate by."""
    rng, count = np.random.default_rng(1), len(own.names)
    frames = []
    for joint in range(count):
        child = next((child for child in range(count) if own.parents[child] == joint), None)
        along = np.array([1.0, 0, 0]) if child is None else own.offsets[child]
        twist = Rotation.from_rotvec([rng.uniform(-3, 3), 0, 0]).as_matrix()
        frames.append(smallest_turn(np.array([1.0, 0.0, 0.0]), along) @ twist)
    frames = np.stack(frames)
    above = np.stack([np.eye(3) if parent < 0 else frames[parent] for parent in own.parents])
    local = above.transpose(0, 2, 1) @ np.concatenate([np.eye(3) + 0 * truth.rotations[:1], truth.rotations]) @ frames
    offsets = (own.offsets[:, None] @ above)[:, 0]
    skeleton = own._replace(offsets=offsets * 100)
    root = truth.joints_m(body.rest_joints_m(BETAS))[:, 0]
    sequence = read(bvh_file(tmp_path / "a.bvh", skeleton, local, np.concatenate([root[:1], root]) * 100))
    assert any("fitted to joint positions" in note for note in sequence.notes)
    assert "first frame dropped, far from the second" in sequence.notes
    assert error_m(sequence, truth, body)[:22].max() < EXACT_M  # the file has no joint for the hands' own
    # Positions do not tell how limbs are turned about themselves; the way they bend does.
    turned = global_rotations(rotations_from_axis_angle(torch.from_numpy(sequence.poses)).numpy())
    away = Rotation.from_matrix((turned.mT @ global_rotations(truth.rotations)).reshape(-1, 3, 3)).magnitude()
    away = np.degrees(away.reshape(-1, count)).mean(axis=0)
    assert away[[number(f"{side}_{joint}") for side in SIDES for joint in ("hip", "knee", "shoulder")]].max() < 12
    assert away[number("pelvis")] < 0.1


def skeleton_of(text: str) -> Skeleton:
    rows = [row.split() for row in text.split(";")]
    names = tuple(row[0] for row in rows)
    parents = tuple(names.index(row[1]) if row[1] != "-" else -1 for row in rows)
    return Skeleton(names, parents, np.array([row[2:] for row in rows], dtype=float))


def any_motion(joint_count: int) -> np.ndarray:
    """(8, n, 3, 3) local rotations of somebody who turns away a little and bends everywhere."""
    turns = np.random.default_rng(2).normal(0, 0.3, (8, joint_count, 3))
    turns[:, 0] = [0.0, 0.7, 0.0]
    return Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(8, -1, 3, 3)


def test_a_trunk_that_stands_while_the_legs_do_not_is_taken_as_it_stands(read, body, tmp_path):
    """As LAFAN1's, whose straight trunk would straighten SMPL's curved spine if it were laid along it bone by bone."""
    skeleton = skeleton_of(XSENS)
    local, root = any_motion(len(skeleton.names)), np.tile([0.0, 95.0, 0.0], (8, 1))
    standing = read(bvh_file(tmp_path / "a.bvh", skeleton, local, root))
    is_leg = [any(part in name for part in ("Hip", "Knee", "Ankle")) and name != "Hips" for name in skeleton.names]
    frames = np.where(np.array(is_leg)[:, None, None], np.diag([-1.0, -1.0, 1.0]), np.eye(3))
    above = np.stack([np.eye(3) if parent < 0 else frames[parent] for parent in skeleton.parents])
    upside_down = skeleton._replace(offsets=(skeleton.offsets[:, None] @ above)[:, 0])
    other = read(bvh_file(tmp_path / "b.bvh", upside_down, above.transpose(0, 2, 1) @ local @ frames, root))
    assert any("fitted to joint positions" in note for note in other.notes)
    trunk = [number(name) for name in ("pelvis", "spine1", "spine2", "spine3", "neck")]
    np.testing.assert_allclose(*(each.poses.reshape(8, 24, 3)[:, trunk] for each in (standing, other)), atol=1e-6)
    legs = [number(f"{side}_{joint}") for side in SIDES for joint in ("knee", "ankle")]
    np.testing.assert_allclose(*(joints_of(each, body)[:, legs] for each in (standing, other)), atol=EXACT_M)


@pytest.mark.parametrize(("text", "unit", "family"), [(XSENS, 0.01, "Xsens"), (BIOVISION, 0.0254, "Biovision")])
def test_limbs_of_other_skeletons_point_where_the_files_do(text, unit, family, read, body, tmp_path):
    skeleton = skeleton_of(text)
    names, parents, local = skeleton.names, skeleton.parents, any_motion(len(skeleton.names))
    root = np.array([[10.0, 95 * 0.01 / unit, 20.0]] * 8)
    sequence = read(bvh_file(tmp_path / "a.bvh", skeleton, local, root, at_rest_first=True))
    assert {f"names of {family}", "first frames in the rest pose dropped"} < {*sequence.notes}
    places, turned = [], []
    for joint, parent in enumerate(parents):
        turned.append(local[:, joint] if parent < 0 else turned[parent] @ local[:, joint])
        places.append(root if parent < 0 else places[parent] + (turned[parent] @ skeleton.offsets[joint]))
    found = joints_of(sequence, body)
    limbs = {"Xsens": "Hip Knee Ankle Shoulder Elbow Wrist", "Biovision": "UpLeg LowLeg Foot UpArm LowArm Hand"}[family]
    file_joints = dict(zip(["hip", "knee", "ankle", "shoulder", "elbow", "wrist"], limbs.split(), strict=True))

    def bone(start: str, end: str, side: str) -> tuple[np.ndarray, np.ndarray]:
        own = found[:, number(f"{side}_{end}")] - found[:, number(f"{side}_{start}")]
        ends = [places[names.index(f"{side.title()}{file_joints[joint]}")] for joint in (end, start)]
        return own, (ends[0] - ends[1]) * unit

    for side in SIDES:
        for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            ours, theirs = bone(start, end, side)
            cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
            assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 0.01, (side, start)
            assert np.linalg.norm(ours[0]) == pytest.approx(np.linalg.norm(theirs[0]), abs=0.02), (side, start)


def test_names_that_are_told(read, own, truth, body, tmp_path):
    odd = own._replace(names=tuple(f"bone{place}" for place in range(24)))
    path = bvh_file(tmp_path / "a.bvh", odd, truth.rotations, truth.joints_m(body.rest_joints_m(BETAS))[:, 0])
    refuses("a.bvh: no joint is known to be SMPL's pelvis, head, .*--names", read, path)
    sequence = read(path, names={name: f"bone{place}" for place, name in enumerate(SMPL_JOINT_NAMES)})
    assert error_m(sequence, truth, body).max() < EXACT_M
    refuses("--names: no joint 'hips'", read, path, names={"pelvis": "hips"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda offsets: offsets * 7, "which is no person in m, cm, mm, in, cmu. Say --unit"),
        (lambda offsets: offsets * [-1, 1, 1], "left and right are exchanged"),
        (lambda offsets: offsets * 0, "have no length"),
    ],
)
def test_skeletons_that_are_none_are_told(change, message, read, own, truth, tmp_path):
    skeleton = own._replace(offsets=change(own.offsets))
    refuses(message, read, bvh_file(tmp_path / "a.bvh", skeleton, truth.rotations[:5], truth.root_m[:5]))


def test_a_file_of_the_rest_pose_alone_is_no_motion(read, own, tmp_path):
    with pytest.raises(NotAMotion, match="the rest pose in every frame"):
        read(bvh_file(tmp_path / "a.bvh", own, np.tile(np.eye(3), (5, 24, 1, 1)), np.zeros((5, 3))))
