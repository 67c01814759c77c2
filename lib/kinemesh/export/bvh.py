"""A track as BVH motion: SMPL's 24 joints, y up, metres, degrees; row n is frame n of the video.

Laid out for Blender's importer at its default scale and axes: the root's position channels hold its place itself (its
OFFSET is 0), and a joint's channels Zrotation Xrotation Yrotation mean R = Rz Rx Ry. Source: Meredith and Maddock,
Motion Capture File Formats Explained, 2001.
"""

import numpy as np
import torch

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_JOINT_NAMES
from kinemesh.export.rig import Y_UP_SIGNS, Rig, held_rows
from kinemesh.geometry.rotation import matrix_to_euler_zxy
from kinemesh.structures import Timeline

_ROTATION_CHANNELS = "Zrotation Xrotation Yrotation"


def bvh_text(rig: Rig, timeline: Timeline) -> str:
    """The file's content; the same for the same arguments. Frames without the person repeat the last pose.

    The format knows one rate only: where the video's varies, a row is the frame that is shown then.
    """
    order: list[int] = []
    hierarchy = ["HIERARCHY", *_joint_lines(0, rig, order)]
    values = _channel_values(rig)
    # Joints' values stand in the order in which the hierarchy names them, depth first.
    rows = np.concatenate([values[:, :1], values[:, [joint + 1 for joint in order]]], axis=1).reshape(len(values), -1)
    lines = [" ".join(f"{value:.5f}" for value in row) for row in rows]
    shown = held_rows(rig.track.frame_ids, len(timeline.time_s))[timeline.at_constant_rate()]
    motion = ["MOTION", f"Frames: {len(shown)}", f"Frame Time: {1 / timeline.fps:.8f}"]
    return "\n".join([*hierarchy, *motion, *(lines[row] for row in shown), ""])


def _channel_values(rig: Rig) -> np.ndarray:
    """(F, 1 + J, 3): the root's position, then each joint's angles about z, x, y in degrees, without jumps by 360."""
    rotations = rig.rotations
    rotations[:, 0] *= torch.from_numpy(Y_UP_SIGNS)[:, None]
    angles = np.unwrap(matrix_to_euler_zxy(rotations).rad2deg().numpy(), axis=0, period=360)
    return np.concatenate([(rig.root_positions * Y_UP_SIGNS)[:, None], angles], axis=1)


def _joint_lines(joint: int, rig: Rig, order: list[int]) -> list[str]:
    """The block of a joint and everything below it; joints are added to `order` as they are met."""
    order.append(joint)
    offset = rig.offsets[joint] if joint else np.zeros(3)
    lines = [f"JOINT {SMPL_JOINT_NAMES[joint]}" if joint else f"ROOT {SMPL_JOINT_NAMES[0]}", "{", _offset(offset)]
    if joint:
        lines.append(f"\tCHANNELS 3 {_ROTATION_CHANNELS}")
    else:
        lines.append(f"\tCHANNELS 6 Xposition Yposition Zposition {_ROTATION_CHANNELS}")
    below = [child for child in range(1, SMPL_JOINT_COUNT) if rig.assets.parents[child] == joint]
    for child in below:
        lines += ["\t" + line for line in _joint_lines(child, rig, order)]
    if not below:
        # A bone needs an end: the middle of what the joint moves.
        weights = rig.assets.skinning_weights[:, joint]
        tip = np.average(rig.rest_vertices, axis=0, weights=weights) - rig.rest_joints[joint]
        lines += ["\tEnd Site", "\t{", "\t" + _offset(tip), "\t}"]
    return [*lines, "}"]


def _offset(offset_m: np.ndarray) -> str:
    return "\tOFFSET " + " ".join(f"{value:.6f}" for value in offset_m)
