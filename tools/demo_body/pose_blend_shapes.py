"""Pose blend shapes: SMPL's linear skinning plus these approximates dual-quaternion skinning, which keeps volume.

Kavan et al., Geometric Skinning with Approximate Dual Quaternion Blending, 2008.
"""

import logging

import numpy as np
from scipy.spatial.transform import Rotation

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_JOINT_NAMES, SMPL_PARENTS

logger = logging.getLogger(__name__)

POSE_COUNT = 500
LARGEST_OFFSET_M = 0.03
LEAST_COEFFICIENT_M = 2e-4
RIDGE = 2.0
ACTIVE_WEIGHT = 0.01
# Spread of random axis-angles by joint, radians: what people do often.
_SPREAD = {
    "hip": 0.5, "knee": 0.7, "ankle": 0.3, "foot": 0.15, "collar": 0.2, "shoulder": 0.8, "elbow": 0.9, "wrist": 0.35,
    "hand": 0.2, "spine1": 0.25, "spine2": 0.25, "spine3": 0.2, "neck": 0.25, "head": 0.25, "pelvis": 0.0,
}  # fmt: skip


def _random_rotations(rng: np.random.Generator) -> np.ndarray:
    spread = np.array([_SPREAD[name.removeprefix("left_").removeprefix("right_")] for name in SMPL_JOINT_NAMES])
    axis_angle = rng.normal(size=(POSE_COUNT, SMPL_JOINT_COUNT, 3)) * spread[:, None]
    return Rotation.from_rotvec(axis_angle.reshape(-1, 3)).as_matrix().reshape(POSE_COUNT, SMPL_JOINT_COUNT, 3, 3)


def _bone_transforms(rotations: np.ndarray, rest_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (n, J, 3, 3) and translations (n, J, 3) of each bone relative to rest."""
    world, places = rotations.copy(), np.tile(rest_joints, (len(rotations), 1, 1))
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        world[:, joint] = world[:, parent] @ rotations[:, joint]
        places[:, joint] = places[:, parent] + world[:, parent] @ (rest_joints[joint] - rest_joints[parent])
    return world, places - np.einsum("njab,jb->nja", world, rest_joints)


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of quaternions (..., 4), scalar last."""
    scalar = a[..., 3:] * b[..., 3:] - (a[..., :3] * b[..., :3]).sum(axis=-1, keepdims=True)
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    return np.concatenate([vector, scalar], axis=-1)


def _dual_quaternion_skin(
    world: np.ndarray, moves: np.ndarray, weights: np.ndarray, vertices: np.ndarray
) -> np.ndarray:
    """(V, 3) vertices skinned with bone transforms (J, 3, 3), (J, 3)."""
    real = Rotation.from_matrix(world).as_quat()
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        if real[joint] @ real[parent] < 0:
            real[joint] = -real[joint]
    dual = 0.5 * _multiply(np.pad(moves, ((0, 0), (0, 1))), real)
    # q and -q turn alike: blend each vertex's quaternions on the side of its strongest bone's.
    signs = np.sign(real[weights.argmax(axis=1)] @ real.T)
    signed = weights * np.where(signs == 0, 1, signs)
    real, dual = signed @ real, signed @ dual
    length = np.linalg.norm(real, axis=1, keepdims=True)
    real, dual = real / length, dual / length
    vector, scalar = real[:, :3], real[:, 3:]
    turned = vertices + 2 * np.cross(vector, np.cross(vector, vertices) + scalar * vertices)
    return turned + 2 * (scalar * dual[:, :3] - dual[:, 3:] * vector + np.cross(vector, dual[:, :3]))


def _wanted_offsets(
    rotations: np.ndarray, v_template: np.ndarray, weights: np.ndarray, joints: np.ndarray
) -> np.ndarray:
    """(n, V, 3): what to add to the template so that linear skinning gives the dual-quaternion result."""
    world, moves = _bone_transforms(rotations, joints)
    offsets = np.zeros((len(rotations), *v_template.shape), dtype=np.float32)
    for row in range(len(rotations)):
        blended = np.einsum("vj,jab->vab", weights, world[row])
        linear = np.einsum("vab,vb->va", blended, v_template) + weights @ moves[row]
        missing = _dual_quaternion_skin(world[row], moves[row], weights, v_template) - linear
        # A little of the identity: averaged rotations may be singular.
        offsets[row] = np.linalg.solve(blended + 1e-6 * np.eye(3), missing[..., None])[..., 0]
    return np.clip(offsets, -LARGEST_OFFSET_M, LARGEST_OFFSET_M)


def fit_pose_blend_shapes(v_template: np.ndarray, weights: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(V, 3, 207): each vertex answers only to the joints that move it, ridge-fitted over random poses.

    Args:
        v_template: (V, 3) m.
        weights: (V, J) skinning weights.
        joints: (J, 3) rest joints, m.
    """
    rotations = _random_rotations(np.random.default_rng(0))
    offsets = _wanted_offsets(rotations, v_template, weights, joints)
    features = (rotations[:, 1:] - np.eye(3)).reshape(POSE_COUNT, -1)
    posedirs = np.zeros((*v_template.shape, features.shape[1]))
    is_active = weights > ACTIVE_WEIGHT
    is_active[:, 0] = False  # the pelvis has no pose feature
    groups, group_of = np.unique(is_active, axis=0, return_inverse=True)
    for number, group in enumerate(groups):
        if not group.any():
            continue
        columns = np.flatnonzero(np.repeat(group[1:], 9))
        vertices = np.flatnonzero(group_of.reshape(-1) == number)
        used = features[:, columns]
        solver = np.linalg.solve(used.T @ used + RIDGE * np.eye(len(columns)), used.T)
        posedirs[np.ix_(vertices, range(3), columns)] = np.einsum("ck,kvd->vdc", solver, offsets[:, vertices])
    posedirs[np.abs(posedirs) < LEAST_COEFFICIENT_M] = 0
    left = np.einsum("vdc,kc->kvd", posedirs, features) - offsets
    logger.info(
        "pose blend shapes explain %.0f %% of the wanted offsets", 100 * (1 - (left**2).sum() / (offsets**2).sum())
    )
    return posedirs
