"""Gives regressed keypoints back their places, by sliding the head's vertices along its surface, which keeps its shape."""

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import splu

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.render.shading import vertex_normals
from tools.demo_body.mannequin.face import draw_together
from tools.demo_body.rest_pose import RIGID_HEAD_WEIGHT, adjacency

ACROSS = 100.0  # cost of leaving the surface
ALONG = 1e-3
SAME = 1e-9


def keep_means(
    body: dict[str, np.ndarray], before: np.ndarray, after: np.ndarray, held: np.ndarray, in_mouth: np.ndarray
) -> np.ndarray:
    """`after` (V, 3, n) with the keypoints regressed from `before`, held vertices untouched.

    Each of the n bodies or directions is moved as little and as evenly as can be, the mouth's vertices as one.
    """
    stands_for = draw_together(in_mouth & ~held)
    is_free = ~held & (body["skinning_weights"][:, SMPL_JOINT_NAMES.index("head")] > RIGID_HEAD_WEIGHT)
    is_free &= stands_for == np.arange(len(held))
    rows = np.concatenate([body["J_regressor_h36m"], body["J_regressor_extra"]])
    missing = np.einsum("kv,vdn->kdn", rows, before - after)
    together = np.zeros_like(rows)
    np.add.at(together.T, stands_for, rows.T)
    # The rows depend on one another: as many as are independent, each of length 1.
    shares, sizes, kept = np.linalg.svd(together[:, is_free], full_matrices=False)
    is_needed = sizes > SAME * sizes[0]
    missing = np.einsum("kr,kdn->rdn", shares[:, is_needed] / sizes[is_needed], missing)
    # Unknowns are x, y, z of each free vertex in turn.
    wanted = np.kron(kept[is_needed], np.eye(3))
    normals = vertex_normals(after[..., 0], body["faces"])[is_free]
    response = _solver(body["faces"], stands_for, is_free, normals).solve(np.ascontiguousarray(wanted.T))
    moves = np.zeros_like(after)
    amounts = np.linalg.solve(wanted @ response, missing.reshape(len(wanted), -1))
    moves[is_free] = (response @ amounts).reshape(-1, 3, after.shape[2])
    return after + moves[stands_for]


def _solver(faces: np.ndarray, stands_for: np.ndarray, is_free: np.ndarray, normals: np.ndarray):
    """Solves with the energy of displacements (3n,) of the free vertices: uneven ones and those across the surface."""
    neighbours = adjacency(stands_for[faces], len(is_free))
    laplacian = scipy.sparse.diags(np.asarray(neighbours.sum(axis=1)).ravel()) - neighbours
    uneven = scipy.sparse.kron(laplacian.tocsr()[is_free][:, is_free], scipy.sparse.eye(3))
    across = scipy.sparse.block_diag([ACROSS * np.outer(n, n) + ALONG * np.eye(3) for n in normals])
    return splu((uneven + across).tocsc())
