"""Pixels to what the network reads: by the picture's width, or in the box around the person.

In the box, place and size in the picture no longer matter. The array functions at the end do the same for a person's
keypoints in a file. Sources: behaviour contract sections 1 and 7, section 9 for the shorter side.
"""

import numpy as np
import torch
from torch import Tensor

# Of a box: x and y of its middle, and its side.
PLACE_COUNT = 3
_LEAST_POINTS = 4

# A frame with fewer keypoints tells nothing of a pose.
LEAST_KEYPOINTS = 4


def network_keypoints(keypoints_px: Tensor, image_size: Tensor, confidence: Tensor | None) -> Tensor:
    """(B, T, K, 2) pixels and (B, T, K) confidences -> (B, T, K, 3) x, y in [-1, 1] by image width, confidence.

    `image_size` is (2,) or (B, T, 2) width and height. Pixels outside the image lie outside [-1, 1]; no confidence
    means full confidence.
    """
    width = image_size[..., None, :1]
    half_extent = image_size[..., None, :] / width  # 1 and h / w
    xy = keypoints_px / width * 2 - half_extent
    score = torch.ones_like(xy[..., 0]) if confidence is None else confidence.clamp(0, 1)
    return torch.cat((xy, score[..., None]), dim=-1)


def fill_missing(keypoints: Tensor, lengths: np.ndarray) -> Tensor:
    """(F, K, 3) x, y in any unit and confidence of videos one after another -> the same with a place for what has confidence 0.

    A keypoint that is not seen lies on the line between where it was before and after, or where it was nearest in time;
    one never seen in its video in the middle of the others. Confidences stay as they are. `lengths` (videos,) add up to F.
    """
    is_seen = keypoints[..., 2] > 0
    if bool(is_seen.all()):
        return keypoints
    rows = torch.arange(len(keypoints), device=keypoints.device)[:, None]
    before = torch.where(is_seen, rows, -1).cummax(dim=0).values
    after = torch.where(is_seen, rows, len(keypoints)).flip(0).cummin(dim=0).values.flip(0)
    counts = torch.as_tensor(np.asarray(lengths, dtype=np.int64), device=keypoints.device)
    stops = counts.cumsum(0).repeat_interleave(counts)
    starts = stops - counts.repeat_interleave(counts)
    row, joint = (~is_seen).nonzero(as_tuple=True)
    before, after = before[row, joint], after[row, joint]
    has_before, has_after = before >= starts[row], after < stops[row]
    is_known = torch.ones_like(is_seen)
    is_known[row, joint] = has_before | has_after
    before, after = (
        torch.where(has_before, before, after).clamp(max=len(keypoints) - 1),
        torch.where(has_after, after, before).clamp(min=0),
    )
    first, last = (keypoints[end, joint, :2].double() for end in (before, after))
    slope = (last - first) / (after - before).clamp(min=1)[:, None]
    filled = keypoints.clone()
    filled[row, joint, :2] = (slope * (row - before)[:, None] + first).to(keypoints.dtype)
    # Somewhere inside the person, whom it then neither widens nor moves; a video without any stays as it is.
    is_told = is_known.any(dim=1)
    filled[~is_told] = keypoints[~is_told]
    row, joint = (~is_known & is_told[:, None]).nonzero(as_tuple=True)
    known = is_known[row][..., None]
    middle = (filled[row, :, :2].double() * known).sum(dim=1) / known.sum(dim=1)
    filled[row, joint, :2] = middle.to(keypoints.dtype)
    return filled


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


def scale_by_width(keypoints_px: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(F, K, 3) pixels and confidence -> x, y in [-1, 1] by image width."""
    keypoints = torch.from_numpy(np.ascontiguousarray(keypoints_px, dtype=np.float32))
    size = torch.tensor(image_size, dtype=torch.float32)
    return network_keypoints(keypoints[..., :2], size, keypoints[..., 2]).numpy()


def scale_by_shorter_side(keypoints_px: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(F, K, 3) pixels and confidence -> x, y around the picture's middle, its shorter side as [-1, 1]: released `--pixel`."""
    half_size = np.array(image_size) / 2
    xy = (keypoints_px[..., :2].astype(np.float64) - half_size) / half_size.min()
    return np.concatenate((xy, keypoints_px[..., 2:]), axis=-1).astype(np.float32)


def crop_scale(keypoints_px: np.ndarray) -> np.ndarray:
    """(F, K, 3) pixels and confidence -> the same in the box around all frames' keypoints (`crop_to_box`)."""
    return crop_to_box(torch.from_numpy(keypoints_px)).numpy()


def boxes_around(points: np.ndarray, is_counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corners (..., 2) of the boxes around those points (..., K, 2 or more) that count (..., K); infinite without any."""
    is_counted = is_counted[..., None]
    low = np.where(is_counted, points[..., :2], np.inf).min(axis=-2)
    return low, np.where(is_counted, points[..., :2], -np.inf).max(axis=-2)


def box_overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4), low x, y and high x, y, by numpy's rules of broadcasting."""
    shared = np.maximum(np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2]), 0)
    areas = [np.maximum(box[..., 2:] - box[..., :2], 1e-6).prod(axis=-1) for box in (one, other)]
    shared = shared.prod(axis=-1)
    return shared / (areas[0] + areas[1] - shared)
