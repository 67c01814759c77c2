"""Named joint angles of a person, their limits, and their conversion to SMPL's 24 rotations.

Made-up motion is written as tracks of anatomical angles ("left_knee_flexion", degrees), because there limits hold
by clipping, mirroring is a swap, and blending two poses gives a plausible pose between them. Zero is standing at
attention: arms hanging, palms in. Upper arm and thigh are described by a swing away from hanging, abduction
sideways and flexion forwards, as one rotation vector, then a twist about the bone; it is smooth up to overhead.
"""

import numpy as np

from kinemesh.body.skeleton import SIDES, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES

# name: (lowest, highest, spread of a person's habit, spread of small movement), degrees. Limits after
# Kapandji, Physiology of the Joints; slightly inside what trained people reach.
_SIDE_ANGLES = {
    "collar_elevation": (-8.0, 30.0, 4.0, 2.0),
    "collar_protraction": (-18.0, 22.0, 5.0, 2.0),
    "shoulder_abduction": (-45.0, 178.0, 8.0, 5.0),
    "shoulder_flexion": (-60.0, 178.0, 8.0, 5.0),
    "shoulder_twist": (-100.0, 90.0, 12.0, 6.0),  # + inwards
    "elbow_flexion": (1.0, 150.0, 8.0, 6.0),
    "forearm_twist": (-80.0, 80.0, 12.0, 6.0),  # + pronation
    "wrist_flexion": (-60.0, 70.0, 9.0, 6.0),
    "wrist_deviation": (-20.0, 30.0, 5.0, 4.0),
    "hip_flexion": (-35.0, 130.0, 4.0, 2.5),
    "hip_abduction": (-28.0, 70.0, 4.0, 2.5),
    "hip_twist": (-40.0, 55.0, 8.0, 3.0),  # + outwards
    "knee_flexion": (0.0, 150.0, 4.0, 2.5),
    "ankle_flexion": (-50.0, 35.0, 4.0, 3.0),  # + toes up
    "ankle_inversion": (-20.0, 30.0, 5.0, 3.0),
    "toe_extension": (-20.0, 55.0, 4.0, 3.0),
}
_CENTRAL_ANGLES = {
    "trunk_flexion": (-45.0, 80.0, 6.0, 2.5),
    "trunk_side": (-40.0, 40.0, 3.0, 2.0),  # + to the right
    "trunk_twist": (-60.0, 60.0, 4.0, 2.5),  # + to the left
    "head_flexion": (-45.0, 50.0, 8.0, 4.0),
    "head_side": (-35.0, 35.0, 4.0, 3.0),
    "head_twist": (-75.0, 75.0, 6.0, 6.0),
    # The pelvis over standing legs: the hips give way, so that the thighs keep their directions.
    "pelvis_lean": (-40.0, 100.0, 4.0, 1.5),
    "pelvis_side": (-30.0, 30.0, 2.0, 1.5),
    "pelvis_twist": (-45.0, 45.0, 3.0, 2.0),
    # The whole body, legs and all, as when lying or falling.
    "recline": (-180.0, 180.0, 0.0, 0.0),
    "tilt": (-180.0, 180.0, 0.0, 0.0),
    "heading": (-np.inf, np.inf, 0.0, 0.0),
}
ANGLE_NAMES = (*(f"{side}_{name}" for side in SIDES for name in _SIDE_ANGLES), *_CENTRAL_ANGLES)
ANGLE_COUNT = len(ANGLE_NAMES)
ANGLE_INDEX = {name: i for i, name in enumerate(ANGLE_NAMES)}
_SIDE_COUNT = len(_SIDE_ANGLES)
_TABLE = np.array([*_SIDE_ANGLES.values(), *_SIDE_ANGLES.values(), *_CENTRAL_ANGLES.values()])
LOWEST, HIGHEST, HABIT_SPREAD, MOVEMENT_SPREAD = _TABLE.T
# Standing at ease.
REST = np.zeros(ANGLE_COUNT)
for _name, _degrees in {"shoulder_abduction": 9.0, "shoulder_flexion": 2.0, "elbow_flexion": 16.0, "knee_flexion": 3.0,
                        "hip_abduction": 4.0, "hip_twist": 6.0}.items():  # fmt: skip
    REST[[ANGLE_INDEX[f"{side}_{_name}"] for side in SIDES]] = _degrees

