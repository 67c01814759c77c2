"""Joint maps: every detector's joints become the 17, a lost one stays lost."""

import numpy as np
import pytest

from kinemesh.body.skeleton import H36M_JOINT_NAMES
from kinemesh.keypoints.formats import BY_COUNT, FORMATS, shortest_order, shown_joints, to_h36m, to_shown

_HIPS = {"pelvis": {"left_hip", "right_hip"}}
_NO_NECK = (
    _HIPS
    | {"thorax": {"left_shoulder", "right_shoulder"}}
    | {"spine": {"left_hip", "right_hip", "left_shoulder", "right_shoulder"}}
)
_EYES = {"head_top": {"left_eye", "right_eye"}}
_FACE = {"nose": {"thorax", "head_top"}}
_SPINE_TO_HIPS = {"spine": {"thorax", "left_hip", "right_hip"}}
# What is no joint of the detector's: the middle of what.
MADE_OF = {
    "halpe26": {"spine": {"thorax", "pelvis"}},
    "coco17": _NO_NECK | _EYES,
    "body25": {"spine": {"thorax", "pelvis"}} | _EYES,
    "h36m17": {},
    "coco18": _HIPS | _SPINE_TO_HIPS | _EYES,
    "body25b": _NO_NECK,
    "mpi15": _HIPS | _FACE,
    "coco25": {"spine": {"thorax", "pelvis"}} | _EYES,
    "posetrack18": _HIPS | _SPINE_TO_HIPS,
    "mpii16": {"spine": {"thorax", "pelvis"}, "nose": {"upper_neck", "head_top"}},
    "aic14": _HIPS | _SPINE_TO_HIPS | _FACE,
    "crowdpose14": _HIPS | _SPINE_TO_HIPS | _FACE,
    "mediapipe33": _NO_NECK | _EYES,
}


def test_halpe_matches_the_released_map(reference):
    golden = reference("geometry")
    np.testing.assert_allclose(to_h36m(golden["halpe"], "halpe26"), golden["halpe_as_h36m"], atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_every_joint_is_made_of_the_joint_of_its_name(name, joint_names):
    names = joint_names[name]
    assert len(names) == FORMATS[name].joint_counts[0]
    for joint, sources in zip(H36M_JOINT_NAMES, FORMATS[name].sources, strict=True):
        assert {names[source] for source in sources} == MADE_OF[name].get(joint, {joint}), joint


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_detector_shows_is_named_after_its_joints(name, joint_names):
    """A middle by the joints around it; and no head that is made of a face."""
    names = joint_names[name]
    middles = {"pelvis": {"left_hip", "right_hip"}, "thorax": {"left_shoulder", "right_shoulder"}}
    for shown, joints in shown_joints(name, len(names)).items():
        own = {names[joint].replace("foot_index", "big_toe") for joint in joints}
        allowed = [own, set().union(*(middles.get(joint, {joint}) for joint in own))]
        if shown.count("thorax") == 2:
            allowed.append({*shown.split("+")})  # the chest between neck and hips
        assert set(shown.split("+")) in allowed, shown
    assert ("head_top" in shown_joints(name, len(names))) == ("head_top" in names)


def test_feet_are_shown_where_the_set_has_them():
    assert "left_heel" not in shown_joints("coco17", 17) and shown_joints("coco17", 133)["left_heel"] == (19,)
    points = np.random.default_rng(0).random((2, 133, 3))
    shown = list(shown_joints("coco17", 133))
    assert to_shown(points, "coco17").shape == (2, len(shown), 3)
    np.testing.assert_array_equal(to_shown(points, "coco17")[:, shown.index("left_heel")], points[:, 19])
    points[0, 11, 2] = 0
    hips = to_shown(points, "coco17")[:, shown.index("left_hip+right_hip")]
    np.testing.assert_array_equal(hips[:, 2] > 0, [False, True])


def test_larger_sets_begin_with_the_body():
    points = np.random.default_rng(0).random((2, 133, 3))
    np.testing.assert_array_equal(to_h36m(points, "coco17"), to_h36m(points[:, :17], "coco17"))
    counts = (17, 133, 26, 68, 94, 136, 25, 18, 135, 15, 16, 33)
    assert [BY_COUNT[count] for count in counts] == [
        "coco17", "coco17", "halpe26", "halpe26", "halpe26", "halpe26", "body25", "coco18", "body25b", "mpi15", "mpii16",
        "mediapipe33",
    ]  # fmt: skip


def test_a_middle_of_a_lost_joint_is_lost_and_an_order_is_told_only_where_it_is_clear():
    points = np.ones((17, 3))
    points[11] = 0
    mapped = to_h36m(points, "coco17")
    assert mapped[[0, 4, 7], 2].tolist() == [0, 0, 0]
    assert mapped[[1, 8], 2].tolist() == [1, 1]
    points = np.ones((3, 14, 3))
    assert shortest_order(points, ("aic14", "crowdpose14")) is None
    assert shortest_order(points, ("aic14",)) == "aic14"
