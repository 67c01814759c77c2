"""Joint definitions are those points of the body that detectors name, and turn with its bones."""

import numpy as np
import pytest

from kinemesh.body.skeleton import H36M_JOINT_NAMES, SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.synthesis.definitions import DETECTORS, joint_definitions


@pytest.fixture(scope="module")
def definitions(assets):
    return joint_definitions(assets)


def test_offsets_lead_from_our_joints_to_the_detectors(definitions, assets):
    ours = assets.J_regressor_h36m @ assets.v_template
    smpl = dict(zip(SMPL_JOINT_NAMES, assets.J_regressor @ assets.v_template, strict=True))
    eyes = np.mean([assets.v_template[VERTEX_LANDMARKS[name]] for name in ("left_eye", "right_eye")], axis=0)
    hips, shoulders = ((smpl[f"left_{part}"] + smpl[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    expected = {
        ("coco17", "pelvis"): hips, ("coco17", "head_top"): eyes, ("coco17", "thorax"): shoulders,
        ("coco17", "spine"): (hips + shoulders) / 2, ("body25", "thorax"): smpl["neck"], ("body25", "pelvis"): smpl["pelvis"],
        ("halpe26", "spine"): (smpl["neck"] + smpl["pelvis"]) / 2, ("mediapipe33", "right_knee"): smpl["right_knee"],
        ("halpe26", "head_top"): ours[H36M_JOINT_NAMES.index("head_top")],
    }  # fmt: skip
    for (detector, name), point in expected.items():
        place = H36M_JOINT_NAMES.index(name)
        found = ours[place] + definitions.offsets_m[DETECTORS.index(detector), place].numpy()
        np.testing.assert_allclose(found, point, atol=1e-6)


def test_left_and_right_are_off_alike_and_no_joint_by_more_than_a_head(definitions):
    assert definitions.offsets_m.norm(dim=-1).max() < 0.25
    left, right = (definitions.offsets_m[:, H36M_JOINT_NAMES.index(f"{side}_hip")] for side in ("left", "right"))
    np.testing.assert_allclose(left[:, 0], -right[:, 0], atol=5e-3)
    bones = dict(zip(H36M_JOINT_NAMES, (SMPL_JOINT_NAMES[bone] for bone in definitions.bones), strict=True))
    assert bones["left_wrist"] == "left_elbow" and bones["right_hip"] == "pelvis" and bones["nose"] == "head"
