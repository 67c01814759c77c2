"""Joints are known by the names of every program, and the trunk by where its joints are in the tree."""

import numpy as np
import pytest

from kinemesh.body.skeleton import SIDES, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.prepare.bvh.names import match_joints, plain_name
from kinemesh.prepare.bvh.text import Bvh
from tests.refusals import refuses

# How programs call SMPL's left hip, knee, ankle, foot, collar, shoulder, elbow and wrist, and hips, spine, neck and head.
_PARTS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
PROGRAMS = {
    "SMPL": ("L_{}", "Hip Knee Ankle Foot Collar Shoulder Elbow Wrist", "Pelvis Spine1 Spine2 Spine3 Neck Head"),
    "Mixamo": ("mixamorig:Left{}", "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand",
               "mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck mixamorig:Head"),
    "CMU": ("Left{}", "UpLeg Leg Foot ToeBase Shoulder Arm ForeArm Hand", "Hips LowerBack Spine Spine1 Neck Head"),
    "Rokoko": ("Left{}", "Thigh Shin Foot Toe Shoulder Arm ForeArm Hand", "Hips Spine Spine2 Spine4 Neck Head"),
    "Xsens": ("Left{}", "Hip Knee Ankle Toe Collar Shoulder Elbow Wrist", "Hips Chest Chest2 Chest4 Neck Head"),
    "Biovision": ("Left{}", "UpLeg LowLeg Foot Toe Collar UpArm LowArm Hand", "Hips Abdomen Chest Chest2 Neck Head"),
    "SOMA": ("Left{}", "Leg Shin Foot ToeBase Shoulder Arm ForeArm Hand", "Hips Spine1 Spine2 Chest Neck1 Head"),
    "Biped": ("Bip01 L {}", "Thigh Calf Foot Toe0 Clavicle UpperArm Forearm Hand",
              "Bip01 Pelvis,Bip01 Spine,Bip01 Spine1,Bip01 Spine2,Bip01 Neck,Bip01 Head"),
    "Blender": ("{}.L", "thigh shin foot toe shoulder upper_arm forearm hand", "hips spine chest chest1 neck head"),
    "VRM": ("Left{}", "UpperLeg LowerLeg Foot Toes Shoulder UpperArm LowerArm Hand", "Hips Spine Chest UpperChest Neck Head"),
}  # fmt: skip


def tree(names: dict[str, str]) -> Bvh:
    """SMPL's tree, of the joints that are named, parents before children."""
    places = [place for place, joint in enumerate(SMPL_JOINT_NAMES) if joint in names]
    parents = tuple(places.index(SMPL_PARENTS[place]) if place else -1 for place in places)
    empty = ((),) * len(places)
    return Bvh(
        tuple(names[SMPL_JOINT_NAMES[place]] for place in places), parents, np.zeros((len(places), 3)), empty, 1.0, None
    )


def names_of(program: str) -> dict[str, str]:
    pattern, parts, trunk = PROGRAMS[program]
    middle = trunk.split("," if "," in trunk else " ")
    names = dict(zip(("pelvis", "spine1", "spine2", "spine3", "neck", "head"), middle, strict=True))
    for own, part in zip(_PARTS, parts.split(), strict=True):
        left = pattern.format(part)
        right = left.replace("Left", "Right").replace("L_", "R_").replace(" L ", " R ").replace(".L", ".R")
        names |= dict(zip((f"{side}_{own}" for side in SIDES), (left, right), strict=True))
    return names


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program(program):
    names = names_of(program)
    bvh = tree(names)
    matched, family = match_joints(bvh)
    assert {SMPL_JOINT_NAMES[joint]: bvh.names[place] for joint, place in matched.items()} == names
    assert program in family or program in ("Blender", "CMU")


def test_what_is_given_goes_first():
    bvh = tree(names_of("Mixamo"))
    given = {"left_wrist": "mixamorig:LeftForeArm", "left_elbow": "mixamorig:LeftHand"}
    matched, _ = match_joints(bvh, given)
    assert bvh.names[matched[SMPL_JOINT_NAMES.index("left_wrist")]] == "mixamorig:LeftForeArm"
    refuses("one joint of the file stands for two", match_joints, bvh, {"left_wrist": "mixamorig:LeftForeArm"})


def test_names_of_programs_are_one():
    by_programs = "mixamorig:LeftUpLeg", "Left_UpLeg", "UpLeg.L", "L UpLeg", "Bip01 L UpLeg", "Model_LeftUpLeg"
    for name in (*by_programs, "upleg_left"):
        assert plain_name(name) == "leftupleg", name
    assert plain_name("mixamorig9:Hips") == "hips" and plain_name("Pelvis") == "pelvis"
