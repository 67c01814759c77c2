"""Pixels -> what the network reads: by the picture's width, as in training, or by the box around the person."""

import itertools

import numpy as np
import torch

from kinemesh.data.loader import network_keypoints
from kinemesh.geometry.keypoints import crop_to_box
from kinemesh.infer.people import Segment


def network_inputs(segments: list[Segment], image_size: tuple[int, int], is_pixel: bool) -> np.ndarray:
    """(R, K, 3) what the network reads of all segments, one after another; a person's box is one for all of theirs."""
    if is_pixel:
        return scale_by_width(np.concatenate([segment.keypoints_px for segment in segments]), image_size)
    people = itertools.groupby(segments, key=lambda segment: segment.person)
    return np.concatenate([crop_scale(np.concatenate([segment.keypoints_px for segment in own])) for _, own in people])


def scale_by_width(keypoints_px: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(F, K, 3) pixels and confidence -> x, y in [-1, 1] by image width (behaviour contract, section 1)."""
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
