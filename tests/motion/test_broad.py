"""Motion beyond the everyday: within limits of angle and speed, turned every way, and apart from the default's motion."""

import numpy as np
import pytest

from kinemesh.demo.splits import StandIn
from kinemesh.motion import broad
from kinemesh.motion.actions import BROAD, EVERYDAY
from kinemesh.motion.anatomy import ANGLE_INDEX, HIGHEST, LOWEST
from kinemesh.motion.motion import make_motion
from kinemesh.motion.poses import HELD_OUT_POSES, KINDS

FPS = 30.0
OF_EACH = 3
# Mean absolute angle, rotation and root of `KINDS` from seed 5, before there were other kinds.
BEFORE = (14.812979731032776, 0.40329253584288344, 0.3027951763157867)


def made(kinds: list[str], vocabulary, frame_count: int = 45):
    rest = np.repeat(StandIn().rest_joints_m[None], len(kinds), axis=0)
    return make_motion(np.random.default_rng(5), kinds, frame_count, FPS, rest, vocabulary)


@pytest.fixture(scope="module")
def everything():
    kinds = [kind for kind in broad.KINDS for _ in range(OF_EACH)]
    return kinds, made(kinds, BROAD)


def test_the_default_s_motion_is_what_it_was_before_there_was_more():
    motion = made(list(KINDS), EVERYDAY, 4)
    found = np.abs(motion.angles).mean(), np.abs(motion.rotations).mean(), np.abs(motion.root_m).mean()
    np.testing.assert_allclose(found, BEFORE, rtol=1e-9)


def test_no_angle_and_no_speed_is_beyond_people_s(everything):
    angles = everything[1].angles
    assert (angles >= LOWEST).all() and (angles <= HIGHEST).all()
    speeds = np.abs(np.diff(angles, axis=1)) * FPS
    assert (speeds <= broad.FASTEST + 1e-6).all()
    # And some are fast: limits that nothing comes near would limit nothing.
    for name, least in (("left_elbow_flexion", 800), ("left_knee_flexion", 800), ("left_hip_flexion", 600)):
        assert speeds[..., ANGLE_INDEX[name]].max() > least, name


def test_whole_people_turn_about_each_of_their_axes(everything):
    kinds, motion = everything
    root = motion.rotations[:, :, 0]
    turned = np.degrees(np.unwrap(np.arctan2(root[..., 2, 1], root[..., 1, 1])))
    over = root[..., 1, 1] < -0.5
    for kind in ("flip", "cartwheel", "handstand", "windmill"):
        assert over[np.array(kinds) == kind].any(), kind
    assert np.ptp(turned[np.array(kinds) == "flip"], axis=1).max() > 300.0
    # Who lies has the long axis level, on the back, on the front and on a side.
    for kind, axis, sign in (("lie_on_back", 2, 1), ("lie_on_front", 2, -1)):
        facing = root[np.array(kinds) == kind][..., 1, axis]
        assert (sign * facing).mean() > 0.4, kind
    aside = np.abs(root[np.array(kinds) == "lie_on_side"][..., 1, 0])
    assert aside.mean() > 0.5
    step = root[:, :-1].swapaxes(-1, -2) @ root[:, 1:]
    turn = np.degrees(np.arccos(np.clip((np.trace(step, axis1=-2, axis2=-1) - 1) / 2, -1, 1))) * FPS
    assert turn.max() < broad.FASTEST_TURN + 2 * broad.SPEED_LIMITS["pelvis"] + broad.SPEED_LIMITS["heading"]


def test_wrists_chest_and_head_move_apart_from_what_carries_them():
    usual, free = (made(["stand_talk"] * 30, vocabulary, 15).angles for vocabulary in (EVERYDAY, BROAD))
    for name, carrier in (("left_wrist_flexion", "left_elbow_flexion"), ("head_side", "trunk_side")):
        own, carried = (free[..., ANGLE_INDEX[each]] for each in (name, carrier))
        assert own.std() > 1.1 * usual[..., ANGLE_INDEX[name]].std(), name
        assert abs(np.corrcoef(own.ravel(), carried.ravel())[0, 1]) < 0.5, name


def test_held_out_poses_stay_held_out():
    for kind, spec in broad.KINDS.items():
        drawn = {word for words in (spec.legs, spec.arms, spec.trunk) for word in words.split()}
        assert not drawn & set(HELD_OUT_POSES), kind
