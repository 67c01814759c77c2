"""Shape blend shapes and the joint regressor, from T-posed bodies in one topology."""

import logging
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT, SMPL_PARENTS

logger = logging.getLogger(__name__)

INFLUENCES = 4
FITTED_BODIES = 120
FEWEST_CANDIDATES, MOST_CANDIDATES = 160, 500
SEAM_WEIGHT = 0.02
NEAR_M = 0.09
SUM_TO_ONE_WEIGHT = 10.0


class ShapeSpace(NamedTuple):
    v_template: np.ndarray  # (V, 3) m
    shapedirs: np.ndarray  # (V, 3, 10) m per standard deviation
    J_regressor: np.ndarray  # (J, V), rows convex


def strongest_weights(weights: np.ndarray) -> np.ndarray:
    """(V, J): only the four strongest of each row, summing to 1."""
    fourth = np.sort(weights, axis=1)[:, -INFLUENCES, None]
    kept = np.where(weights >= fourth, weights, 0)
    return kept / kept.sum(axis=1, keepdims=True)


def _principal_shapes(offsets: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(V, 3, 10): principal directions times their standard deviation, signed so that a larger beta is taller."""
    body_count = len(offsets)
    _, singular, directions = np.linalg.svd(offsets.reshape(body_count, -1), full_matrices=False)
    logger.info(
        "%d betas explain %.2f %% of variance", BETA_COUNT, 100 * (singular**2)[:BETA_COUNT].sum() / (singular**2).sum()
    )
    spread = singular[:BETA_COUNT] / np.sqrt(body_count - 1)
    shapedirs = (directions[:BETA_COUNT] * spread[:, None]).reshape(BETA_COUNT, -1, 3).transpose(1, 2, 0)
    top, bottom = mean[:, 1].argmax(), mean[:, 1].argmin()
    return shapedirs * np.sign(shapedirs[top, 1] - shapedirs[bottom, 1])


def _fit_joint_regressor(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(J, V): non-negative rows that sum to 1, fitted over bodies (n, V, 3) and their joints (n, J, 3).

    Candidates are vertices at the seam of a joint and its parent, or near it.
    """
    mean, mean_joints = vertices.mean(axis=0), joints.mean(axis=0)
    chosen = np.random.default_rng(1).choice(len(vertices), FITTED_BODIES, replace=False)
    regressor = np.zeros((SMPL_JOINT_COUNT, len(mean)))
    for joint in range(SMPL_JOINT_COUNT):
        distance = np.linalg.norm(mean - mean_joints[joint], axis=1)
        seam = np.minimum(weights[:, joint], weights[:, max(SMPL_PARENTS[joint], 0)])
        candidates = np.flatnonzero((seam > SEAM_WEIGHT) | (distance < NEAR_M))
        candidates = candidates[np.argsort(distance[candidates])][:MOST_CANDIDATES]
        if len(candidates) < FEWEST_CANDIDATES:
            candidates = np.argsort(distance)[:FEWEST_CANDIDATES]
        equations = vertices[chosen][:, candidates].transpose(0, 2, 1).reshape(-1, len(candidates))
        equations = np.concatenate([equations, np.full((1, len(candidates)), SUM_TO_ONE_WEIGHT)])
        share, _ = nnls(equations, np.append(joints[chosen, joint].reshape(-1), SUM_TO_ONE_WEIGHT))
        regressor[joint, candidates] = share / share.sum()
    error_m = np.linalg.norm(np.einsum("jv,nvd->njd", regressor, vertices) - joints, axis=-1).mean(axis=0)
    logger.info("joint regressor: mean error %.1f mm, worst joint %.1f mm", 1000 * error_m.mean(), 1000 * error_m.max())
    return regressor


def build_shape_space(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> ShapeSpace:
    """From T-posed bodies (N, V, 3), their joints (N, J, 3) and skinning weights (V, J)."""
    centre = vertices.mean(axis=1, keepdims=True)
    vertices, joints = vertices - centre, joints - centre
    mean = vertices.mean(axis=0)
    return ShapeSpace(mean, _principal_shapes(vertices - mean, mean), _fit_joint_regressor(vertices, joints, weights))
