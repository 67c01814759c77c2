"""How much of a refiner's correction of each joint to take: chosen where the truth is known, by videos held out."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_MIRROR_ORDER
from kinemesh.evaluation.intervals import ratio_interval
from kinemesh.geometry.rotation import turn_part_way
from kinemesh.machine.processes import Processes
from kinemesh.metrics import mpjpe_mm, pa_mpjpe_mm
from kinemesh.structures import BodyParams, Loader

# Enough to choose some numbers by, spread over the videos; and of fewer videos nothing is known of others.
_MOST_FRAMES = 2048
_LEAST_VIDEOS = 2
# A gain that is worth its risk, and more than rounding is.
_LEAST_GAIN_MM = 0.05
_UNIFORM = (1.0, 0.75, 0.5, 0.25)
_OF_JOINT = (0.0, 0.5, 1.0)


class HeldOut(NamedTuple):
    """F frames that trust is chosen on."""

    estimate: BodyParams
    refined: BodyParams  # as if it were trusted fully
    target_mm: Tensor  # (F, K, 3)
    videos: Tensor  # (F,)


@torch.inference_mode()
def choose_trust(refiner: nn.Module, loader: Loader, kinematics: JointKinematics, processes: Processes) -> list[int]:
    """Percent of each joint's correction (24,), the same left and right: what makes the held-out videos' errors least.

    0 for all of them unless MPJPE and PA-MPJPE are both lower than the estimate's with the whole 95 % interval over
    videos; and a joint differs from the others only where it makes their sum lower so surely.
    """
    frames = _gather(refiner, loader, kinematics, processes)
    if len(frames.videos.unique()) < _LEAST_VIDEOS:
        return [0] * SMPL_JOINT_COUNT
    before = _errors(frames, kinematics, torch.zeros(SMPL_JOINT_COUNT))
    found = [torch.full((SMPL_JOINT_COUNT,), share) for share in _UNIFORM]
    scored = [(_errors(frames, kinematics, shares), shares) for shares in found]
    errors, shares = min(scored, key=lambda each: each[0].sum(dim=1).mean().item())
    for joint, mirrored in enumerate(SMPL_MIRROR_ORDER):
        if mirrored < joint:
            continue
        for share in _OF_JOINT:
            changed = shares.clone()
            changed[[joint, mirrored]] = share
            if torch.equal(changed, shares):
                continue
            found = _errors(frames, kinematics, changed)
            if _is_lower(found.sum(dim=1), errors.sum(dim=1), frames.videos):
                errors, shares = found, changed
    if not all(_is_lower(errors[:, column], before[:, column], frames.videos) for column in range(2)):
        return [0] * SMPL_JOINT_COUNT
    return [round(100 * share) for share in shares.tolist()]


def _gather(refiner: nn.Module, loader: Loader, kinematics: JointKinematics, processes: Processes) -> HeldOut:
    """The same frames in each process."""
    own = loader.of_videos(processes.share) if processes.count > 1 else loader
    step = max(1, loader.clip_frames.numel() // _MOST_FRAMES)
    refiner.eval()
    parts = []
    for batch in own.batches():
        refined = refiner.refine(*batch.inputs)
        columns = (
            *batch.inputs.estimate,
            *refined,
            kinematics(batch.target),
            batch.videos[:, None].expand_as(batch.frames),
        )
        chosen = (batch.frames % step == 0) & batch.counted
        parts.append([column[chosen].cpu() for column in columns])
    gathered = [part for some in processes.gather(parts) for part in some]
    device = loader.device
    rotations, betas, refined, refined_betas, target, videos = (
        torch.cat(column).to(device) for column in zip(*gathered, strict=True)
    )
    return HeldOut(BodyParams(rotations, betas), BodyParams(refined, refined_betas), target, videos)


def _errors(frames: HeldOut, kinematics: JointKinematics, shares: Tensor) -> Tensor:
    """(F, 2) MPJPE and PA-MPJPE with shares (24,) of the correction, in mm."""
    shares = shares.to(frames.videos.device).expand(len(frames.videos), -1)
    rotations = turn_part_way(frames.estimate.rotations, frames.refined.rotations, shares)
    joints = kinematics(BodyParams(rotations, frames.refined.betas))
    return torch.stack((mpjpe_mm(joints, frames.target_mm), pa_mpjpe_mm(joints, frames.target_mm)), dim=1)


def _is_lower(errors: Tensor, others: Tensor, videos: Tensor) -> bool:
    """Whether errors (F,) are below others with the whole interval over videos."""
    rows = videos.cpu().numpy()
    difference = (errors - others).double().cpu().numpy()
    return ratio_interval(np.bincount(rows, difference), np.bincount(rows))[2] < -_LEAST_GAIN_MM
