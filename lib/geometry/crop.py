"""Keypoints in the box around their person, so that place and size in the picture no longer matter."""

import torch
from torch import Tensor

_LEAST_POINTS = 4


def crop_to_box(keypoints: Tensor) -> Tensor:
    """(..., F, K, 3) x, y in any unit and confidence -> the box around all F frames' keypoints, its larger side as [-1, 1].

    Keypoints of confidence 0 do not count for the box and are clipped to it. All 0 where fewer than 4 count, or all
    lie in one place (behaviour contract, section 7). A box of a box is the same box.
    """
    xy, is_seen = keypoints[..., :2], keypoints[..., 2:] != 0
    low = xy.masked_fill(~is_seen, torch.inf).amin(dim=(-3, -2), keepdim=True)
    high = xy.masked_fill(~is_seen, -torch.inf).amax(dim=(-3, -2), keepdim=True)
    side = (high - low).amax(dim=-1, keepdim=True)
    is_usable = (is_seen.sum(dim=(-3, -2, -1), keepdim=True) >= _LEAST_POINTS) & (side > 0)
    side = side.where(is_usable, 1.0)
    corner = ((low + high - side) / 2).where(is_usable, 0.0)
    scaled = torch.cat((((xy - corner) / side - 0.5) * 2, keypoints[..., 2:]), dim=-1)
    return scaled.clamp(-1, 1).where(is_usable, 0.0)
