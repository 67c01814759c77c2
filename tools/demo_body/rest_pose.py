"""Brings the source's bodies to SMPL's rest: a T-pose, smooth skinning weights, closed eye sockets."""

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_JOINT_NAMES, SMPL_PARENTS
from tools.demo_body.source import SourceBodies

SMOOTHING_STEPS = 12
RIGID_HEAD_WEIGHT = 0.98
EYE_DEPTH_MARGIN_M = 0.001
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}


def adjacency(faces: np.ndarray, vertex_count: int) -> scipy.sparse.csr_matrix:
    """(V, V) of ones between two corners of a face, which may also have equal corners."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    one_way = scipy.sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(vertex_count, vertex_count)).tocsr()
    return ((one_way + one_way.T) > 0).astype(float)


def skin_vertices(bodies: SourceBodies) -> np.ndarray:
    """(S,) bool: the largest connected part, which is the skin; the others are eyes and teeth."""
    _, labels = connected_components(adjacency(bodies.faces, len(bodies.skinning_weights)), directed=False)
    return labels == np.bincount(labels).argmax()


def smooth_weights(weights: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(S, J): weights averaged with their neighbours'; the source's are painted by hand and hard at the shoulders."""
    neighbours = adjacency(faces, len(weights))
    neighbour_count = np.maximum(np.asarray(neighbours.sum(axis=1)).ravel(), 1)
    average = scipy.sparse.diags(1 / neighbour_count) @ neighbours
    smoothed = weights
    for _ in range(SMOOTHING_STEPS):
        smoothed = 0.5 * smoothed + 0.5 * (average @ smoothed)
    # A head bends nowhere.
    is_rigid = weights[:, _JOINT["head"]] > RIGID_HEAD_WEIGHT
    smoothed[is_rigid] = weights[is_rigid]
    return smoothed / smoothed.sum(axis=1, keepdims=True)


def close_eye_sockets(bodies: SourceBodies, is_skin: np.ndarray) -> np.ndarray:
    """(N, S, 3): vertices with the sockets' skin slid onto the front of the eyeballs, which are dropped later."""
    vertices = bodies.vertices.copy()
    mean = vertices.mean(axis=0)
    is_skin_face = is_skin[bodies.faces].all(axis=1)
    for side in "LR":
        is_cavity = bodies.regions[f"eye_cavity.{side}"]
        rim = bodies.faces[~is_cavity & is_skin_face]
        cavity = np.setdiff1d(bodies.faces[is_cavity & is_skin_face], rim)
        eyeball = np.unique(bodies.faces[bodies.regions[f"eye_front.{side}"] | bodies.regions[f"eye_back.{side}"]])
        eyeball = eyeball[~is_skin[eyeball]]
        front = eyeball[mean[eyeball, 2] > mean[eyeball, 2].mean() - EYE_DEPTH_MARGIN_M]
        distance, nearest = cKDTree(mean[front, :2]).query(mean[cavity, :2], k=3)
        share = 1 / (distance + 1e-4)
        share /= share.sum(axis=1, keepdims=True)
        vertices[:, cavity] = np.einsum("ck,nckd->ncd", share, vertices[:, front[nearest]])
    return vertices


def _turn_onto(directions: np.ndarray, wanted: tuple[float, float, float]) -> np.ndarray:
    """Smallest rotations (N, 3, 3) that take directions (N, 3) onto one; none may point the opposite way."""
    start = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    end = np.asarray(wanted) / np.linalg.norm(wanted)
    axis, cosine = np.cross(start, end), start @ end
    cross_matrix = np.zeros((len(start), 3, 3))
    cross_matrix[:, [2, 0, 1], [1, 2, 0]] = axis
    cross_matrix[:, [1, 2, 0], [2, 0, 1]] = -axis
    return np.eye(3) + cross_matrix + cross_matrix @ cross_matrix / (1 + cosine)[:, None, None]


def _t_pose_rotations(joints: np.ndarray) -> np.ndarray:
    """World rotations (N, J, 3, 3) that stretch the arms sideways and set the legs upright; feet keep theirs."""
    rotations = np.tile(np.eye(3), (len(joints), SMPL_JOINT_COUNT, 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bones = {
            ("shoulder", "elbow"): (sign, 0, 0),
            ("elbow", "wrist"): (sign, 0, 0),
            ("wrist", "hand"): (sign, 0, 0),
            ("hip", "knee"): (0.06 * sign, -1, 0),
            ("knee", "ankle"): (-0.02 * sign, -1, -0.06),
        }
        for (start, end), direction in bones.items():
            start_joint, end_joint = _JOINT[f"{side}_{start}"], _JOINT[f"{side}_{end}"]
            rotations[:, start_joint] = _turn_onto(joints[:, end_joint] - joints[:, start_joint], direction)
        rotations[:, _JOINT[f"{side}_hand"]] = rotations[:, _JOINT[f"{side}_wrist"]]
    return rotations


def to_t_pose(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, S, 3) and joints (N, J, 3) of bodies posed by linear blend skinning, each with its own joints."""
    rotations = _t_pose_rotations(joints)
    posed_joints = joints.copy()
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        bone = joints[:, joint] - joints[:, parent]
        posed_joints[:, joint] = posed_joints[:, parent] + np.einsum("nab,nb->na", rotations[:, parent], bone)
    posed = np.zeros_like(vertices)
    for joint in range(SMPL_JOINT_COUNT):
        moved = np.flatnonzero(weights[:, joint] > 0)
        local = vertices[:, moved] - joints[:, None, joint]
        turned = np.einsum("nab,nvb->nva", rotations[:, joint], local) + posed_joints[:, None, joint]
        posed[:, moved] += weights[moved, joint, None] * turned
    return posed, posed_joints
