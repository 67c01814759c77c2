"""A mask over the face: a smooth surface through the landmarks of nose and eyes, and a chin; neither eyes nor mouth.

The vertices are spread evenly over directions from the middle of the head (Tutte, How to Draw a Graph, 1963), which
unfolds lids and lips; a polynomial of the direction says how far out the mask lies.
"""

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

from kinemesh.body.skeleton import SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from tools.demo_body.mannequin.cover import smooth_step
from tools.demo_body.rest_pose import RIGID_HEAD_WEIGHT, adjacency

CENTRE_M = np.array([0.0, 0.552, 0.0])
# Degrees from straight ahead, to the sides, up and down: where the mask ends, and over how many it fades before.
SIDE_END, SIDE_FADE, TOP_END, TOP_FADE, CHIN_END, CHIN_FADE = 73, 25, 45, 20, 56, 14
SEEN = 0.02  # of the mask, from which vertices are spread
SPREADS = 3  # directions leave the sphere as they are averaged; so often they are put back
DEGREE = 4
RIDGE = 1e-4
MOUTH_SHARE = 1e-4  # of its size that the mouth's cavity keeps: no triangle is without area
OUTLIER_M = 0.004
_MARKS = [VERTEX_LANDMARKS[name] for name in ("nose_tip", "left_eye", "right_eye")]
# Widths of the bumps that lead through the landmarks, as tangents: sideways, upwards, downwards.
_BUMPS = ((0.15, 0.26, 0.13), (0.15, 0.15, 0.15), (0.15, 0.15, 0.15))


def draw_together(is_one: np.ndarray) -> np.ndarray:
    """(V,) vertex that stands for each: the first of `is_one` (V,) for all of these, every other for itself."""
    stands_for = np.arange(len(is_one))
    stands_for[is_one] = is_one.argmax()
    return stands_for


def _to_polar(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (V, 3) and distances (V,) from the middle of the head."""
    offsets = vertices - CENTRE_M
    distances = np.linalg.norm(offsets, axis=1)
    return offsets / distances[:, None], distances


def _terms(directions: np.ndarray) -> np.ndarray:
    """(n, m) monomials up to DEGREE that are alike on both sides of the body."""
    x, y, z = directions.T
    powers = [(2 * i, j, k) for i in range(DEGREE // 2 + 1) for j in range(DEGREE + 1 - 2 * i) for k in (0, 1)]
    return np.stack([x**i * y**j * z**k for i, j, k in powers if i + j + k <= DEGREE], axis=1)


def _bumps(directions: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(n, 3) height at `directions` of a bump of height 1 over each of the three marks."""
    heights = []
    for mark, (side, up, down) in zip(marks, _BUMPS, strict=True):
        x, y, _ = (directions - mark).T
        heights.append(np.exp(-0.5 * ((x / side) ** 2 + (y / np.where(y > 0, up, down)) ** 2)))
    return np.stack(heights, axis=1)


class Mask:
    """Made for one template; `put_on` then takes any body of its topology."""

    def __init__(
        self,
        template: np.ndarray,
        faces: np.ndarray,
        weights: np.ndarray,
        held: np.ndarray,
        in_mouth: np.ndarray,
        in_eyes: np.ndarray,
    ):
        directions, _ = _to_polar(template)
        azimuth = np.degrees(np.arctan2(np.abs(directions[:, 0]), directions[:, 2]))
        elevation = np.degrees(np.arcsin(directions[:, 1]))
        is_head = weights[:, SMPL_JOINT_NAMES.index("head")] > RIGID_HEAD_WEIGHT
        share = smooth_step((SIDE_END - azimuth) / SIDE_FADE)
        share *= smooth_step((TOP_END - elevation) / TOP_FADE) * smooth_step((CHIN_END + elevation) / CHIN_FADE)
        share[in_mouth] = 1
        self.share = np.where(held | ~is_head, 0, share)[:, None]
        self.drawn = np.flatnonzero(in_mouth & ~held)
        # What tells the shape of a head: neither sockets, mouth and nose nor ears.
        x, y, z = template.T
        is_nose = (np.abs(x) < 0.025) & (np.abs(y - 0.545) < 0.045) & (z > 0.07)
        is_lip = (np.abs(x) < 0.03) & (np.abs(y - 0.505) < 0.02)
        self.told_by = is_head & ~in_eyes & ~in_mouth & ~is_nose & ~is_lip & (np.abs(x) < 0.068) & (z > -0.03)
        self.directions = _spread(directions, faces, is_head * share > SEEN, held, in_mouth)

    def put_on(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) with the face under the mask."""
        directions, distances = _to_polar(vertices)
        terms, told = _terms(directions[self.told_by]), distances[self.told_by]
        trust = np.ones(len(told))
        for _ in range(4):
            weighted = (terms * trust[:, None]).T
            shape = np.linalg.solve(weighted @ terms + RIDGE * np.eye(terms.shape[1]), weighted @ told)
            trust = 1 / (1 + ((told - terms @ shape) / OUTLIER_M) ** 2)
        marks = self.directions[_MARKS]
        heights = np.linalg.solve(_bumps(marks, marks), distances[_MARKS] - _terms(marks) @ shape)
        out_m = _terms(self.directions) @ shape + _bumps(self.directions, marks) @ heights
        masked = vertices + self.share * (CENTRE_M + out_m[:, None] * self.directions - vertices)
        masked[self.drawn] += MOUTH_SHARE * (vertices[self.drawn] - vertices[self.drawn].mean(axis=0))
        return masked


def _spread(
    directions: np.ndarray, faces: np.ndarray, in_mask: np.ndarray, held: np.ndarray, in_mouth: np.ndarray
) -> np.ndarray:
    """(V, 3) unit directions, those in the mask evenly between the others.

    The mouth's cavity is drawn to one point. Its vertices that are held stay inside, behind a hole of no width.
    """
    node_of = draw_together(in_mouth & ~held)
    is_inside = in_mouth & held
    neighbours = adjacency(node_of[faces[~is_inside[faces].any(axis=1)]], len(directions))
    laplacian = (scipy.sparse.diags(np.asarray(neighbours.sum(axis=1)).ravel()) - neighbours).tocsr()
    is_free = in_mask & ~held & (node_of == np.arange(len(node_of)))
    free, others = np.flatnonzero(is_free), np.flatnonzero(~is_free)
    rows = laplacian[free]
    spread = directions.copy()
    for _ in range(SPREADS):
        spread[free] = spsolve(rows[:, free].tocsc(), -(rows[:, others] @ spread[others]))
        spread[free] /= np.linalg.norm(spread[free], axis=1, keepdims=True)
    return spread[node_of]
