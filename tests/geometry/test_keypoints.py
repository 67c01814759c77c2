"""The box around a person: what it ignores and what it keeps."""

import pytest
import torch

from kinemesh.geometry.keypoints import crop_to_box, crop_with_place


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


def test_place_and_size_in_the_picture_do_not_matter(clips):
    moved = clips.clone()
    moved[..., :2] = 0.003 * clips[..., :2] + torch.tensor([-0.7, 0.2])
    torch.testing.assert_close(crop_to_box(moved), crop_to_box(clips))
    torch.testing.assert_close(crop_to_box(crop_to_box(clips)), crop_to_box(clips))


def test_clips_together_are_boxed_as_one_by_one(clips):
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
