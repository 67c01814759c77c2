"""A refiner's output is taken where keypoints speak for it: on made cameras and bodies whose errors are known."""

import pytest
import torch

from kinemesh.body.skeleton import H36M_JOINT_COUNT, SMPL_JOINT_COUNT
from kinemesh.geometry.rotation import axis_angle_to_matrix, rotation_angle
from kinemesh.model.building import build_refiner
from kinemesh.model.trust import blend_bodies, frame_shares, picture_differences
from kinemesh.structures import BodyParams

FRAMES = 12


def turned(body: BodyParams, size: float, seed: int) -> BodyParams:
    """The body with every joint turned for the whole clip."""
    generator = torch.Generator().manual_seed(seed)
    turns = size * torch.randn(1, 1, SMPL_JOINT_COUNT, 3, generator=generator)
    return BodyParams(body.rotations @ axis_angle_to_matrix(turns), body.betas)


@pytest.fixture
def truth() -> BodyParams:
    still = BodyParams(torch.eye(3).expand(1, FRAMES, SMPL_JOINT_COUNT, 3, 3), torch.zeros(1, FRAMES, 10))
    return turned(still, 0.3, 0)


def seen(joints_mm: torch.Tensor) -> torch.Tensor:
    """Keypoints of joints by a camera near the person, who is off the picture's middle."""
    placed = joints_mm + torch.tensor([900.0, -200.0, 3500.0])
    xy = 1.4 * placed[..., :2] / placed[..., 2:] + torch.tensor([0.1, 0.3])
    return torch.cat((xy, torch.ones_like(xy[..., :1])), dim=-1)


def test_any_pinhole_camera_is_found(truth, kinematics):
    keypoints = seen(kinematics(truth))
    assert picture_differences(kinematics(truth), keypoints).norm(dim=-1).max() < 0.008
    # A wrong body's differences are as large as its errors across the line of sight, not as large as perspective.
    wrong = kinematics(turned(truth, 0.2, 1))
    assert picture_differences(wrong, keypoints).norm(dim=-1).mean() > 0.02


def test_a_keypoint_that_is_not_seen_does_not_count(truth, kinematics):
    keypoints = seen(kinematics(truth))
    keypoints[..., 4, :] = torch.tensor([0.9, 0.9, 0.0])
    differences = picture_differences(kinematics(truth), keypoints)
    assert differences.norm(dim=-1).max() < 0.008
    assert not differences[..., 4, :].any()
    keypoints[..., 2] = 0
    assert not picture_differences(kinematics(truth), keypoints).any()


def test_what_is_nearer_to_the_keypoints_is_taken(truth, kinematics):
    keypoints, wrong = seen(kinematics(truth)), turned(truth, 0.15, 1)
    assert (frame_shares(kinematics, keypoints, wrong, truth) == 1).all()
    assert (frame_shares(kinematics, keypoints, truth, wrong) == 0).all()


def test_borders_in_time_are_soft(truth, kinematics):
    wrong = turned(truth, 0.15, 1)
    is_late = torch.arange(FRAMES) >= FRAMES // 2
    keypoints = torch.where(is_late[:, None, None], seen(kinematics(truth)), seen(kinematics(wrong)))
    shares = frame_shares(kinematics, keypoints, wrong, truth)[0]
    assert shares[0] < 0.1
    assert shares[-1] > 0.9
    assert shares.diff().abs().max() < 0.35


def test_without_keypoints_or_where_it_trembles_the_output_is_the_input(truth, kinematics):
    keypoints, wrong = seen(kinematics(truth)), turned(truth, 0.15, 1)
    unseen = keypoints * torch.tensor([1.0, 1.0, 0.0])
    assert not frame_shares(kinematics, unseen, wrong, truth).any()
    generator = torch.Generator().manual_seed(2)
    trembling = axis_angle_to_matrix(0.05 * torch.randn(1, FRAMES, SMPL_JOINT_COUNT, 3, generator=generator))
    assert not frame_shares(kinematics, keypoints, wrong, BodyParams(truth.rotations @ trembling, truth.betas)).any()


def test_blending_goes_by_the_shortest_arc(truth):
    other = turned(truth, 0.5, 3)
    share = torch.full(truth.rotations.shape[:3], 0.25)
    part = blend_bodies(truth, other, share)
    whole = rotation_angle(other.rotations @ truth.rotations.mT)
    torch.testing.assert_close(rotation_angle(part.rotations @ truth.rotations.mT), 0.25 * whole, atol=1e-4, rtol=1e-3)
    assert torch.equal(blend_bodies(truth, other, torch.zeros_like(share)).rotations, truth.rotations)
    assert torch.equal(blend_bodies(truth, other, torch.ones_like(share)).rotations, other.rotations)


def test_trust_counts_outside_training_only(truth, assets, kinematics, small_config):
    refiner = build_refiner(small_config(refine_trust="auto", refine_feedback=True), assets)
    keypoints, wrong = seen(kinematics(truth)), turned(truth, 0.15, 1)
    assert keypoints.shape[-2] == H36M_JOINT_COUNT
    torch.nn.init.normal_(refiner.head.head_pose.weight, std=0.05)
    refiner.train()
    assert not torch.allclose(refiner(keypoints, wrong).rotations, wrong.rotations, atol=1e-3)
    refiner.eval()
    refiner.trust_percent.zero_()
    assert torch.equal(refiner(keypoints, wrong).rotations, wrong.rotations)
    # A checkpoint of before knows none; it is trusted fully.
    assert "trust_percent" not in build_refiner(small_config()).state_dict()
