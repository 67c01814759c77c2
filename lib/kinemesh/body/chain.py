"""Forward kinematics: what the bones above make of a bone's own rotation, and where joints then are.

For whole bodies in PyTorch a level of the tree at once, with gradients; for bare skeletons in NumPy, joint by joint.
"""

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_PARENTS

Levels = list[tuple[list[int], list[int]]]


def chain_along_tree(local: Tensor, levels: Levels) -> Tensor:
    """Products of each bone's (N, J, n, n) matrix with those of all bones above it: (N, bones in level order, n, n).

    A whole level of the tree is multiplied at once, since many small products cost what one does.
    """
    chained: list[Tensor] = []
    for joints, parent_places in levels:
        own = local[:, joints]
        chained.append(chained[-1][:, parent_places] @ own if chained else own)
    return torch.cat(chained, dim=1)


def tree_levels(parents: tuple[int, ...], needed: np.ndarray) -> Levels:
    """Joints by distance from the root, each level with the places of its parents in the level above.

    Bones that are neither `needed` (J,) nor lead to one that is are left out.
    """
    needed = needed.copy()
    for joint in range(len(parents) - 1, 0, -1):
        needed[parents[joint]] |= needed[joint]
    levels: Levels = [([0], [])]
    while True:
        above = levels[-1][0]
        joints = [joint for joint in range(1, len(parents)) if parents[joint] in above and needed[joint]]
        if not joints:
            return levels
        levels.append((joints, [above.index(parents[joint]) for joint in joints]))


def global_rotations(rotations: np.ndarray) -> np.ndarray:
    """Local rotations (..., J, 3, 3) -> each joint's rotation relative to the world (..., J, 3, 3)."""
    out = rotations.copy()
    for joint in range(1, SMPL_JOINT_COUNT):
        out[..., joint, :, :] = out[..., SMPL_PARENTS[joint], :, :] @ rotations[..., joint, :, :]
    return out


def joint_positions(rotations: np.ndarray, rest_joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (..., F, J, 3) in metres and global rotations of posed bodies, the root joint at its rest place.

    Args:
        rotations: (..., F, J, 3, 3) local rotations.
        rest_joints_m: (..., J, 3) joints of each video's body in the rest pose.
    """
    turned = global_rotations(rotations)
    positions = np.empty(turned.shape[:-1])
    rest = rest_joints_m[..., None, :, :]
    positions[..., 0, :] = rest[..., 0, :]
    for joint in range(1, SMPL_JOINT_COUNT):
        parent = SMPL_PARENTS[joint]
        bone = (rest[..., joint, :] - rest[..., parent, :])[..., None]
        positions[..., joint, :] = positions[..., parent, :] + (turned[..., parent, :, :] @ bone)[..., 0]
    return positions, turned
