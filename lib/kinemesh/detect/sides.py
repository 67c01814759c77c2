"""Left and right that a detector takes for each other for some frames, told by what moves on: a body does not jump."""

import numpy as np

# What a frame costs whose sides are exchanged, in parts of the person's size: next to nothing, so that of two stretches
# between which everything jumps the shorter one is taken for the wrong one.
_EXCHANGED = 1e-4
# Joints hardly move from a frame to the next; exchanging sides must spare so much of a jump, in the same unit.
_LEAST_SPARED = 0.1


def exchanged_frames(keypoints_px: np.ndarray, other_side: np.ndarray) -> np.ndarray:
    """(F,) bool: in which of a person's frames in a row left and right were taken for each other.

    Of all ways to exchange the sides of whole frames, the one in which joints move least (Viterbi's algorithm).

    Args:
        keypoints_px: (F, J, 3) x, y, confidence.
        other_side: (J,) the place of each joint's counterpart on the other side, its own if there is none.
    """
    paired = other_side != np.arange(len(other_side))
    points, turned = keypoints_px[:, paired], keypoints_px[:, other_side][:, paired]
    size = np.maximum(np.ptp(keypoints_px[..., 1], axis=1), np.ptp(keypoints_px[..., 0], axis=1)).clip(1.0)
    kept, crossed = (_jump(points[:-1], after[1:]) / size[1:] for after in (points, turned))
    crossed = crossed + _LEAST_SPARED
    cost, came_from = np.array([0.0, _EXCHANGED]), []
    for stay, change in zip(kept, crossed, strict=True):
        ways = cost[:, None] + np.array([(stay, change), (change, stay)])  # from, to
        came_from.append(ways.argmin(axis=0))
        cost = ways.min(axis=0) + np.array([0.0, _EXCHANGED])
    states = [int(cost.argmin())]
    for before in reversed(came_from):
        states.append(int(before[states[-1]]))
    return np.array(states[::-1], dtype=bool)


def _jump(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(F,) mean distance of joints (F, J, 3), by how sure both are."""
    weights = before[..., 2] * after[..., 2] + 1e-6
    distance = np.linalg.norm(after[..., :2] - before[..., :2], axis=-1)
    return (distance * weights).sum(axis=1) / weights.sum(axis=1)
