"""What of a body is looked at to find the world that it stands in: a few points, and the eye that saw them."""

import itertools
from typing import NamedTuple

import numpy as np

from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import SIDES, VERTEX_LANDMARKS
from kinemesh.structures import CONTACT_NAMES

# Landmarks in the order of CONTACT_NAMES: toes, heels, hands; then what else may lie on a floor.
CONTACT_POINTS = ("left_big_toe", "right_big_toe", "left_heel", "right_heel", "left_middle", "right_middle")
_INSIDE_M = {
    "pelvis": 0.1, "thorax": 0.1, "left_knee": 0.05, "right_knee": 0.05, "left_elbow": 0.04, "right_elbow": 0.04,
    "head_top": 0.05,
}  # fmt: skip
POINT_NAMES = (*CONTACT_POINTS, *_INSIDE_M)
CONTACT_COUNT = len(CONTACT_NAMES)
FEET = tuple(number for number, name in enumerate(CONTACT_NAMES) if not name.endswith("hand"))
TOE_OF_HEEL = {CONTACT_NAMES.index(f"{side}_heel"): CONTACT_NAMES.index(f"{side}_toe") for side in SIDES}
PELVIS, THORAX = POINT_NAMES.index("pelvis"), POINT_NAMES.index("thorax")
KNEES = tuple(POINT_NAMES.index(f"{side}_knee") for side in SIDES)
# A finger's middle, above what the hand lies on.
_HAND_M = 0.02


class Figure(NamedTuple):
    """One person, F frames, in axes that stand still: the camera's if it stands, else those its path is told in."""

    frame_ids: np.ndarray  # (F,) int64
    points_m: np.ndarray  # (F, P, 3) `POINT_NAMES`
    eyes_m: np.ndarray  # (F, 3) where the camera is
    is_told: np.ndarray  # (F,) bool, False where the body is a guess between others

    @property
    def rays(self) -> np.ndarray:
        """(F, P, 3) unit vectors from the camera: along them a place is known worst."""
        away = self.points_m - self.eyes_m[:, None]
        return away / np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)

    @property
    def segments(self) -> list[slice]:
        """Frames in a row."""
        cuts = [0, *(np.flatnonzero(np.diff(self.frame_ids) > 1) + 1).tolist(), len(self.frame_ids)]
        return [slice(*pair) for pair in itertools.pairwise(cuts)]


def clearances_m(assets: BodyAssets) -> np.ndarray:
    """(P,) how high each of `POINT_NAMES` is above what it rests on; of toes and heels that of a body that stands."""
    sole = assets.v_template[:, 1].min()
    feet = [assets.v_template[VERTEX_LANDMARKS[name], 1] - sole for name in CONTACT_POINTS[: len(FEET)]]
    return np.array([*feet, _HAND_M, _HAND_M, *_INSIDE_M.values()])
