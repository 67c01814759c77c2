"""A track as BVH motion: SMPL's 24 joints, metres, degrees; row n is frame n of the video.

Laid out for Blender's importer at its default scale and axes: the root's position channels hold its place itself (its
OFFSET is 0), and a joint's channels Zrotation Xrotation Yrotation mean R = Rz Rx Ry. Source: Meredith and Maddock,
Motion Capture File Formats Explained, 2001.

At rest, all channels 0, the skeleton stands in a T-pose that faces +z (-y with z up), as animation programs want it to
tell two skeletons' bones by: arms along x, legs straight down. SMPL's own rest pose is nearly that, but its limbs slope by
some degrees, and otherwise for every shape. A bone that rests along o' = A^T o instead of o, and turns by G' = G A instead
of G, is where it was: joints' own rotations become A(parent)^T R A. Trunk, collars and feet rest as SMPL's.
"""

import numpy as np
import torch

from kinemesh.body.skeleton import SIDES, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES
from kinemesh.export.rig import Rig, held_rows
from kinemesh.geometry.alignment import smallest_turn
from kinemesh.geometry.camera import Z_UP_TO_Y_UP
from kinemesh.geometry.rotation import matrix_to_euler_zxy
from kinemesh.structures import Timeline

_ROTATION_CHANNELS = "Zrotation Xrotation Yrotation"
_DOWN, _OUTWARD = np.array([0.0, -1.0, 0.0]), {"left": np.array([1.0, 0.0, 0.0]), "right": np.array([-1.0, 0.0, 0.0])}
_LIMBS = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
# Hands keep to their forearms.
_FOLLOWING = {"wrist": "elbow", "hand": "elbow"}
# Adobe Mixamo's skeleton; its fingers begin where SMPL's hands have their joint, so that the hand ends there.
_MIXAMO_TRUNK = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
}  # fmt: skip
_MIXAMO_SIDE = {
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase", "collar": "Shoulder", "shoulder": "Arm",
    "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip


def bvh_text(rig: Rig, timeline: Timeline, names: str = "smpl", *, is_z_up: bool = False) -> str:
    """The file's content; the same for the same arguments. Frames without the person repeat the last pose.

    The format knows one rate only: where the video's varies, a row is the frame that is shown then.

    Args:
        rig: of a track in axes with y up.
        names: of `kinemesh.export.formats.BVH_NAMES`.
        is_z_up: rest pose and motion with z up instead; who rests faces -y.
    """
    skeleton = _Skeleton(rig, _names(names), Z_UP_TO_Y_UP.T if is_z_up else np.eye(3))
    order: list[int] = []
    hierarchy = ["HIERARCHY", *skeleton.joint_lines(0, order)]
    values = skeleton.channel_values()
    # Joints' values stand in the order in which the hierarchy names them, depth first.
    rows = np.concatenate([values[:, :1], values[:, [joint + 1 for joint in order]]], axis=1).reshape(len(values), -1)
    lines = [" ".join(f"{value:.5f}" for value in row) for row in rows]
    shown = held_rows(rig.track.frame_ids, len(timeline.time_s))[timeline.at_constant_rate()]
    motion = ["MOTION", f"Frames: {len(shown)}", f"Frame Time: {1 / timeline.fps:.8f}"]
    return "\n".join([*hierarchy, *motion, *(lines[row] for row in shown), ""])


class _Skeleton:
    """The rig's bones at rest in a T-pose, in axes that `turn` (3, 3) brings them to."""

    def __init__(self, rig: Rig, names: list[str | None], turn: np.ndarray):
        self.rig, self.names, self.turn = rig, names, turn
        self.rests = _t_pose(rig.offsets)

    def at_rest(self, joint: int, vector: np.ndarray) -> np.ndarray:
        """(3,) what points there from a joint of SMPL's at rest does so here."""
        return self.turn @ self.rests[joint].T @ vector

    def channel_values(self) -> np.ndarray:
        """(F, 1 + J, 3): the root's position, then each joint's angles about z, x, y in degrees, without jumps by 360."""
        above = np.stack([np.eye(3), *self.rests[list(self.rig.assets.parents[1:])]])
        rotations = self.turn @ above.transpose(0, 2, 1) @ self.rig.rotations.numpy() @ self.rests @ self.turn.T
        angles = matrix_to_euler_zxy(torch.from_numpy(rotations)).rad2deg().numpy()
        places = (self.rig.root_positions @ self.turn.T)[:, None]
        return np.concatenate([places, np.unwrap(angles, axis=0, period=360)], axis=1)

    def joint_lines(self, joint: int, order: list[int]) -> list[str]:
        """The block of a joint and everything below it; joints are added to `order` as they are met."""
        order.append(joint)
        above = self.rig.assets.parents[joint]
        offset = self.at_rest(above, self.rig.offsets[joint]) if joint else np.zeros(3)
        lines = [f"{'JOINT' if joint else 'ROOT'} {self.names[joint]}", "{", _offset(offset)]
        positions = "3" if joint else "6 Xposition Yposition Zposition"
        lines.append(f"\tCHANNELS {positions} {_ROTATION_CHANNELS}")
        below = [child for child in range(1, SMPL_JOINT_COUNT) if self.rig.assets.parents[child] == joint]
        named = [child for child in below if self.names[child] is not None]
        for child in named:
            lines += ["\t" + line for line in self.joint_lines(child, order)]
        if not named:
            # A bone needs an end: the joint that has no name, or the middle of what this one moves.
            weights = self.rig.assets.skinning_weights[:, joint]
            middle = np.average(self.rig.rest_vertices, axis=0, weights=weights) - self.rig.rest_joints[joint]
            tip = self.at_rest(joint, self.rig.offsets[below[0]] if below else middle)
            lines += ["\tEnd Site", "\t{", "\t" + _offset(tip), "\t}"]
        return [*lines, "}"]


def _t_pose(offsets: np.ndarray) -> np.ndarray:
    """(J, 3, 3) A of each joint, from SMPL's offsets (J, 3) at rest: the smallest turns that lay its limbs along the axes."""
    turns = np.tile(np.eye(3), (SMPL_JOINT_COUNT, 1, 1))
    number = SMPL_JOINT_NAMES.index
    for side in SIDES:
        for joint, child in _LIMBS.items():
            wanted = _OUTWARD[side] if joint in ("shoulder", "elbow") else _DOWN
            turns[number(f"{side}_{joint}")] = smallest_turn(wanted, offsets[number(f"{side}_{child}")])
        for joint, other in _FOLLOWING.items():
            turns[number(f"{side}_{joint}")] = turns[number(f"{side}_{other}")]
    return turns


def _names(scheme: str) -> list[str | None]:
    """What each of SMPL's joints is called; None for one that is left out."""
    if scheme == "smpl":
        return list(SMPL_JOINT_NAMES)
    mixamo = _MIXAMO_TRUNK | {
        f"{side}_{joint}": side.title() + name for side in SIDES for joint, name in _MIXAMO_SIDE.items()
    }
    return [f"mixamorig:{mixamo[name]}" if name in mixamo else None for name in SMPL_JOINT_NAMES]


def _offset(offset_m: np.ndarray) -> str:
    return "\tOFFSET " + " ".join(f"{round(value, 6) + 0.0:.6f}" for value in offset_m)
