"""Made-up motion: plausible limbs, feet that stay, speeds of life, breadth."""

import numpy as np
import pytest

from kinemesh.body.chain import joint_positions
from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.demo.splits import StandIn
from kinemesh.motion.anatomy import ANGLE_INDEX
from kinemesh.motion.motion import make_motion
from kinemesh.motion.poses import ARMS, HELD_OUT_KINDS, HELD_OUT_POSES, KINDS, LEGS, TRUNKS

FPS = 30.0
JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}


@pytest.fixture(scope="module")
def rest_joints():
    return StandIn().rest_joints_m


def motion_of(kinds: list[str], rest_joints, frame_count: int = 90, fps: float = FPS, seed: int = 0):
    repeated = np.repeat(rest_joints[None], len(kinds), axis=0)
    motion = make_motion(np.random.default_rng(seed), kinds, frame_count, fps, repeated)
    positions, _ = joint_positions(motion.rotations, repeated)
    return motion, positions + motion.root_m[:, :, None]


@pytest.fixture(scope="module")
def everything(rest_joints):
    """Six videos of every kind."""
    return motion_of([kind for kind in KINDS for _ in range(6)], rest_joints)


def test_rotations_are_rotations(everything):
    rotations = everything[0].rotations
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2) - np.eye(3), 0, atol=1e-9)
    assert np.linalg.det(rotations).min() > 0.999


@pytest.mark.parametrize("side", ["left", "right"])
def test_knees_and_elbows_bend_one_way_only(everything, side):
    """The part of each hinge's rotation about its own axis, from the matrices themselves."""
    rotations = everything[0].rotations
    knee = rotations[:, :, JOINT[f"{side}_knee"]]
    bend = np.degrees(np.arctan2(knee[..., 2, 1] - knee[..., 1, 2], knee[..., 1, 1] + knee[..., 2, 2]))
    assert bend.min() > -3.0 and 100.0 < bend.max() < 155.0
    forearm = rotations[:, :, JOINT[f"{side}_elbow"]][..., 0]  # where the upper arm's axis goes
    sign = 1.0 if side == "left" else -1.0
    # Bent, the forearm comes to the front of the T-pose, never to the back.
    assert forearm[..., 2].min() * sign > -0.2 if sign > 0 else forearm[..., 2].max() * sign > -0.2
    assert np.degrees(np.arccos(np.clip(forearm[..., 0], -1, 1))).max() > 120.0


def test_the_lowest_joint_is_near_the_floor(everything):
    """Nobody floats or sinks; joints lie some centimetres inside the body, jumps go up to half a metre."""
    _, joints = everything
    lowest = joints[..., 1].min(axis=-1)
    standing = [i for i, kind in enumerate(kind for kind in KINDS for _ in range(6)) if KINDS[kind].flight_m == 0]
    assert lowest.min() > -0.12
    assert np.median(lowest[standing]) < 0.1
    assert lowest.max() < 0.8


@pytest.mark.parametrize(
    ("kind", "slowest", "fastest"), [("walk", 0.7, 1.6), ("run", 1.6, 4.0), ("stand_talk", 0.0, 0.5)]
)
@pytest.mark.parametrize("fps", [30.0, 50.0])
def test_speed_over_ground_is_that_of_life(rest_joints, kind, slowest, fastest, fps):
    motion, _ = motion_of([kind] * 40, rest_joints, frame_count=round(3 * fps), fps=fps)
    speed = np.linalg.norm(np.diff(motion.root_m[..., [0, 2]], axis=1), axis=-1).mean() * fps
    assert slowest <= speed <= fastest


def test_walkers_go_where_they_face_and_backwards_walkers_do_not(rest_joints):
    for kind, sign in (("walk", 1.0), ("walk_back", -1.0)):
        motion, _ = motion_of([kind] * 30, rest_joints)
        moved = np.diff(motion.root_m, axis=1)
        facing = motion.rotations[:, 1:, 0, :, 2]
        assert sign * (moved * facing).sum() > 0.5 * np.linalg.norm(moved, axis=-1).sum()


def test_the_stance_foot_of_a_walker_hardly_slides(rest_joints):
    _, joints = motion_of(["walk"] * 30, rest_joints)
    feet = joints[:, :, [JOINT["left_foot"], JOINT["right_foot"]]]
    speed = np.linalg.norm(np.diff(feet[..., [0, 2]], axis=1), axis=-1) * FPS
    assert np.median(speed.min(axis=-1)) < 0.3
    assert np.median(speed.max(axis=-1)) > 1.0


def test_poses_are_broad_and_motion_is_smooth(everything):
    angles = everything[0].angles
    for name, width in (("left_shoulder_flexion", 100), ("left_elbow_flexion", 100), ("left_knee_flexion", 90),
                        ("left_hip_flexion", 90), ("trunk_flexion", 40), ("head_twist", 50)):  # fmt: skip
        low, high = np.quantile(angles[..., ANGLE_INDEX[name]], [0.02, 0.98])
        assert high - low > width, name
    # No joint jumps: between frames of 30 fps nothing turns by more than a very fast throw does.
    rotations = everything[0].rotations
    step = rotations[:, :-1].swapaxes(-1, -2) @ rotations[:, 1:]
    turn = np.degrees(np.arccos(np.clip((np.trace(step, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))
    assert np.quantile(turn[:, :, 1:], 0.999) < 45.0


def test_left_and_right_are_used_alike(rest_joints):
    motion, _ = motion_of(["dance", "sport", "reach", "kick"] * 60, rest_joints, frame_count=30)
    for name in ("shoulder_flexion", "elbow_flexion", "hip_flexion", "knee_flexion"):
        left, right = (motion.angles[..., ANGLE_INDEX[f"{side}_{name}"]].mean() for side in ("left", "right"))
        assert abs(left - right) < 8.0, name


def test_a_single_frame_is_a_pose_and_a_seed_is_one_motion(rest_joints):
    motion, _ = motion_of(list(KINDS), rest_joints, frame_count=1)
    assert motion.rotations.shape == (len(KINDS), 1, 24, 3, 3) and np.isfinite(motion.root_m).all()
    first, again, other = (motion_of(["walk", "dance"], rest_joints, seed=seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.rotations, again.rotations)
    assert np.abs(first.rotations - other.rotations).max() > 0.1


def test_kinds_name_poses_that_exist_and_held_out_poses_stay_held_out():
    for kind, spec in KINDS.items():
        for words, poses in ((spec.legs, LEGS), (spec.arms, ARMS), (spec.trunk, TRUNKS)):
            assert set(words.split()) <= {*poses, "*", "?"}, kind
            if kind not in HELD_OUT_KINDS:
                assert not set(words.split()) & set(HELD_OUT_POSES), kind
