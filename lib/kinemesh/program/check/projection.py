"""Do the 2D keypoints show the ground truth's body? A fit without a camera, which also shows swapped left and right."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import H36M_JOINT_NAMES, H36M_MIRROR_ORDER, SMPL_JOINT_COUNT
from kinemesh.data.split import Split
from kinemesh.structures import BodyParams

_FRAMES = 400
_HEAD_TOP = H36M_JOINT_NAMES.index("head_top")
_ANKLES = [H36M_JOINT_NAMES.index(name) for name in ("left_ankle", "right_ankle")]


class ProjectionFit(NamedTuple):
    """How well keypoints and ground truth agree over the frames looked at."""

    residual: float  # median over frames of the mean joint distance, as a part of the body's height
    swapped_residual: float  # the same with left and right of the keypoints swapped
    swapped_share: float  # part of the frames that are better explained so


def fit_projection(split: Split, kinematics: JointKinematics) -> ProjectionFit:
    """Fit scaled orthographic projections to a sample of frames, evenly spaced.

    No file says which camera took a frame, so each frame gets the scale and the shift that bring its ground-truth
    joints (x right, y down, in mm) nearest to its keypoints in the least-squares sense, weighted by confidence.
    """
    rows = torch.from_numpy(np.linspace(0, split.frame_count - 1, min(_FRAMES, split.frame_count)).astype(np.int64))
    pose, betas = split.smpl_pose[rows], split.smpl_shape[rows]
    joints_mm = kinematics(params_from_axis_angle(pose, betas)).double()
    height_mm = body_height_mm(kinematics, betas).double()
    keypoints_px, weights = (part.double() for part in split.weighed_detection(rows))
    order = list(H36M_MIRROR_ORDER)
    straight = residual_mm(joints_mm[..., :2], keypoints_px, weights) / height_mm
    swapped = residual_mm(joints_mm[..., :2], keypoints_px[:, order], weights[:, order]) / height_mm
    return ProjectionFit(straight.median().item(), swapped.median().item(), (swapped < straight).double().mean().item())


def body_height_mm(kinematics: JointKinematics, betas: Tensor) -> Tensor:
    """(F,) distance of head top and ankles of bodies (F, 10) at rest."""
    rest = torch.eye(3).expand(len(betas), SMPL_JOINT_COUNT, 3, 3)
    joints_mm = kinematics(BodyParams(rest, betas))
    return (joints_mm[:, _HEAD_TOP] - joints_mm[:, _ANKLES].mean(dim=1)).norm(dim=-1)


def residual_mm(points_mm: Tensor, keypoints_px: Tensor, weights: Tensor) -> Tensor:
    """(F,) weighted mean distance, mm, of points (F, K, 2) from keypoints brought to them by scale and shift.

    The scale, pixels a mm, is positive: a projection does not turn a body over.
    """
    total = weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    share = (weights / total)[..., None]
    points = points_mm - (share * points_mm).sum(dim=1, keepdim=True)
    keypoints = keypoints_px - (share * keypoints_px).sum(dim=1, keepdim=True)
    size = (share * points.square()).sum(dim=(1, 2)).clamp(min=1e-6)
    scale = ((share * points * keypoints).sum(dim=(1, 2)) / size).clamp(min=1e-6)[:, None, None]
    distance_px = (keypoints - scale * points).norm(dim=-1)
    return (share[..., 0] * distance_px).sum(dim=-1) / scale[:, 0, 0]
