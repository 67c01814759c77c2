"""SMPL's rotations from those of another skeleton.

A bone of the file turns from its rest by Q(t); the same bone of SMPL's is turned by G(t) = W Q(t) K, with W from the file's
world to y up, and K constant: what lays SMPL's bone, as it is at rest, along the file's. Where the file's rest pose stands,
K is known from it: the axes it stands in, and for arms and legs the smallest turn between the two skeletons' directions.
Where it does not, K is fitted to the motion: it lays each of SMPL's bones where the file's joints are, and turns it about
itself so that elbows, knees and ankles bend the way they can, on the mean over frames, or where that says nothing, so that it is
twisted against its parent as little as can be. Either way every bone of arms and legs points where the file's does. (This
project's own; the smallest mean twist is a Procrustes problem with one unknown.)
"""

from collections.abc import Mapping

import numpy as np
import torch

from kinemesh.body.skeleton import SIDES, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.geometry.alignment import cross_matrix, nearest_rotation, smallest_turn, turn_about
from kinemesh.geometry.rotation import turn_part_way
from kinemesh.prepare.bvh.skeleton import TRUNK, Rest, number

Pose = tuple[dict[int, np.ndarray], dict[int, np.ndarray]]  # as `Chain.pose` gives it
# The bone of these leads to the next joint, and is laid along the file's; hands keep to their forearms.
_LAID = {f"{side}_{joint}": f"{side}_{child}" for side in SIDES for joint, child in
         (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))}  # fmt: skip
# The joint below bends about an axis of the body at rest, and moves the bone behind it to the front or the back, along z.
_BENDS = {f"{side}_{joint}": (f"{side}_{child}", f"{side}_{next_}", axis, sign) for side in SIDES
          for joint, child, next_, axis, sign in (("hip", "knee", "ankle", 0, -1.0), ("knee", "ankle", "foot", 0, 1.0),
                                                  ("shoulder", "elbow", "wrist", 1, 1.0))}  # fmt: skip
_LEAST_BENT = 0.1  # mean sine of the angle, below which it says nothing
_TRIED = 720  # angles
_LEAST_STRAIGHT = np.cos(np.radians(50.0))
_FILLED = tuple(map(number, ("spine1", "spine2", "spine3", "neck")))


def constants_of_rest(rest: Rest, matched: Mapping[int, int], rest_joints_m: np.ndarray) -> dict[int, np.ndarray]:
    """K (3, 3) of each matched joint, where the file's rest pose stands."""
    out = {joint: rest.axes for joint in matched}
    for name, child_name in _LAID.items():
        joint, child = number(name), number(child_name)
        own = rest_joints_m[child] - rest_joints_m[joint]
        other = rest.axes.T @ (rest.places_m[matched[child]] - rest.places_m[matched[joint]])
        out[joint] = rest.axes @ smallest_turn(own, other)
        if name.endswith("elbow") and child in out:
            out[child] = out[joint]
            hand = number(child_name.replace("wrist", "hand"))
            if hand in out:
                out[hand] = out[joint]
    return out


def constants_of_motion(
    pose: Pose, matched: Mapping[int, int], rest_joints_m: np.ndarray, trunk: np.ndarray | None = None
) -> dict[int, np.ndarray]:
    """K (3, 3) of each matched joint, from frames of the motion, where the rest pose does not stand.

    `trunk` (3, 3) are the axes of a trunk that is straight at rest (`kinemesh.prepare.bvh.skeleton.trunk_axes`): a spine's
    bones are not laid along the file's, since SMPL's spine is curved, and others are not.
    """
    turned, places = pose
    above = {joint: _known_above(joint, matched) for joint in matched}
    out = _of_trunk(turned, matched, above, trunk)
    for joint in sorted(matched):  # SMPL's parents come before their children
        if joint in out:
            continue
        rotation, place = turned[matched[joint]], places[matched[joint]]
        children = [child for child in matched if above[child] == joint]
        own = rest_joints_m[children] - rest_joints_m[joint]
        other = np.array(
            [((places[matched[child]] - place)[:, None] @ rotation)[:, 0].mean(axis=0) for child in children]
        ).reshape(-1, 3)
        own, other = (part / np.linalg.norm(part, axis=1, keepdims=True).clip(min=1e-9) for part in (own, other))
        # The mean of this joint's turning against its parent's, but for K.
        parent, relative = above[joint], np.eye(3)
        if parent >= 0:
            relative = ((turned[matched[parent]] @ out[parent]).mT @ rotation).mean(axis=0)
        if len(children) > 1:
            out[joint] = _nearest(other.T @ own)
        elif len(children) == 1:
            laid = smallest_turn(own[0], other[0])
            twist = _twist_by_bends(joint, pose, matched, laid, rest_joints_m)
            out[joint] = _least_twisted(relative, laid, own[0]) if twist is None else laid @ twist
        else:
            out[joint] = _nearest(relative.T)
    return out


