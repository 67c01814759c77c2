"""How far a refiner's output is taken: joint by joint, frame by frame, between the estimate and its refinement."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.geometry.constants import constant_tensor
from kinemesh.geometry.neighbours import largest_around, mean_around
from kinemesh.geometry.rotation import turn_part_way
from kinemesh.structures import BodyParams

# Of the way from estimate to refined body, where keypoints are nearest; what a whole way must win, in metres of the body.
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST_GAIN_M = 0.005
# A frame is the estimate's own where the refined body moves so much less evenly, in metres a frame squared.
_JERKIER_M, _JERKIER_FACTOR = 0.004, 1.5
# Frames on both sides by which a frame is judged, and over which one body goes over into the other.
_AROUND = 3
# What is taken for granted of a camera, in metres and 1/m, and how far keypoints may lie from where it sees them: nearness
# (1 / distance) and its spread, and that of the shear by which a body off the picture's middle is seen.
_NEARNESS, _NEARNESS_SPREAD, _SHEAR_SPREAD, _NOISE_M = 0.2, 0.15, 0.3, 0.03
_LEAST_DEPTH = 0.3  # of a joint, in parts of the body's
_TINY = 1e-9


def picture_differences(joints_mm: Tensor, keypoints: Tensor) -> Tensor:
    """Keypoints (..., K, 3) minus the projections of joints (..., K, 3): (..., K, 2), metres at the body's distance.

    Each frame has the camera by which joints fit keypoints best, these counting by their confidence: with x, y in the
    keypoints' unit and X, Y, Z in metres, x (1 + n Z) = s X + a Z + u and y (1 + n Z) = s Y + b Z + v are linear in s, a, b,
    u, v and n, and hold for any pinhole camera, whatever its focal length and middle. No gradient goes through it. 0 for a
    keypoint of confidence 0, and where all are in one place.
    """
    seen, weights = keypoints[..., :2].detach(), keypoints[..., 2:].clamp(0.0, 1.0)
    joints = joints_mm.detach() / MM_PER_M
    shares = weights / weights.sum(dim=-2, keepdim=True).clamp(min=_TINY)
    seen, joints = (points - (shares * points).sum(dim=-2, keepdim=True) for points in (seen, joints))
    extent = (shares * seen.square()).sum(dim=(-2, -1), keepdim=True)
    spread = (shares * joints[..., :2].square()).sum(dim=(-2, -1), keepdim=True)
    seen = seen * (spread / extent.clamp(min=_TINY)).sqrt()  # so that s is near 1
    depth, none, one = joints[..., 2:], torch.zeros_like(joints[..., 2:]), torch.ones_like(joints[..., 2:])
    across = (
        torch.cat((joints[..., axis : axis + 1], *((depth, none, one, none), (none, depth, none, one))[axis]), dim=-1)
        for axis in range(2)
    )
    nearer = (-seen[..., axis : axis + 1] * depth for axis in range(2))
    rows = torch.cat([torch.cat(pair, dim=-1) for pair in zip(across, nearer, strict=True)], dim=-2)  # (..., 2 K, 6)
    weighted = torch.cat((weights, weights), dim=-2) * rows
    # What is known beforehand, as further equations; of scale and place next to nothing.
    precisions = _NOISE_M**2 / torch.tensor([1.0, _SHEAR_SPREAD, _SHEAR_SPREAD, 1.0, 1.0, _NEARNESS_SPREAD]).square()
    precisions = precisions.to(rows)
    known = precisions * torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, _NEARNESS]).to(rows)
    right = (weighted * seen.mT.flatten(-2)[..., None]).sum(dim=-2) + known
    camera = torch.linalg.solve_ex(weighted.mT @ rows + torch.diag(precisions), right[..., None])[0]
    along = (rows[..., :5] @ camera[..., :5, :]).squeeze(-1).unflatten(-1, (2, -1)).mT
    differences = seen - along / (1 + camera[..., 5:, :] * depth).clamp(min=_LEAST_DEPTH)
    return torch.where((weights > 0) & (extent > _TINY), differences, 0.0)


def blend_bodies(estimate: BodyParams, refined: BodyParams, share: Tensor) -> BodyParams:
    """Rotations `share` (..., J) of the way from the estimate to the refined body, by the shortest arc; refined betas."""
    turned = turn_part_way(estimate.rotations, refined.rotations, share)
    is_end = (share[..., None, None] <= 0, share[..., None, None] >= 1)
    rotations = torch.where(is_end[0], estimate.rotations, torch.where(is_end[1], refined.rotations, turned))
    return BodyParams(rotations, refined.betas)


def frame_shares(kinematics: JointKinematics, keypoints: Tensor, estimate: BodyParams, refined: BodyParams) -> Tensor:
    """(B, T) in [0, 1], how much of each frame's correction the keypoints (B, T, K, 3) speak for.

    That share of the way from the estimate to the refined body whose projection is nearest to the keypoints, a longer way
    having to win more; 0 where the refined body accelerates clearly more than the estimate, and where no keypoint is seen.
    Borders in time are soft.
    """
    weights = keypoints[..., 2].clamp(0.0, 1.0)
    bodies = [refined if share == 1 else blend_bodies(estimate, refined, _filled(share, estimate)) for share in _SHARES]
    joints = [kinematics(body) for body in bodies]
    misfits = [_misfit_m(each, keypoints) + share * _LEAST_GAIN_M for each, share in zip(joints, _SHARES, strict=True)]
    best = torch.stack([mean_around(misfit, _AROUND) for misfit in misfits]).argmin(dim=0)
    taken = constant_tensor(_SHARES, weights.device, weights.dtype)[best]
    if keypoints.shape[1] > 2:
        before, after = (_accelerations_m(each) for each in (joints[0], joints[-1]))
        is_jerkier = after > _JERKIER_FACTOR * before + _JERKIER_M
        taken = taken * (1 - largest_around(is_jerkier.to(taken), _AROUND))
    return torch.where(weights.sum(dim=-1) > 0, mean_around(taken, _AROUND), 0.0)


def _filled(share: float, body: BodyParams) -> Tensor:
    return body.rotations.new_full(body.rotations.shape[:-2], share)


def _misfit_m(joints_mm: Tensor, keypoints: Tensor) -> Tensor:
    """(B, T) mean distance from the keypoints, by their confidence."""
    weights = keypoints[..., 2].clamp(0.0, 1.0)
    distances = picture_differences(joints_mm, keypoints).norm(dim=-1)
    return (distances * weights).sum(dim=-1) / weights.sum(dim=-1).clamp(min=_TINY)


def _accelerations_m(joints_mm: Tensor) -> Tensor:
    """(B, T, K, 3) -> (B, T) mean length of second differences around each frame, metres a frame squared."""
    relative = (joints_mm - joints_mm[..., :1, :]) / MM_PER_M
    lengths = relative.diff(n=2, dim=1).norm(dim=-1).mean(dim=-1)
    return mean_around(F.pad(lengths[:, None], (1, 1), mode="replicate")[:, 0], _AROUND)
