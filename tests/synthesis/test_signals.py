"""What varies in time has the spread, the correlation and the runs that are asked for."""

import math

import pytest
import torch

from kinemesh.synthesis.signals import log_uniform, one_run, runs, smooth_noise, smoothed, within


@pytest.mark.parametrize("seconds", [0.1, 0.4])
def test_smooth_noise_is_correlated_over_its_time_constant(seconds, draws):
    noise = smooth_noise(draws(16000), (20, 2), 30.0, torch.full((16000,), seconds), 0.1)
    assert noise.shape == (16000, 20, 2)
    torch.testing.assert_close(noise.std(dim=0), torch.ones(20, 2), atol=0.05, rtol=0)
    for lag in (1, 3, 6, 15):
        expected = math.exp(-((lag / 30.0 / seconds) ** 2) / 4)
        assert (noise[:, lag:] * noise[:, :-lag]).mean().item() == pytest.approx(expected, abs=0.03)
    assert abs((noise[..., 0] * noise[..., 1]).mean().item()) < 0.03


def test_ranges_are_drawn_evenly_and_smoothing_keeps_what_is_even(draws):
    for draw, quarter in ((within, 25.75), (log_uniform, 100**0.25)):
        values = draw(draws(4000), (1.0, 100.0))
        assert values.min() >= 1.0 and values.max() <= 100.0
        assert (values < quarter).float().mean().item() == pytest.approx(0.25, abs=0.025)
    steady = torch.full((2, 9, 3), 5.0)
    torch.testing.assert_close(smoothed(steady, 4.0), steady)
    step = torch.cat((torch.zeros(1, 20, 1), torch.ones(1, 20, 1)), dim=1)
    found = smoothed(step, 3.0)[0, :, 0]
    assert found.diff().min() >= -1e-6 and found[19] == pytest.approx(1 - found[20].item(), abs=1e-5)
    assert found[0] < 1e-4 and 0.3 < found[19] < 0.5


def test_runs_begin_by_chance_and_last_as_long_as_said(draws):
    found = runs(draws(3000), 40, 2, 0.01, (3, 5))
    assert found.shape == (3000, 40, 2)
    # Mean length 4, of which hardly any overlap; as many at the first frame as at the last.
    for part in (found, found[:, :1], found[:, -1:]):
        assert part.float().mean().item() == pytest.approx(0.04, abs=0.008)
    starts = found[:, 1:] & ~found[:, :-1]
    assert starts.float().mean().item() == pytest.approx(0.01 * 0.96, abs=0.001)


def test_one_run_touches_its_clip(draws):
    found = one_run(draws(4000), 16, 0.25, torch.full((4000,), 30.0))
    assert found.any(dim=1).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert found[:, 0].sum() > 600 and found[:, -1].sum() > 600
    within_clip = one_run(draws(4000), 16, 1.0, torch.full((4000,), 2.0)).sum(dim=1)
    assert set(within_clip.tolist()) == {1, 2}
