"""Where detectors put the joints that ours are made of: offsets from the 17 regressed ones, fixed to bones.

A detector's shoulder is another point of the body than H36M's, and where it has no head top the eyes stand in. Sources:
SMPLify-X's `smpl_to_openpose` (Pavlakos et al., CVPR 2019) for which SMPL joint BODY_25's are, smplx's vertices for face
points, `kinemesh.keypoints.formats` for what the 17 are made of. COCO's, Halpe's and BlazePose's limbs are taken for the
same SMPL joints (BlazePose, Bazarevsky et al., 2020, calls its set a superset of COCO's); Halpe's neck for SMPL's, its head
top for H36M's. Assumed: that this holds for every pose, and the recipe's spread for the habits of annotators.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import H36M_JOINT_NAMES, SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.keypoints.formats import COCO_NAMES, FORMATS

DETECTORS = ("coco17", "halpe26", "body25", "mediapipe33")
# What each is, by number: a name of COCO's, of H36M's for a head top, of SMPL's.
_FACE = {"left_eye", "right_eye", "left_ear", "right_ear", "nose"}
_BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "pelvis",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
_BLAZEPOSE = {
    0: "nose", 2: "left_eye", 5: "right_eye", 7: "left_ear", 8: "right_ear", 11: "left_shoulder", 12: "right_shoulder",
    13: "left_elbow", 14: "right_elbow", 15: "left_wrist", 16: "right_wrist", 23: "left_hip", 24: "right_hip",
    25: "left_knee", 26: "right_knee", 27: "left_ankle", 28: "right_ankle",
}  # fmt: skip
_JOINTS_OF = {
    "coco17": dict(enumerate(COCO_NAMES)),
    "halpe26": dict(enumerate(COCO_NAMES)) | {17: "head_top", 18: "neck", 19: "pelvis"},
    "body25": dict(enumerate(_BODY_25)),
    "mediapipe33": _BLAZEPOSE,
}
# The SMPL joint whose bone each of the 17 goes with.
_BONE_OF = {
    "pelvis": "pelvis", "hip": "pelvis", "knee": "hip", "ankle": "knee", "spine": "spine2", "thorax": "spine3",
    "nose": "head", "head_top": "head", "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow",
}  # fmt: skip


class Definitions(NamedTuple):
    """What detectors' joints are off ours."""

    offsets_m: Tensor  # (detectors, 17, 3) in the axes of the rest pose
    bones: tuple[int, ...]  # (17,) SMPL joint whose bone each turns with


def joint_definitions(assets: BodyAssets) -> Definitions:
    """By DETECTORS, for a body at rest."""
    at_rest = dict(zip(SMPL_JOINT_NAMES, assets.J_regressor @ assets.v_template, strict=True))
    ours = assets.J_regressor_h36m @ assets.v_template
    at_rest["head_top"] = ours[H36M_JOINT_NAMES.index("head_top")]
    face = {name: assets.v_template[VERTEX_LANDMARKS["nose_tip" if name == "nose" else name]] for name in _FACE}
    offsets = []
    for detector in DETECTORS:
        points = {number: (at_rest | face)[name] for number, name in _JOINTS_OF[detector].items()}
        made = [np.mean([points[number] for number in numbers], axis=0) for numbers in FORMATS[detector].sources]
        offsets.append(np.array(made) - ours)
    bones = tuple(SMPL_JOINT_NAMES.index(name) for name in map(_bone_of, H36M_JOINT_NAMES))
    return Definitions(torch.tensor(np.array(offsets), dtype=torch.float32), bones)


def _bone_of(joint: str) -> str:
    side, _, part = joint.partition("_")
    if side not in ("left", "right"):
        return _BONE_OF[joint]
    bone = _BONE_OF[part]
    return bone if bone == "pelvis" else f"{side}_{bone}"
