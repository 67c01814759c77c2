"""Are a video's frames in order, and do keypoints and poses of one row show one moment?

Judged on windows of some videos: a body's joints move less from one frame to the next than between any two frames; its
keypoints fit the pose of their own row better than that of the row before; and who walks swings the lifted foot forward.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import H36M_JOINT_NAMES
from kinemesh.data.split import Split
from kinemesh.program.check.findings import Finding
from kinemesh.program.check.projection import residual_mm

_WINDOWS, _LONGEST, _SHORTEST = 256, 24, 8
_LAGS = (-2, -1, 1, 2)
# Of a mean distance between two frames of a window: less says nothing about their order.
_LEAST_MOTION_MM = 60.0
_LEAST_FOOT_STEP_MM = 5.0
_FEWEST_WALKING = 20
# Of the mean of all videos, in standard errors: -11 for walking people shown backwards.
_BACKWARDS = -4.0
_ANKLES = [H36M_JOINT_NAMES.index(name) for name in ("right_ankle", "left_ankle")]
_LARGEST_STEP = 0.7
_LEAST_GAIN = 0.03


def order_findings(split: Split, name: str, where: str, kinematics: JointKinematics) -> Iterator[Finding]:
    """Shuffled and reversed frames, and poses of another moment than their keypoints; nothing for short videos."""
    rows = _windows(split)
    if not len(rows):
        return
    params = params_from_axis_angle(split.smpl_pose[rows], split.smpl_shape[rows])
    joints_mm = kinematics(params).double()
    keypoints_px = None
    if split.keypoints_px is not None:
        keypoints_px = split.first_detection(rows.flatten())[0].unflatten(0, rows.shape).double()
    is_moving = _distances(joints_mm).mean(dim=(1, 2)) > _LEAST_MOTION_MM
    for what, points in (("bodies", joints_mm), ("keypoints", keypoints_px)):
        step = None if points is None else _step_ratio(points, is_moving)
        if step is not None and step > _LARGEST_STEP:
            found = f"{what} move from frame to frame {step:.0%} as far as between any two frames: they look shuffled."
            yield Finding("warning", f"{name} order", where, found)
            return
    swing = _foot_swing(joints_mm, params.rotations[..., 0, :, :].double())
    if swing is not None and swing < _BACKWARDS:
        found = f"lifted feet move backwards ({swing:.1f} standard errors from not at all): the videos look reversed."
        yield Finding("warning", f"{name} order", where, found)
    elif keypoints_px is not None:
        yield _moments(split, rows, joints_mm, name, where)


def _windows(split: Split) -> Tensor:
    """(N, T) rows of T frames in a row in the middle of N videos; empty where all are too short."""
    length = int(np.minimum(np.median(split.video_lengths), _LONGEST)) if len(split.video_names) else 0
    videos = np.flatnonzero(split.video_lengths >= max(length, _SHORTEST))
    if length < _SHORTEST or not len(videos):
        return torch.empty(0, 0, dtype=torch.int64)
    chosen = videos[np.linspace(0, len(videos) - 1, min(_WINDOWS, len(videos))).astype(np.int64)]
    lengths, firsts = split.video_lengths[chosen], (np.cumsum(split.video_lengths) - split.video_lengths)[chosen]
    return torch.from_numpy((firsts + (lengths - length) // 2)[:, None] + np.arange(length))


def _distances(points: Tensor) -> Tensor:
    """(N, T, T) root mean square distance of points (N, T, K, D), moved to their first one, between two frames."""
    flat = (points - points[:, :, :1]).flatten(2)
    return torch.cdist(flat, flat) / points.shape[2] ** 0.5


def _step_ratio(points: Tensor, is_moving: Tensor) -> float | None:
    """Median over moving windows of the mean step between frames in a row against that between any two frames."""
    if is_moving.sum() < 3:
        return None
    distance = _distances(points[is_moving])
    count = distance.shape[1]
    far = distance.sum(dim=(1, 2)) / (count * (count - 1))
    return (distance.diagonal(offset=1, dim1=1, dim2=2).mean(dim=1) / far.clamp(min=1e-9)).median().item()


def _foot_swing(joints_mm: Tensor, root_rotations: Tensor) -> float | None:
    """How surely the higher a foot is, the more it moves forward: the mean over videos of that correlation, divided by
    its standard error. Negative for walks shown backwards; None where too few feet move.

    Forward and up are the pelvis's, since no file says where the ground is.
    """
    feet = torch.einsum("ntji,ntkj->ntki", root_rotations, joints_mm[:, :, _ANKLES] - joints_mm[:, :, :1])
    forward, height = feet[..., 2].diff(dim=1), (feet[:, 1:, :, 1] + feet[:, :-1, :, 1]) / 2
    height = height - height.mean(dim=1, keepdim=True)
    speed, rise = (values.square().mean(dim=(1, 2)).sqrt() for values in (forward, height))
    correlation = (forward * height).mean(dim=(1, 2)) / (speed * rise).clamp(min=1e-9)
    correlation = correlation[speed > _LEAST_FOOT_STEP_MM]
    if len(correlation) < _FEWEST_WALKING:
        return None
    return (correlation.mean() / (correlation.std() / len(correlation) ** 0.5)).item()


def _moments(split: Split, rows: Tensor, joints_mm: Tensor, name: str, where: str) -> Finding:
    """The rows of keypoints that fit each pose best: its own, ones before or after it, or those from the other end."""
    margin = max(_LAGS)
    inner = slice(margin, rows.shape[1] - margin)

    def misfit(other: Tensor) -> float:
        keypoints, weights = split.weighed_detection(other[:, inner].flatten())
        points = joints_mm[:, inner].flatten(0, 1)[..., :2]
        return residual_mm(points, keypoints.double(), weights.double()).mean().item()

    own = misfit(rows)
    shifted = {lag: misfit(rows.roll(-lag, dims=1)) for lag in _LAGS}
    lag = min(shifted, key=shifted.__getitem__)
    video = split.video_of(rows[:, 0].numpy())
    ends = torch.from_numpy((2 * np.cumsum(split.video_lengths) - split.video_lengths)[video] - 1)
    backwards = misfit(ends[:, None] - rows)
    found = f"{own:.1f} mm off the poses"
    if backwards < own * (1 - _LEAST_GAIN) and backwards < shifted[lag]:
        return Finding(
            "warning", f"{name} order", where,
            f"keypoints are {found}, {backwards:.1f} mm with each video's keypoints from its end to its start: one of them "
            "is reversed.",
        )  # fmt: skip
    if shifted[lag] < own * (1 - _LEAST_GAIN):
        side = "later" if lag > 0 else "earlier"
        return Finding(
            "warning", f"{name} order", where,
            f"keypoints are {found}, {shifted[lag]:.1f} mm when taken from {abs(lag)} frame{'s' * (abs(lag) > 1)} {side}: "
            "poses and keypoints are shifted.",
        )  # fmt: skip
    return Finding("ok", f"{name} order", where, f"keypoints are {found} of their own frame, more off others'")
