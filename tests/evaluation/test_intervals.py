import numpy as np
import pytest

from kinemesh.evaluation.intervals import ratio_interval


def test_the_mean_is_over_frames_not_videos_and_equal_videos_leave_no_doubt():
    assert ratio_interval(np.array([6.0, 9.0]), np.array([2, 3])) == pytest.approx((3.0, 3.0, 3.0))
    mean, _, _ = ratio_interval(np.array([100.0, 0.0]), np.array([10, 90]))
    assert mean == 1.0
    assert ratio_interval(np.array([6.0, 0.0]), np.array([2, 0])) == (3.0, 3.0, 3.0)  # one without frames
    sums, counts = np.arange(20.0), np.full(20, 7)
    assert ratio_interval(sums, counts) == ratio_interval(sums, counts)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        counts = rng.integers(20, 200, size=40)
        effects = rng.normal(-2.0, 5.0, size=40)
        _, low, high = ratio_interval(effects * counts, counts, seed=trial)
        covered += low <= -2.0 <= high
    assert 0.90 <= covered / 300 <= 0.98
