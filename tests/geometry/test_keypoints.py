"""Pixels to what the network reads: scales that keep proportions, and a box that keeps only the person."""

import numpy as np
import pytest
import torch

from kinemesh.geometry.keypoints import (
    crop_scale,
    crop_to_box,
    crop_with_place,
    fill_missing,
    network_keypoints,
    scale_by_shorter_side,
    scale_by_width,
)


@pytest.fixture
def clips() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    clips = torch.rand(5, 6, 17, 3, generator=generator, dtype=torch.float64) * torch.tensor([300.0, 500.0, 1.0])
    clips[1, 2, 3, 2] = 0
    return clips


def test_the_larger_side_fills_minus_one_to_one_and_the_smaller_is_centred(clips):
    boxed = crop_to_box(clips)
    seen = boxed[0, ..., :2].flatten(0, 1)
    torch.testing.assert_close(seen[:, 1].aminmax(), (seen.new_tensor(-1), seen.new_tensor(1)))
    low, high = seen[:, 0].aminmax()
    torch.testing.assert_close(low, -high)
    assert high < 1
    torch.testing.assert_close(boxed[..., 2], clips[..., 2])


def test_place_and_size_do_not_matter_and_clips_are_boxed_one_by_one(clips):
    moved = clips.clone()
    moved[..., :2] = 0.003 * clips[..., :2] + torch.tensor([-0.7, 0.2])
    torch.testing.assert_close(crop_to_box(moved), crop_to_box(clips))
    torch.testing.assert_close(crop_to_box(crop_to_box(clips)), crop_to_box(clips))
    torch.testing.assert_close(crop_to_box(clips), torch.stack([crop_to_box(clip) for clip in clips]))


def test_a_keypoint_not_seen_leaves_the_box_alone_and_is_clipped_to_it(clips):
    astray = clips.clone()
    astray[1, 2, 3, :2] = torch.tensor([9000.0, -9000.0])
    boxed, others = crop_to_box(astray), torch.ones(clips.shape[:-1], dtype=torch.bool)
    others[1, 2, 3] = False
    torch.testing.assert_close(boxed[others], crop_to_box(clips)[others])
    assert boxed[1, 2, 3].tolist() == [1, -1, 0]


def test_the_box_and_its_place_give_the_keypoints_back(clips):
    cropped, middle, side = crop_with_place(clips).split([3, 2, 1], dim=-1)
    torch.testing.assert_close(cropped, crop_to_box(clips))
    seen = clips[..., 2] > 0
    torch.testing.assert_close((middle + cropped[..., :2] * side / 2)[seen], clips[..., :2][seen])
    assert (middle == middle[:, :1, :1]).all() and (side == side[:, :1, :1]).all()


@pytest.mark.parametrize("change", ["nothing seen", "three seen", "one place"])
def test_what_has_no_box_is_zero_and_leaves_the_other_clips_alone(clips, change):
    changed = clips.clone()
    if change == "one place":
        changed[0, ..., :2] = 7
    else:
        changed[0].flatten(0, 1)[3 if change == "three seen" else 0 :, 2] = 0
    boxed = crop_with_place(changed)
    assert not boxed[0].any()
    torch.testing.assert_close(boxed[1:], crop_with_place(clips)[1:])


def test_corners_of_the_image_are_at_one():
    corners = torch.tensor([[0.0, 0.0], [1000.0, 1002.0], [500.0, 501.0]])[None, None]
    keypoints = network_keypoints(corners, torch.tensor([[[1000.0, 1002.0]]]), torch.tensor([[[-0.5, 0.25, 1.5]]]))
    expected = torch.tensor([[-1.0, -1.002, 0.0], [1.0, 1.002, 0.25], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(keypoints[0, 0], expected)
    assert (network_keypoints(corners, torch.tensor([640.0, 640.0]), None)[..., 2] == 1).all()


def test_crop_scale_matches_the_released_one(reference):
    golden = reference("crop_scale")
    np.testing.assert_allclose(crop_scale(golden["motion"]), golden["scaled"], atol=1e-6)


@pytest.mark.parametrize("seen", [0, 3])
def test_crop_scale_of_too_few_points_is_zero(seen):
    points = np.random.default_rng(0).random((1, 17, 3))
    points[:, seen:, 2] = 0
    assert not crop_scale(points).any()


def test_scale_by_width_keeps_proportions():
    points = np.array([[[0, 0, 2.0], [1280, 720, 0.5], [640, 360, 1]]])
    expected = [[[-1, -0.5625, 1], [1, 0.5625, 0.5], [0, 0, 1]]]
    np.testing.assert_allclose(scale_by_width(points, (1280, 720)), expected, atol=1e-6)


@pytest.mark.parametrize(("size", "corner"), [((1280, 720), (1280 / 720, 1)), ((720, 1280), (1, 1280 / 720))])
def test_scale_by_shorter_side_keeps_proportions_around_the_middle(size, corner):
    points = np.array([[[0, 0, 2.0], [*size, 0.5], [size[0] / 2, size[1] / 2, 1]]])
    expected = [[[-corner[0], -corner[1], 2], [*corner, 0.5], [0, 0, 1]]]
    np.testing.assert_allclose(scale_by_shorter_side(points, size), expected, atol=1e-6)


def test_missing_keypoints_lie_between_where_they_were_and_will_be_as_numpy_interpolates():
    rng = np.random.default_rng(0)
    lengths = np.array([30, 1, 12])
    keypoints = rng.uniform(0, 1000, (43, 17, 3)).astype("f4")
    keypoints[..., 2] /= 1000
    keypoints[rng.random((43, 17)) < 0.4] = 0
    keypoints[:30, 3] = 0  # never seen in the first video
    keypoints[31:] = 0  # a video without any
    filled = fill_missing(torch.from_numpy(keypoints), lengths).numpy()
    np.testing.assert_array_equal(filled[..., 2], keypoints[..., 2])
    np.testing.assert_array_equal(filled[31:], 0)
    place = np.arange(30)
    for joint in set(range(17)) - {3}:
        known = keypoints[:30, joint, 2] > 0
        for axis in range(2):
            expected = np.interp(place, place[known], keypoints[:30, joint, axis][known]).astype("f4")
            np.testing.assert_array_equal(filled[:30, joint, axis], expected)
    others = np.delete(filled[:30, :, :2], 3, axis=1)
    np.testing.assert_allclose(filled[:30, 3, :2], others.mean(axis=1), rtol=1e-5)
    seen = keypoints[30, :, 2] > 0
    middle = np.broadcast_to(keypoints[30, seen, :2].mean(axis=0), (int((~seen).sum()), 2))
    np.testing.assert_allclose(filled[30, ~seen, :2], middle, rtol=1e-5)
