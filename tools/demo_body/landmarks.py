"""Vertices that users of SMPL address by number: nose, eyes, ears, fingertips, toes and heels."""

import numpy as np

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from tools.demo_body.source import FINGERS, SourceBodies

# SMPL vertex numbers that smplx.vertex_ids names, in its VertexJointSelector's use.
SMPL_VERTEX = {
    "nose": 332,
    "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
}  # fmt: skip
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}


def find_landmarks(bodies: SourceBodies, weights: np.ndarray, mean: np.ndarray, is_skin: np.ndarray) -> dict[str, int]:
    """Name of SMPL_VERTEX -> source vertex: the outermost of its part in some direction, on the mean T-posed body.

    Args:
        weights: (S, J) smoothed skinning weights.
        mean: (S, 3) mean T-posed body, m.
        is_skin: (S,) bool.
    """
    x, y, z = mean.T

    def belongs_to(joint: str) -> np.ndarray:
        return weights[:, _JOINT[joint]] > 0.5

    def outermost(candidates: np.ndarray, score: np.ndarray) -> int:
        rows = np.flatnonzero(candidates & is_skin)
        return int(rows[np.argmax(score[rows])])

    inside = np.zeros(len(mean), dtype=bool)
    for region in ("eye_cavity.L", "eye_cavity.R", "mouth_cavity"):
        inside[bodies.faces[bodies.regions[region]]] = True
    outer_head = belongs_to("head") & ~inside
    found = {"nose": outermost(outer_head & (np.abs(x) < 0.01), z)}
    is_skin_face = is_skin[bodies.faces].all(axis=1)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        found[f"{side}_ear"] = outermost(outer_head, sign * x)
        lids = np.zeros(len(mean), dtype=bool)
        lids[bodies.faces[bodies.regions[f"eye_cavity.{side[0].upper()}"] & is_skin_face]] = True
        found[f"{side}_eye"] = outermost(lids, z)
        for finger in FINGERS:
            # The thumb points forwards as much as sideways.
            score = sign * x + (z if finger == "thumb" else 0)
            found[f"{side}_{finger}"] = outermost(bodies.fingertips[f"{side}_{finger}"], score)
        toes = belongs_to(f"{side}_foot")
        outwards = sign * (x - x[toes].mean())
        found[f"{side}_big_toe"] = outermost(toes, z - outwards)
        found[f"{side}_small_toe"] = outermost(toes, z + 1.5 * outwards)
        found[f"{side}_heel"] = outermost(belongs_to(f"{side}_ankle") & (y < y.min() + 0.03), -z)
    return found


def order_with_landmarks(kept: np.ndarray, landmarks: dict[str, int]) -> np.ndarray:
    """Kept source vertices, in the order in which landmarks have SMPL's numbers and the others keep their sequence."""
    order = np.empty(len(kept), dtype=np.int64)
    places = np.array([SMPL_VERTEX[name] for name in landmarks])
    order[places] = list(landmarks.values())
    order[np.setdiff1d(np.arange(len(kept)), places)] = np.setdiff1d(kept, order[places])
    return order