_MIRROR_ORDER = np.r_[_SIDE_COUNT : 2 * _SIDE_COUNT, :_SIDE_COUNT, 2 * _SIDE_COUNT : ANGLE_COUNT]
_MIRROR_SIGN = np.array([-1.0 if n.endswith(("_side", "trunk_twist", "head_twist", "pelvis_twist", "tilt", "heading"))
                         and not n.startswith(SIDES) else 1.0 for n in ANGLE_NAMES])  # fmt: skip
MIRROR_MATRIX = np.array([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}
_MAXIMUM_SWING = 176.0


def mirror_angles(angles: np.ndarray) -> np.ndarray:
    """Angles (..., A) of the mirrored person."""
    return angles[..., _MIRROR_ORDER] * _MIRROR_SIGN


def clip_angles(angles: np.ndarray) -> np.ndarray:
    """Angles (..., A) in degrees brought within the joint limits."""
    return np.clip(angles, LOWEST, HIGHEST)


def rotation_matrices(rotation_vectors: np.ndarray) -> np.ndarray:
    """(..., 3) rotation vectors in radians -> (..., 3, 3), by Rodrigues' formula."""
    x, y, z = np.moveaxis(rotation_vectors, -1, 0)
    square = x * x + y * y + z * z
    angle = np.sqrt(square)
    small = angle < 1e-6
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0, np.sin(angle) / safe)
    b = np.where(small, 0.5, (1.0 - np.cos(angle)) / safe**2)
    out = np.empty((*angle.shape, 3, 3))
    out[..., 0, 0], out[..., 1, 1], out[..., 2, 2] = (1.0 - b * (square - c * c) for c in (x, y, z))
    out[..., 0, 1], out[..., 1, 0] = b * x * y - a * z, b * x * y + a * z
    out[..., 0, 2], out[..., 2, 0] = b * x * z + a * y, b * x * z - a * y
    out[..., 1, 2], out[..., 2, 1] = b * y * z - a * x, b * y * z + a * x
    return out


def _about(degrees_x=0.0, degrees_y=0.0, degrees_z=0.0) -> np.ndarray:
    """Rotation by the vector (x, y, z), given in degrees, of any common shape."""
    return rotation_matrices(np.radians(np.stack(np.broadcast_arrays(degrees_x, degrees_y, degrees_z), axis=-1)))


def _arm(side: dict[str, np.ndarray], coupling: np.ndarray) -> dict[str, np.ndarray]:
    """Left arm's joint rotations. `coupling` (videos, 4): see `random_rigs`."""
    elevation_share, protraction_share, twist_share, _ = np.moveaxis(coupling[:, None], -1, 0)
    abduction, flexion = side["shoulder_abduction"], side["shoulder_flexion"]
    swing = np.hypot(abduction, flexion)
    shorten = np.minimum(1.0, _MAXIMUM_SWING / np.maximum(swing, 1e-6))
    # The shoulder blade takes its share of a raised arm; the arm's direction relative to the chest stays.
    collar = _about(
        0.0,
        -side["collar_protraction"] - protraction_share * flexion,
        side["collar_elevation"] + elevation_share * np.maximum(swing - 30.0, 0.0),
    )
    upper_arm = _about(-flexion * shorten, 0.0, abduction * shorten) @ _about(0.0, 0.0, -90.0)
    upper_arm = upper_arm @ _about(side["shoulder_twist"])
    forearm = _about(0.0, -side["elbow_flexion"]) @ _about(side["forearm_twist"] * twist_share)
    wrist = _about(side["forearm_twist"] * (1.0 - twist_share))
    wrist = wrist @ _about(0.0, side["wrist_deviation"], -side["wrist_flexion"])
    return {"collar": collar, "shoulder": np.swapaxes(collar, -1, -2) @ upper_arm, "elbow": forearm, "wrist": wrist}


