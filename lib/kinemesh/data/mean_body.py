"""The mean body of a split: what a model that ignores its input could say."""

import torch

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.data.split import Split
from kinemesh.geometry.alignment import nearest_rotation
from kinemesh.structures import BodyParams

_MOST_FRAMES = 65_536


def mean_body(split: Split, device: torch.device | str = "cpu") -> BodyParams:
    """Chordal mean of each joint's rotation (24, 3, 3) and mean betas (10,) over evenly spaced frames of a split.

    The chordal mean is the rotation nearest to the mean matrix (Hartley et al., Rotation Averaging, 2013).
    """
    step = -(-split.frame_count // _MOST_FRAMES)
    matrices = rotations_from_axis_angle(split.smpl_pose[::step].to(device)).mean(dim=0)
    return BodyParams(nearest_rotation(matrices), split.smpl_shape[::step].mean(dim=0).to(device))
