"""Made-up people who stand: both feet stay where they are, by the inverse kinematics of two legs.

The demo's people who idle and talk shuffle about by half a metre in five seconds, which says nothing of standing.
"""

import numpy as np

from kinemesh.body.chain import joint_positions
from kinemesh.body.skeleton import SIDES, SMPL_JOINT_NAMES
from kinemesh.motion.anatomy import ANGLE_INDEX, rotation_matrices
from kinemesh.motion.motion import Motion

_JOINT = {name: number for number, name in enumerate(SMPL_JOINT_NAMES)}
# A leg is never stretched further than that part of its length.
_LONGEST = 0.998


def plant_feet(motion: Motion, rest_joints_m: np.ndarray) -> Motion:
    """The same people (videos, frames, ...), not turning round, the pelvis swaying as it did over feet that now stay.

    `rest_joints_m` (videos, 24, 3). Feet stay where, and turned as, they are in the frame in which they are most usual.
    """
    heading = np.radians(motion.angles[..., ANGLE_INDEX["heading"]])
    back = rotation_matrices(np.stack((np.zeros_like(heading), -heading, np.zeros_like(heading)), axis=-1))
    rotations = motion.rotations.copy()
    rotations[:, :, 0] = back @ rotations[:, :, 0]
    joints, turned = joint_positions(rotations, rest_joints_m)
    ankles = [_JOINT[f"{side}_ankle"] for side in SIDES]
    feet = joints[:, :, ankles]
    root = np.zeros_like(motion.root_m)
    root[..., ::2] = -feet.mean(axis=2)[..., ::2]
    root[..., 1] = motion.root_m[..., 1]
    feet = feet + root[:, :, None]
    usual = np.median(feet, axis=1, keepdims=True)
    frame = np.linalg.norm(feet - usual, axis=-1).sum(axis=2).argmin(axis=1)
    people = np.arange(len(root))
    feet, soles = feet[people, frame], turned[people, frame][:, ankles]  # (videos, 2, ...)
    toes = [_JOINT[f"{side}_foot"] for side in SIDES]
    rotations[:, :, toes] = rotations[people, frame][:, None, toes]
    hips = joints[:, :, [_JOINT[f"{side}_hip"] for side in SIDES]] + root[:, :, None]
    lengths = _bones(rest_joints_m)
    # Who would have to stretch a leg stands lower.
    longest = _LONGEST * np.linalg.norm(lengths, axis=-1).sum(axis=2)  # (videos, 2)
    away = hips - feet[:, None]
    high = np.sqrt(np.maximum(longest[:, None] ** 2 - np.square(away[..., ::2]).sum(axis=-1), 0.01))
    down = np.maximum(away[..., 1] - high, 0.0).max(axis=2)
    root[..., 1] -= down
    hips[..., 1] -= down[..., None]
    for side, name in enumerate(SIDES):
        _bend_leg(rotations, turned[:, :, 0], name, hips[:, :, side], feet[:, side], soles[:, side], lengths[:, side])
    return motion._replace(rotations=rotations, root_m=root)


def _bones(rest_joints_m: np.ndarray) -> np.ndarray:
    """(videos, 2, 2, 3) thigh and shank of each side."""
    places = rest_joints_m[:, [[_JOINT[f"{side}_{name}"] for name in ("hip", "knee", "ankle")] for side in SIDES]]
    return np.diff(places, axis=2)


def _bend_leg(
    rotations: np.ndarray,
    pelvis: np.ndarray,
    side: str,
    hip: np.ndarray,
    foot: np.ndarray,
    sole: np.ndarray,
    bones: np.ndarray,
) -> None:
    """Set one leg's rotations (videos, frames, 24, 3, 3) so that it reaches from hip (videos, frames, 3) to foot (videos, 3)."""
    thigh, shank = np.linalg.norm(bones, axis=-1).T[..., None]  # (videos, 1) each
    reach = foot[:, None] - hip
    distance = np.linalg.norm(reach, axis=-1)
    ahead = pelvis[..., 2] + sole[:, None, :, 2]
    along = (thigh**2 - shank**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(thigh**2 - along**2, 0.0))
    axes = _axes(reach, ahead)
    knee = axes[..., 0] * along[..., None] + axes[..., 1] * aside[..., None]
    forward = np.broadcast_to((0.0, 0.0, 1.0), bones[:, None, 0].shape)
    upper = _axes(knee, ahead) @ _axes(bones[:, None, 0], forward).swapaxes(-1, -2)
    lower = _axes(reach - knee, ahead) @ _axes(bones[:, None, 1], forward).swapaxes(-1, -2)
    rotations[:, :, _JOINT[f"{side}_hip"]] = pelvis.swapaxes(-1, -2) @ upper
    rotations[:, :, _JOINT[f"{side}_knee"]] = upper.swapaxes(-1, -2) @ lower
    rotations[:, :, _JOINT[f"{side}_ankle"]] = lower.swapaxes(-1, -2) @ sole[:, None]


def _axes(direction: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """(..., 3, 3) whose columns are the direction, what of `ahead` is at right angles to it, and their cross product."""
    first = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    second = ahead - (ahead * first).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack((first, second, np.cross(first, second)), axis=-1)