def _leg(side: dict[str, np.ndarray], pelvis_lean: np.ndarray, pelvis_side: np.ndarray) -> dict[str, np.ndarray]:
    """Left leg's joint rotations; thigh angles are relative to an upright pelvis."""
    # `pelvis_side` tips the pelvis to its own right: the left thigh then needs that much less abduction to stay put.
    abduction = np.clip(side["hip_abduction"] - pelvis_side, *_SIDE_ANGLES["hip_abduction"][:2])
    flexion = np.clip(side["hip_flexion"] + pelvis_lean, *_SIDE_ANGLES["hip_flexion"][:2])
    return {
        "hip": _about(-flexion, 0.0, abduction) @ _about(0.0, side["hip_twist"]),
        "knee": _about(side["knee_flexion"]),
        "ankle": _about(-side["ankle_flexion"], 0.0, side["ankle_inversion"]),
        "foot": _about(-side["toe_extension"]),
    }


class Rigs:
    """How each video's person splits a movement over joints that share it: real captures differ widely here."""

    def __init__(self, rng: np.random.Generator, video_count: int):
        uniform = rng.uniform
        # Shares of collar elevation, collar protraction, forearm twist taken by the elbow, neck's share of the head.
        self.arm_coupling = np.stack([uniform(low, high, video_count) for low, high in
                                      ((0.0, 0.3), (0.0, 0.12), (0.0, 1.0), (0.2, 0.8))], axis=-1)  # fmt: skip
        spine = rng.gamma(2.5, size=(video_count, 3))
        self.spine_shares = spine / spine.sum(axis=-1, keepdims=True)
        curve = rng.normal(0.0, 5.0, size=(video_count, 2))
        self.spine_curve = np.stack([curve[:, 0], -curve[:, 0] + curve[:, 1], -curve[:, 1]], axis=-1)
        offsets = rng.normal(0.0, 3.0, size=(video_count, SMPL_JOINT_COUNT, 3))
        offsets[:, 0] = 0.0
        hinges = [_JOINT[f"{side}_{joint}"] for side in SIDES for joint in ("knee", "elbow")]
        # A hinge's own axis (knee x, elbow y) has its limit; only the other two may be off.
        offsets[:, hinges] *= np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]] * 2)
        self.offsets = rotation_matrices(np.radians(offsets))


def to_rotations(angles: np.ndarray, rigs: Rigs) -> np.ndarray:
    """Angle tracks (videos, frames, A) in degrees -> SMPL rotations (videos, frames, 24, 3, 3), y up, facing +z."""
    track = {name: angles[..., i] for i, name in enumerate(ANGLE_NAMES)}
    out = np.empty((*angles.shape[:2], SMPL_JOINT_COUNT, 3, 3))
    whole = _about(0.0, track["heading"]) @ _about(track["recline"], 0.0, track["tilt"])
    out[:, :, 0] = whole @ _about(track["pelvis_lean"], track["pelvis_twist"], track["pelvis_side"])
    for number, (side, sign) in enumerate(zip(SIDES, (1.0, -1.0), strict=True)):
        values = {name: track[f"{side}_{name}"] for name in _SIDE_ANGLES}
        parts = _arm(values, rigs.arm_coupling) | _leg(values, track["pelvis_lean"], sign * track["pelvis_side"])
        for name, rotation in parts.items():
            out[:, :, _JOINT[f"{side}_{name}"]] = rotation * MIRROR_MATRIX if number else rotation
        out[:, :, _JOINT[f"{side}_hand"]] = np.eye(3)
    for i, name in enumerate(("spine1", "spine2", "spine3")):
        share, curve = rigs.spine_shares[:, i, None], rigs.spine_curve[:, i, None]
        bend = (track["trunk_flexion"] * share + curve, track["trunk_twist"] * share, track["trunk_side"] * share)
        out[:, :, _JOINT[name]] = _about(*bend)
    neck = rigs.arm_coupling[:, 3, None]
    for name, share in (("neck", neck), ("head", 1.0 - neck)):
        out[:, :, _JOINT[name]] = _about(*(track[f"head_{axis}"] * share for axis in ("flexion", "twist", "side")))
    return out @ rigs.offsets[:, None]
