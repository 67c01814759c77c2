"""World metrics are those of WHAM's evaluation: the same as written out here step by step."""

import numpy as np
import pytest
import torch

from kinemesh.world import metrics


def umeyama(pred: np.ndarray, target: np.ndarray, has_scale: bool) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) with the scale in it, and shift, of points (N, 3)."""
    middle, goal = pred.mean(axis=0), target.mean(axis=0)
    covariance = (target - goal).T @ (pred - middle) / len(pred)
    left, sizes, right = np.linalg.svd(covariance)
    signs = np.array([1, 1, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = left @ np.diag(signs) @ right
    scale = (sizes * signs).sum() / ((pred - middle) ** 2).sum(axis=1).mean() if has_scale else 1.0
    return scale * turn, goal - scale * turn @ middle


@pytest.fixture(scope="module")
def paths() -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true joints (230, 6, 3), m."""
    rng = np.random.default_rng(0)
    true = np.cumsum(0.02 * rng.standard_normal((230, 1, 3)), axis=0) + 0.4 * rng.standard_normal((1, 6, 3))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    return 1.1 * (true + 0.03 * rng.standard_normal(true.shape)) @ turn.T + (1.0, 2.0, 3.0), true


@pytest.mark.parametrize(("name", "aligned"), [("wa_mpjpe_mm", 100), ("w_mpjpe_mm", 2)])
def test_joints_are_aligned_by_chunks_of_100_frames(name, aligned, paths):
    expected = []
    for first in range(0, 230, 100):
        pred, true = (points[first : first + 100] for points in paths)
        turn, shift = umeyama(pred[:aligned].reshape(-1, 3), true[:aligned].reshape(-1, 3), True)
        expected += [
            np.linalg.norm(row @ turn.T + shift - goal, axis=1).mean() for row, goal in zip(pred, true, strict=True)
        ]
    found = getattr(metrics, name)(*map(torch.from_numpy, paths))
    np.testing.assert_allclose(found.numpy(), 1000 * np.array(expected), rtol=1e-9)


def test_a_path_is_aligned_without_scale_and_its_error_told_by_its_length(paths):
    pred, true = (points[:, 0] for points in paths)
    turn, shift = umeyama(pred, true, False)
    length = np.linalg.norm(np.diff(true, axis=0), axis=1).sum()
    expected = 100 * np.linalg.norm(pred @ turn.T + shift - true, axis=1) / length
    found = metrics.rte_percent(torch.from_numpy(pred), torch.from_numpy(true))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)
    assert metrics.rte_percent(torch.zeros(5, 3), torch.zeros(5, 3)).isnan().all()


def test_feet_slide_where_the_true_ones_stand(paths):
    pred, true = (points[:, :4] * 0.3 for points in paths)
    expected = [
        1000 * np.linalg.norm(pred[frame + 1, foot] - pred[frame, foot])
        for frame in range(229)
        for foot in range(4)
        if np.linalg.norm(true[frame + 1, foot] - true[frame, foot]) < 0.01
    ]
    assert 100 < len(expected) < 900
    found = metrics.foot_sliding_mm(torch.from_numpy(pred), torch.from_numpy(true))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_jitter_is_the_third_difference_in_tens_of_metres_a_second_cubed(paths):
    pred = paths[0]
    expected = [
        np.linalg.norm(pred[t + 3] - 3 * pred[t + 2] + 3 * pred[t + 1] - pred[t], axis=-1).mean() * 30**3 / 10
        for t in range(227)
    ]
    np.testing.assert_allclose(metrics.jitter_10_m_s3(torch.from_numpy(pred), 30).numpy(), expected, rtol=1e-9)


def test_what_is_below_the_floor_does_not_float():
    lowest = torch.tensor([-0.02, 0.0, 0.03])
    assert metrics.penetration_mm(lowest).tolist() == pytest.approx([20, 0, 0])
    assert metrics.float_mm(lowest).tolist() == pytest.approx([0, 0, 30])
