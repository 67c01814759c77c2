"""What of the keypoints to believe, judged by the bodies that they are to improve."""

from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.body.skeleton import H36M_JOINT_NAMES

# Sides are taken for confused where the other labels lie nearer to the body by this factor, and near enough.
_NEARER_IF_SWAPPED = 0.6
_NEAR = 0.05
# A frame counts less from so many times the track's usual distance on, if that is more than `_UNLIKELY` of the stature.
_USUAL = 2.5
_UNLIKELY = 0.02
# What the body's own place counts where nothing is seen, against a keypoint's 1.
_STAND_IN = 0.1
_LIMBS = ("knee", "ankle"), ("elbow", "wrist")


class Judged(NamedTuple):
    """Keypoints of R frames, as a fit should take them."""

    keypoints_px: Tensor  # (R, K, 2)
    weights: Tensor  # (R, K) in [0, 1]
    stand_in_weights: Tensor  # (R, K) of the start's own points in the picture
    trust: Tensor  # (R,) in [0, 1]: 0 where a frame's keypoints are not this body's
    is_swapped: Tensor  # (R,) bool, left and right were taken for each other in some limbs


def judge(projected_px: Tensor, keypoints_px: Tensor, confidence: Tensor, owner: Tensor, stature_px: Tensor) -> Judged:
    """Compare keypoints with where the start's bodies are seen.

    Args:
        projected_px: (R, K, 2) the start's points, placed.
        owner: (R,) each row's person; `stature_px` (P,) how tall each is in the picture.
    """
    stature = stature_px[owner]
    keypoints_px, confidence, is_swapped = _sort_sides(projected_px, keypoints_px, confidence, owner, stature)
    distance = (projected_px - keypoints_px).norm(dim=-1) / stature[:, None]
    typical = weighted_median(distance, confidence)
    usual = torch.stack([typical[owner == person].median() for person in range(len(stature_px))])
    excess = typical / (_USUAL * usual[owner]).clamp(min=_UNLIKELY)
    trust = torch.where(excess > 1, excess**-4, 1.0)
    # Squared, since a doubtful keypoint is more often wrong than only less exact.
    believed = confidence * trust[:, None]
    # Where nobody is seen at all, motion before and after tells more.
    stand_in = _STAND_IN * (1 - believed).square() * believed.mean(dim=1, keepdim=True)
    return Judged(keypoints_px, believed.square(), stand_in, trust, is_swapped)


def _sort_sides(
    projected_px: Tensor, keypoints_px: Tensor, confidence: Tensor, owner: Tensor, stature: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Keypoints and confidence with sides exchanged where the body says so: the legs', the arms', each frame's."""
    is_swapped = torch.zeros_like(stature, dtype=torch.bool)
    for limb in _LIMBS:
        names = [
            (f"left_{part}", f"right_{part}") for part in (("hip", *limb) if "knee" in limb else ("shoulder", *limb))
        ]
        pairs = [tuple(H36M_JOINT_NAMES.index(name) for name in pair) for pair in names]
        order = torch.arange(projected_px.shape[1], device=stature.device)
        for left, right in pairs:
            order[left], order[right] = right, left
        joints = [joint for pair in pairs for joint in pair]
        apart = [
            (weight * (projected_px - points).norm(dim=-1))[:, joints].sum(1) / weight[:, joints].sum(1).clamp(min=1e-6)
            for points, weight in ((keypoints_px, confidence), (keypoints_px[:, order], confidence[:, order]))
        ]
        swapped = (apart[1] < _NEARER_IF_SWAPPED * apart[0]) & (apart[1] < _NEAR * stature)
        swapped = _fill_between(swapped, swapped | (apart[0] < _NEARER_IF_SWAPPED * apart[1]), owner)
        keypoints_px = torch.where(swapped[:, None, None], keypoints_px[:, order], keypoints_px)
        confidence = torch.where(swapped[:, None], confidence[:, order], confidence)
        is_swapped = is_swapped | swapped
    return keypoints_px, confidence, is_swapped


def _fill_between(flags: Tensor, is_decided: Tensor, owner: Tensor) -> Tensor:
    """Flags (R,) that are also set between set ones, where no frame of that person says otherwise."""
    places = torch.arange(len(flags), device=flags.device)
    before = torch.where(is_decided, places, -1).cummax(dim=0).values
    after = torch.where(is_decided, places, len(flags)).flip(0).cummin(dim=0).values.flip(0)
    is_told, is_set = [], []
    for nearest in (before, after):
        inside = nearest.clamp(0, len(flags) - 1)
        is_told.append((nearest == inside) & (owner[inside] == owner))
        is_set.append(flags[inside] | ~is_told[-1])
    return is_set[0] & is_set[1] & (is_told[0] | is_told[1])


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(N,) of values (N, K) with weights (N, K); 0 where no weight is."""
    values, order = values.sort(dim=1)
    summed = weights.gather(1, order).cumsum(dim=1)
    place = (summed < summed[:, -1:] / 2).sum(dim=1, keepdim=True).clamp(max=values.shape[1] - 1)
    return values.gather(1, place)[:, 0] * (summed[:, -1] > 0)
