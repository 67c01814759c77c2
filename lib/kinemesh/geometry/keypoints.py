"""Keypoints in the box around their person, so that place and size in the picture no longer matter."""

import torch
from torch import Tensor

# Of a box: x and y of its middle, and its side.
PLACE_COUNT = 3
_LEAST_POINTS = 4


def crop_to_box(keypoints: Tensor) -> Tensor:
    """(..., F, K, 3) x, y in any unit and confidence -> the box around all F frames' keypoints, its larger side as [-1, 1].

    Keypoints of confidence 0 do not count for the box and are clipped to it. All 0 where fewer than 4 count, or all
    lie in one place (behaviour contract, section 7). A box of a box is the same box.
    """
    return _crop(keypoints)[0]


def crop_with_place(keypoints: Tensor) -> Tensor:
    """(..., F, K, 3) as for `crop_to_box`, by the picture's width -> (..., F, K, 6): cropped, then the box's middle and side.

    A crop alone hides at which angle the camera sees the person, and so which way the body faces; the box's place, in
    the picture's own unit and the same beside all of its keypoints, tells it. All 0 where the crop is.
    """
    cropped, middle, side = _crop(keypoints)
    place = torch.cat((middle, side), dim=-1)
    return torch.cat((cropped, place.expand(*cropped.shape[:-1], PLACE_COUNT)), dim=-1)


def _crop(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keypoints in their box, its middle (..., 1, 1, 2) and its larger side (..., 1, 1, 1); 0 where there is none."""
    xy, is_seen = keypoints[..., :2], keypoints[..., 2:] != 0
    low = xy.masked_fill(~is_seen, torch.inf).amin(dim=(-3, -2), keepdim=True)
    high = xy.masked_fill(~is_seen, -torch.inf).amax(dim=(-3, -2), keepdim=True)
    side = (high - low).amax(dim=-1, keepdim=True)
    is_usable = (is_seen.sum(dim=(-3, -2, -1), keepdim=True) >= _LEAST_POINTS) & (side > 0)
    middle, side = ((low + high) / 2).where(is_usable, 0.0), side.where(is_usable, 0.0)
    corner, scale = middle - side / 2, side.where(is_usable, 1.0)
    scaled = torch.cat((((xy - corner) / scale - 0.5) * 2, keypoints[..., 2:]), dim=-1)
    return scaled.clamp(-1, 1).where(is_usable, 0.0), middle, side
