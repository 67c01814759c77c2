"""Regressors from vertices to the H36M-17 and SPIN's extra joints; every row is a convex combination."""

import numpy as np

from kinemesh.body.skeleton import H36M_JOINT_NAMES, SMPL_JOINT_NAMES, VERTEX_LANDMARKS

CROWN_VERTICES = 12
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}

# Joint -> shares of SMPL joints and head parts.
_H36M_SHARES = {
    "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
    "spine": {"spine2": 0.7, "spine1": 0.3},
    "thorax": {"left_shoulder": 0.25, "right_shoulder": 0.25, "neck": 0.5},
    "nose": {"nose": 0.6, "skull": 0.4},
    "head_top": {"crown": 0.6, "skull": 0.4},
}
# SPIN's nine: right hip, left hip, neck (LSP), top of head (LSP), pelvis (MPII), thorax (MPII), spine, jaw, head (H36M).
_EXTRA_SHARES = (
    {"right_hip": 1.0},
    {"left_hip": 1.0},
    {"neck": 1.0},
    {"crown": 1.0},
    {"left_hip": 0.5, "right_hip": 0.5},
    {"left_shoulder": 0.35, "right_shoulder": 0.35, "neck": 0.3},
    {"spine2": 0.7, "spine1": 0.3},
    {"jaw": 1.0},
    {"skull": 1.0},
)


def _even_row(chosen: np.ndarray, vertex_count: int) -> np.ndarray:
    row = np.zeros(vertex_count)
    row[chosen] = 1
    return row / row.sum()


def build_keypoint_regressors(
    v_template: np.ndarray, weights: np.ndarray, joint_regressor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """H36M's (17, V) and SPIN's extra (9, V), from the template (V, 3), weights (V, J) and joint regressor (J, V)."""
    vertex_count = len(v_template)
    nose = v_template[VERTEX_LANDMARKS["nose_tip"]]
    head_joint = joint_regressor[_JOINT["head"]] @ v_template
    is_head = weights[:, _JOINT["head"]] > 0.5
    foremost = v_template[is_head, 2].max()
    # Mirrored vertices are equally high but for rounding: of two, the first.
    by_height = np.argsort(-np.round(v_template[:, 1], 6), kind="stable")
    parts = {name: joint_regressor[i] for name, i in _JOINT.items()} | {
        "nose": _even_row([VERTEX_LANDMARKS["nose_tip"]], vertex_count),
        "crown": _even_row(by_height[:CROWN_VERTICES], vertex_count),
        "skull": _even_row(is_head & (v_template[:, 1] > head_joint[1] + 0.06), vertex_count),
        "jaw": _even_row(
            is_head & (v_template[:, 2] > foremost - 0.07) & (v_template[:, 1] < nose[1] - 0.04), vertex_count
        ),
    }

    def row(shares: dict[str, float]) -> np.ndarray:
        return sum(share * parts[name] for name, share in shares.items())

    h36m = np.stack([row(_H36M_SHARES.get(name, {name: 1.0})) for name in H36M_JOINT_NAMES])
    return h36m, np.stack([row(shares) for shares in _EXTRA_SHARES])
