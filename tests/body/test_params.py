"""Poses as files hold them and rotation matrices say the same; one shape serves all frames."""

import numpy as np
import torch

from kinemesh.body import params
from kinemesh.body.params import (
    axis_angle_from_rotations,
    params_from_axis_angle,
    poses_between,
    rotations_from_axis_angle,
)


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


def test_between_two_frames_every_joint_turns_the_short_way_and_beyond_them_it_stays(monkeypatch):
    """Frames that are there are taken bit for bit, also those turned by more than half a turn."""
    poses = np.zeros((3, 72), np.float32)
    poses[:, 4] = -0.4, 0.8, 0.8
    poses[:, 2] = 3.0, -3.0, 5.0  # over half a turn, the short way: 0.28 radians
    found = poses_between(poses, np.array([10, 14, 15]), np.arange(8, 18))
    np.testing.assert_array_equal(found[[0, 1, 2]], poses[[0, 0, 0]])
    np.testing.assert_array_equal(found[[6, 7, 8, 9]], poses[[1, 2, 2, 2]])
    np.testing.assert_allclose(found[3:6, 4], (-0.1, 0.2, 0.5), atol=1e-6)
    np.testing.assert_allclose(np.abs(found[3:6, 2]), (np.pi - 0.0708, np.pi, np.pi - 0.0708), atol=1e-3)
    monkeypatch.setattr(params, "_FRAMES_AT_ONCE", 2)
    np.testing.assert_array_equal(poses_between(poses, np.array([10, 14, 15]), np.arange(8, 18)), found)
