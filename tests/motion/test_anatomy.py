"""Anatomical angles: their meaning on the body, mirroring, limits."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinemesh.body.chain import joint_positions
from kinemesh.body.skeleton import SMPL_JOINT_NAMES, SMPL_MIRROR_ORDER
from kinemesh.demo.splits import StandIn
from kinemesh.motion.anatomy import (
    ANGLE_COUNT,
    ANGLE_INDEX,
    HIGHEST,
    LOWEST,
    MIRROR_MATRIX,
    Rigs,
    clip_angles,
    mirror_angles,
    rotation_matrices,
    to_rotations,
)


@pytest.fixture(scope="module")
def rest_joints():
    return StandIn().rest_joints_m


def plain_rigs() -> Rigs:
    """A person without habits of their own."""
    rigs = Rigs(np.random.default_rng(0), 1)
    rigs.offsets[:] = np.eye(3)
    rigs.spine_curve[:] = 0.0
    return rigs


def posed(rest_joints, **degrees) -> dict[str, np.ndarray]:
    """Joint positions, by name, of a person at attention but for the given angles."""
    angles = np.zeros((1, 1, ANGLE_COUNT))
    for name, value in degrees.items():
        angles[..., ANGLE_INDEX[name]] = value
    positions, _ = joint_positions(to_rotations(angles, plain_rigs()), rest_joints[None])
    return dict(zip(SMPL_JOINT_NAMES, positions[0, 0], strict=True))


def direction(joints, start: str, end: str) -> np.ndarray:
    vector = joints[end] - joints[start]
    return vector / np.linalg.norm(vector)


def test_rotation_matrices_agree_with_scipy():
    vectors = np.concatenate(
        [np.random.default_rng(1).normal(size=(50, 3)) * 2, np.zeros((1, 3)), np.full((1, 3), 1e-9)]
    )
    np.testing.assert_allclose(rotation_matrices(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)


def test_at_attention_arms_and_legs_hang(rest_joints):
    joints = posed(rest_joints)
    for side in ("left", "right"):
        assert direction(joints, f"{side}_shoulder", f"{side}_elbow")[1] < -0.97
        assert direction(joints, f"{side}_hip", f"{side}_knee")[1] < -0.97


@pytest.mark.parametrize(
    ("angle", "value", "bone", "axis", "sign"),
    [
        ("left_shoulder_flexion", 90, ("left_shoulder", "left_elbow"), 2, 1),  # forwards
        ("left_shoulder_abduction", 90, ("left_shoulder", "left_elbow"), 0, 1),  # to the person's left
        ("right_shoulder_abduction", 90, ("right_shoulder", "right_elbow"), 0, -1),
        ("right_shoulder_flexion", 170, ("right_shoulder", "right_elbow"), 1, 1),  # overhead
        ("left_elbow_flexion", 90, ("left_elbow", "left_wrist"), 2, 1),
        ("left_hip_flexion", 90, ("left_hip", "left_knee"), 2, 1),
        ("right_hip_abduction", 60, ("right_hip", "right_knee"), 0, -1),
        ("right_knee_flexion", 90, ("right_knee", "right_ankle"), 2, -1),  # heel to the back
        ("trunk_flexion", 80, ("spine3", "neck"), 2, 1),
        ("trunk_side", 40, ("spine3", "neck"), 0, -1),  # to the person's right
    ],
)
def test_an_angle_moves_its_bone_the_right_way(rest_joints, angle, value, bone, axis, sign):
    moved = direction(posed(rest_joints, **{angle: value}), *bone) - direction(posed(rest_joints), *bone)
    assert sign * moved[axis] > 0.5


def test_trunk_twist_turns_the_shoulders_to_the_left(rest_joints):
    joints = posed(rest_joints, trunk_twist=60)
    assert joints["right_shoulder"][2] > joints["left_shoulder"][2] + 0.2


@pytest.mark.parametrize("lean", [{"pelvis_lean": 60.0}, {"pelvis_side": 20.0}])
def test_legs_stay_when_the_pelvis_tips(rest_joints, lean):
    still, tipped = posed(rest_joints), posed(rest_joints, **lean)
    for side in ("left", "right"):
        for bone in ((f"{side}_hip", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle")):
            assert direction(still, *bone) @ direction(tipped, *bone) > np.cos(np.radians(3.0))


def test_collar_takes_a_share_and_leaves_the_arm_where_it_points(rest_joints):
    raised = np.zeros((1, 1, ANGLE_COUNT))
    raised[..., ANGLE_INDEX["left_shoulder_abduction"]] = 140.0
    directions = []
    for share in (0.0, 0.3):
        rigs = plain_rigs()
        rigs.arm_coupling[:, 0] = share
        positions, _ = joint_positions(to_rotations(raised, rigs), rest_joints[None])
        joints = dict(zip(SMPL_JOINT_NAMES, positions[0, 0], strict=True))
        directions.append(direction(joints, "left_shoulder", "left_elbow"))
    np.testing.assert_allclose(*directions, atol=1e-12)


def test_mirrored_angles_give_mirrored_rotations():
    rng = np.random.default_rng(2)
    angles = clip_angles(rng.normal(0.0, 40.0, (3, 4, ANGLE_COUNT)))
    rigs = Rigs(np.random.default_rng(3), 3)
    rigs.offsets[:] = np.eye(3)
    mirrored = to_rotations(angles, rigs)[:, :, list(SMPL_MIRROR_ORDER)] * MIRROR_MATRIX
    np.testing.assert_allclose(to_rotations(mirror_angles(angles), rigs), mirrored, atol=1e-12)
    np.testing.assert_array_equal(mirror_angles(mirror_angles(angles)), angles)


def test_clipped_angles_keep_the_limits():
    angles = clip_angles(np.random.default_rng(4).normal(0.0, 500.0, (100, ANGLE_COUNT)))
    assert (angles >= LOWEST).all() and (angles <= HIGHEST).all()
