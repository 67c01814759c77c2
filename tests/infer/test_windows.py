"""Cutting, blending, smoothing."""

import pytest
import roma
import torch
from scipy.signal import savgol_filter

from kinemesh.geometry.rotation import axis_angle_to_matrix, rotation_angle
from kinemesh.infer.windows import Window, batch_windows, blend_windows, cut_windows, smooth_rotations, window_weights


def slow_rotations(frames: int, seed: int = 0, joints: int = 2) -> torch.Tensor:
    """(F, joints, 3, 3) that turn smoothly."""
    generator = torch.Generator().manual_seed(seed)
    speed, phase = torch.rand(joints, 3, generator=generator), torch.rand(joints, 3, generator=generator)
    time = torch.arange(frames)[:, None, None] / 15
    return axis_angle_to_matrix(torch.sin(speed * time + 6 * phase))


def accelerations(rotations: torch.Tensor) -> torch.Tensor:
    """(F - 2,) mean second difference of rotations, radians a frame squared."""
    speed = roma.rotmat_to_rotvec(rotations[:-1].mT @ rotations[1:])
    return speed.diff(dim=0).norm(dim=-1).mean(dim=1)


@pytest.mark.parametrize(
    ("lengths", "clip_len"), [([100], 16), ([7], 16), ([16, 1, 33], 16), ([20], 1), ([9], 5), ([5], 2)]
)
def test_windows_cover_every_frame_and_overlap_by_half(lengths, clip_len):
    windows = cut_windows(lengths, clip_len)
    seen = torch.zeros(sum(lengths), dtype=torch.int64)
    for window in windows:
        seen[window.first : window.first + window.length] += 1
    assert seen.min() >= 1
    assert [window.first for window in windows] == sorted(window.first for window in windows)
    starts = torch.tensor([0, *lengths]).cumsum(0)
    for window in windows:
        own = int(torch.searchsorted(starts, window.first, right=True)) - 1
        assert window.first + window.length <= starts[own + 1]
        assert window.length == min(clip_len, lengths[own])
    inner = seen[clip_len // 2 : lengths[0] - clip_len // 2]
    if clip_len > 1 and lengths[0] > 2 * clip_len:
        assert inner.min() >= 2


def test_batches_keep_order_length_and_size_and_weights_of_windows_add_up_to_one():
    windows = cut_windows([40, 5, 5, 40], 16)
    batches = batch_windows(windows, 48)
    assert [window for batch in batches for window in batch] == windows
    assert all(len({window.length for window in batch}) == 1 for batch in batches)
    assert max(len(batch) * batch[0].length for batch in batches) <= 48
    weights = window_weights(16)
    torch.testing.assert_close(weights[:8] + weights[8:], torch.ones(8))


@pytest.mark.parametrize("frames_at_once", [1, 40, 10_000])
def test_blending_equal_windows_changes_nothing(frames_at_once):
    lengths = [45, 3, 1, 70]
    truth = slow_rotations(sum(lengths))
    batches = batch_windows(cut_windows(lengths, 16), frames_at_once)
    blended = blend_windows(batches, lambda batch: torch.stack([truth[w.first : w.first + w.length] for w in batch]))
    firsts, parts = zip(*blended, strict=True)
    assert list(firsts) == torch.tensor([0, *(len(part) for part in parts[:-1])]).cumsum(0).tolist()
    torch.testing.assert_close(torch.cat(parts), truth, atol=1e-5, rtol=0)


def blend(frames: int, clip_len: int, predict) -> torch.Tensor:
    return torch.cat([part for _, part in blend_windows(batch_windows(cut_windows([frames], clip_len), 64), predict)])


def test_no_seam_at_window_borders():
    """Every window is wrong in its own way; what is blended moves at its borders as it does elsewhere."""
    truth = slow_rotations(400)
    errors = axis_angle_to_matrix(0.3 * torch.randn(400, 2, 3, generator=torch.Generator().manual_seed(3)))

    def predict(batch: list[Window]) -> torch.Tensor:
        return torch.stack([errors[w.first] @ truth[w.first : w.first + w.length] for w in batch])

    moved = accelerations(blend(400, 32, predict))
    at_border = torch.zeros(398, dtype=torch.bool)
    for window in cut_windows([400], 32):
        for border in (window.first, window.first + window.length):
            at_border[max(0, border - 2) : border + 1] = True
    assert 0 < at_border.sum() < 150
    assert moved[at_border].mean() < 1.05 * moved[~at_border].mean()
    assert moved[at_border].max() < 1.2 * moved[~at_border].max()
    # Windows set side by side do have seams, so that the figures above mean something.
    beside = torch.cat([predict([Window(first, 32)])[0] for first in range(0, 384, 32)])
    assert accelerations(beside).max() > 3 * moved.max()


def test_the_mean_of_two_windows_lies_between_them():
    first, second = torch.eye(3), axis_angle_to_matrix(torch.tensor([0.0, 1.0, 0.0]))
    mean = blend(1, 1, lambda batch: (first + second).expand(1, 1, 1, 3, 3))
    assert rotation_angle(mean[0, 0]) == pytest.approx(0.5, abs=1e-5)


def test_smoothing_has_no_lag_and_keeps_motion():
    truth = slow_rotations(200)
    noise = axis_angle_to_matrix(0.05 * torch.randn(200, 2, 3, generator=torch.Generator().manual_seed(0)))
    smoothed = smooth_rotations(truth @ noise, 5)
    error, before = (rotation_angle(truth.mT @ other).mean() for other in (smoothed, truth @ noise))
    assert error < 0.6 * before
    assert accelerations(smoothed).mean() < 0.2 * accelerations(truth @ noise).mean()
    shifted = [rotation_angle(truth[5 + lag : 195 + lag].mT @ smoothed[5:195]).mean().item() for lag in (-1, 0, 1)]
    assert shifted[1] == min(shifted)
    torch.testing.assert_close(smooth_rotations(truth, 5), truth, atol=4e-3, rtol=0)
    flipped = smooth_rotations((truth @ noise).flip(0), 5).flip(0)
    torch.testing.assert_close(flipped, smoothed, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("frames", "radius"), [(200, 5), (11, 5), (9, 7), (5, 2)])
def test_smoothing_is_scipys_filter_projected_to_rotations(frames, radius):
    rotations = slow_rotations(frames).double()
    size = 2 * min(radius, (frames - 1) // 2) + 1
    fitted = torch.tensor(savgol_filter(rotations.numpy(), size, 2, axis=0, mode="interp"))
    torch.testing.assert_close(smooth_rotations(rotations, radius), roma.special_procrustes(fitted))


def test_smoothing_turns_with_the_person():
    rotations, turn = slow_rotations(50), axis_angle_to_matrix(torch.tensor([0.4, -2.0, 1.0]))
    torch.testing.assert_close(
        smooth_rotations(turn @ rotations, 4), turn @ smooth_rotations(rotations, 4), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_smoothing_leaves_what_is_too_short(frames):
    rotations = slow_rotations(frames)
    assert smooth_rotations(rotations, 5) is rotations