def _of_trunk(
    turned: Mapping[int, np.ndarray], matched: Mapping[int, int], above: Mapping[int, int], trunk: np.ndarray | None
) -> dict[int, np.ndarray]:
    """K of the trunk's joints; of none where these axes would make it a contorted one on the mean: its own are others."""
    joints = [number(joint) for joint in TRUNK if number(joint) in matched] if trunk is not None else []
    for joint in joints[1:]:
        relative = (turned[matched[above[joint]]].mT @ turned[matched[joint]]).mean(axis=0)
        if np.trace(trunk.T @ _nearest(relative) @ trunk) < 1 + 2 * _LEAST_STRAIGHT:
            return {}
    return dict.fromkeys(joints, trunk)


def _twist_by_bends(
    joint: int, pose: Pose, matched: Mapping[int, int], laid: np.ndarray, rest_joints_m: np.ndarray
) -> np.ndarray | None:
    """(3, 3) the turn of a bone about itself by which the joint below bends as a hinge does; None: it does not tell.

    About a hinge's axis a point keeps its coordinate along that axis, and here it leaves its rest to one side only.
    """
    child_name, next_name, axis, sign = _BENDS.get(SMPL_JOINT_NAMES[joint], ("", "", 0, 0.0))
    if not sign or number(child_name) not in matched or number(next_name) not in matched:
        return None
    child, next_ = number(child_name), number(next_name)
    turned, places = pose
    own, rest = (part / np.linalg.norm(part) for part in (rest_joints_m[child] - rest_joints_m[joint],
                                                          rest_joints_m[next_] - rest_joints_m[child]))  # fmt: skip
    bone = places[matched[next_]] - places[matched[child]]
    bone = bone / np.linalg.norm(bone, axis=1, keepdims=True).clip(min=1e-9)
    bone = (bone[:, None] @ turned[matched[joint]])[:, 0] @ laid
    if np.linalg.norm(np.cross(bone, own), axis=1).mean() < _LEAST_BENT:
        return None
    angles = np.arange(_TRIED) * (2 * np.pi / _TRIED)
    turns = np.stack([turn_about(own, angle) for angle in angles])
    seen = bone @ turns  # (angles, n, 3)
    off_plane = seen[..., axis] - rest[axis]
    wrong_side = np.minimum(sign * (seen[..., 2] - rest[2]), 0.0)
    return turns[int((off_plane**2 + wrong_side**2).mean(axis=1).argmin())]


def _known_above(joint: int, matched: Mapping[int, int]) -> int:
    """The nearest joint above that the file has; -1 for the root."""
    parent = SMPL_PARENTS[joint]
    while parent >= 0 and parent not in matched:
        parent = SMPL_PARENTS[parent]
    return parent


def smpl_rotations(
    turned: Mapping[int, np.ndarray], matched: Mapping[int, int], constants: Mapping[int, np.ndarray], world: np.ndarray
) -> np.ndarray:
    """Local rotations (n, 24, 3, 3), y up; joints that the file lacks follow their parents, those of the spine share."""
    globals_ = {joint: world @ turned[place] @ constants[joint] for joint, place in matched.items()}
    _share_spine(globals_)
    for joint in range(SMPL_JOINT_COUNT):
        if joint not in globals_:
            globals_[joint] = globals_[SMPL_PARENTS[joint]]
    return np.stack(
        [globals_[0], *(globals_[SMPL_PARENTS[j]].mT @ globals_[j] for j in range(1, SMPL_JOINT_COUNT))], axis=1
    )


def _share_spine(globals_: dict[int, np.ndarray]) -> None:
    """Joints of the trunk between two that are known turn by equal parts of the way from the one to the other."""
    known, end = 0, number("head")
    waiting: list[int] = []
    for joint in (*_FILLED, end):
        if joint not in globals_:
            waiting.append(joint)
            continue
        for place, between in enumerate(waiting, start=1):
            globals_[between] = _between(globals_[known], globals_[joint], place / (len(waiting) + 1))
        known, waiting = joint, []


def _between(first: np.ndarray, last: np.ndarray, share: float) -> np.ndarray:
    one, other = (torch.from_numpy(part) for part in (first, last))
    return turn_part_way(one, other, torch.full((len(one),), share, dtype=one.dtype)).numpy()


def _nearest(matrix: np.ndarray) -> np.ndarray:
    return nearest_rotation(torch.from_numpy(matrix)).numpy()


def _least_twisted(relative: np.ndarray, laid: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """`laid` (3, 3), turned about the bone so that relative @ laid is nearest to no turning at all.

    trace(M R(theta)) over turns about the bone is a + b cos(theta) + c sin(theta).
    """
    matrix, along = relative @ laid, np.outer(bone, bone)
    cosine, sine = np.trace(matrix @ (np.eye(3) - along)), np.trace(matrix @ cross_matrix(bone))
    return laid @ turn_about(bone, float(np.arctan2(sine, cosine)))
