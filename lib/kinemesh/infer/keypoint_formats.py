"""What keypoints are made into: detectors' joints to H36M-17, by one table, and pixels to what the network reads.

Sources: behaviour contract section 7 for Halpe-26, whose means and choices the table's other rows follow, and for the
crop scale, section 9 for the shorter side; the detectors' own lists of joints for their numbers.
"""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.skeleton import H36M_JOINT_COUNT
from kinemesh.data.loader import network_keypoints
from kinemesh.geometry.keypoints import crop_to_box


class KeypointFormat(NamedTuple):
    """A detector's joints. `sources` names for each H36M joint those whose mean it is."""

    title: str
    joint_counts: tuple[int, ...]  # of the body alone, then of larger sets that begin with it
    sources: tuple[tuple[int, ...], ...]


FORMATS = {
    "halpe26": KeypointFormat(
        "Halpe-26",
        (26, 136),
        ((19,), (12,), (14,), (16,), (11,), (13,), (15,), (18, 19), (18,), (0,), (17,), (5,), (7,), (9,), (6,), (8,), (10,)),
    ),
    # No pelvis, neck or head top: middles of hips and shoulders, and the eyes for the head.
    "coco17": KeypointFormat(
        "COCO-17",
        (17, 133),
        ((11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (5, 6, 11, 12), (5, 6), (0,), (1, 2), (5,), (7,), (9,), (6,), (8,), (10,)),
    ),
    "body25": KeypointFormat(
        "OpenPose BODY_25",
        (25,),
        ((8,), (9,), (10,), (11,), (12,), (13,), (14,), (1, 8), (1,), (0,), (15, 16), (5,), (6,), (7,), (2,), (3,), (4,)),
    ),
    "h36m17": KeypointFormat("H36M-17", (17,), tuple((joint,) for joint in range(H36M_JOINT_COUNT))),
}  # fmt: skip


def format_of_count(joint_count: int) -> str | None:
    """The first of FORMATS that has this many joints; None for no such."""
    return next((name for name, row in FORMATS.items() if joint_count in row.joint_counts), None)


def to_h36m(keypoints: np.ndarray, format_name: str) -> np.ndarray:
    """Keypoints (..., joints, 3) x, y, confidence of one of FORMATS -> (..., K, 3).

    A mean's confidence is the mean too, but 0 where one of its joints has confidence 0: detectors put joints that
    they do not find anywhere, most often at (0, 0).
    """
    sources = FORMATS[format_name].sources
    mapped = np.stack([keypoints[..., list(joints), :].mean(axis=-2) for joints in sources], axis=-2)
    for place, joints in enumerate(sources):
        is_lost = (keypoints[..., list(joints), 2] == 0).any(axis=-1)
        mapped[..., place, 2] = np.where(is_lost, 0, mapped[..., place, 2])
    return mapped


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
