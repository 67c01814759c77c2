"""Poses as files hold them and rotation matrices say the same; one shape serves all frames."""

import torch

from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle, rotations_from_axis_angle


def test_axis_angles_come_back_and_each_joint_keeps_its_own_three_numbers():
    generator = torch.Generator().manual_seed(0)
    poses = 2 * torch.rand(4, 5, 72, generator=generator, dtype=torch.float64) - 1  # no joint by more than pi
    rotations = rotations_from_axis_angle(poses)
    assert rotations.shape == (4, 5, 24, 3, 3)
    torch.testing.assert_close(axis_angle_from_rotations(rotations), poses)
    poses = torch.zeros(72)
    poses[3 * 7 + 2] = torch.pi / 2
    turned = rotations_from_axis_angle(poses)
    torch.testing.assert_close(turned[7] @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    assert (torch.cat((turned[:7], turned[8:])) == torch.eye(3)).all()


def test_one_shape_serves_every_frame():
    params = params_from_axis_angle(torch.zeros(2, 6, 72), torch.arange(10.0))
    assert params.betas.shape == (2, 6, 10)
    assert (params.betas == torch.arange(10.0)).all()
