"""The made-up video of two people who cross."""

import numpy as np
import torch

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.demo.video import Actor, make_video
from kinemesh.geometry.camera import project
from kinemesh.structures import BodyParams


def test_truth_fits_together(kinematics):
    """Parameters give the joints, joints the keypoints; the second walks behind the first, the other way."""
    video = make_video(60)
    rotations = rotations_from_axis_angle(torch.from_numpy(video.poses).float())
    betas = torch.from_numpy(video.betas).float()[:, None].expand(-1, 60, -1)
    joints = kinematics(BodyParams(rotations, betas)).numpy() / MM_PER_M + video.trans_m[:, :, None]
    np.testing.assert_allclose(joints, video.joints_m, atol=1e-3)

    seen = project(video.joints_m, video.camera.focal_px, video.camera.centre_px)
    is_sure = video.keypoints_px[..., 2] > 0.6
    error = np.linalg.norm(seen - video.keypoints_px[..., :2], axis=-1)
    assert is_sure.mean() > 0.7
    assert np.median(error[is_sure]) < 8
    ways = np.sign(video.trans_m[:, -1, 0] - video.trans_m[:, 0, 0])
    assert ways.tolist() == [1, -1]
    assert (video.trans_m[1, :, 2] > video.trans_m[0, :, 2]).all()
    is_hidden = ~video.keypoints_px[..., 2].any(axis=-1)
    assert not is_hidden[0].any()
    assert 3 <= is_hidden[1].sum() < 20
    assert not is_hidden[1, [0, -1]].any()


def test_the_same_each_time():
    np.testing.assert_array_equal(make_video(30).keypoints_px, make_video(30).keypoints_px)
    assert not np.array_equal(make_video(30, seed=1).keypoints_px, make_video(30).keypoints_px)


def test_a_cast_of_ones_own_stands_where_it_is_told():
    cast = (Actor("dance", 4.0, aside_m=-0.7), Actor("stand_talk", 5.5), Actor("walk", 5.0, 90.0, aside_m=0.5))
    video = make_video(30, cast=cast)
    assert video.keypoints_px.shape == (3, 30, 17, 3)
    middle = video.joints_m[:, 15, 0]
    np.testing.assert_allclose(middle[:, 0], [-0.7, 0.0, 0.5], atol=0.1)
    assert middle[0, 2] < middle[2, 2] < middle[1, 2]
    # The nearest is hidden by nobody.
    assert (video.keypoints_px[0, :, :, 2] > 0).any(axis=-1).all()
    assert video.joints_m[2, -1, 0, 0] > video.joints_m[2, 0, 0, 0] + 0.3
