"""Vertices that users of SMPL address by number: nose, eyes, ears, fingertips, toes and heels."""

import numpy as np

from kinemesh.body.skeleton import SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from tools.demo_body.source import FINGERS, SourceBodies

_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}


def find_landmarks(bodies: SourceBodies, weights: np.ndarray, mean: np.ndarray, is_skin: np.ndarray) -> dict[str, int]:
    """Name of VERTEX_LANDMARKS -> source vertex: the outermost of its part in some direction, on the mean T-posed body.

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
    found = {"nose_tip": outermost(outer_head & (np.abs(x) < 0.01), z)}
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
    places = np.array([VERTEX_LANDMARKS[name] for name in landmarks])
    order[places] = list(landmarks.values())
    order[np.setdiff1d(np.arange(len(kept)), places)] = np.setdiff1d(kept, order[places])
    return order
