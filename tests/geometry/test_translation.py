"""Places before the camera: exact where keypoints are, steady where they are not."""

import numpy as np
import pytest

from kinemesh.demo.video import FPS
from kinemesh.geometry import translation
from kinemesh.geometry.camera import project
from kinemesh.geometry.translation import (
    default_focal_px,
    misfit_of_frames,
    reprojection_errors_px,
    solve_from_reference,
    solve_translation,
)
from kinemesh.structures import VideoCamera

CAMERA = VideoCamera(1000.0, (640.0, 360.0), (1280, 720))


def moving_body(frames: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (F, K, 3) at translation 0, translations on a straight line, keypoints without error."""
    rng = np.random.default_rng(seed)
    at_rest = rng.normal(0, 0.4, (1, 17, 3))
    joints = at_rest + 0.05 * np.sin(np.arange(frames)[:, None, None] / 5 + rng.uniform(0, 6, (17, 3)))
    trans = np.array([-0.5, 0.2, 4.0]) + np.arange(frames)[:, None] * np.array([0.03, 0.002, 0.01])
    seen_px = project(joints + trans[:, None], CAMERA.focal_px, CAMERA.centre_px)
    return joints, trans, np.concatenate((seen_px, np.ones((frames, 17, 1))), axis=-1)


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
def test_exact_keypoints_give_the_exact_place(frames):
    joints, trans, keypoints = moving_body(frames)
    alone, together = solve_translation(joints, keypoints, CAMERA, FPS)
    np.testing.assert_allclose(alone, trans, atol=1e-5)
    np.testing.assert_allclose(together, trans, atol=1e-5)
    assert reprojection_errors_px(joints + together[:, None], keypoints, CAMERA).max() < 1e-2


def test_frames_without_keypoints_go_on_as_those_around_them():
    joints, trans, keypoints = moving_body()
    keypoints[10:20, :, 2] = 0
    keypoints[10:20, :, :2] = 0
    _, together = solve_translation(joints, keypoints, CAMERA, FPS)
    np.testing.assert_allclose(together, trans, atol=1e-4)


def test_noise_is_taken_out_and_outliers_do_not_count():
    joints, trans, keypoints = moving_body(120)
    rng = np.random.default_rng(1)
    keypoints[..., :2] += rng.normal(0, 4, keypoints[..., :2].shape)
    alone, together = solve_translation(joints, keypoints, CAMERA, FPS)
    error = [np.linalg.norm(found - trans, axis=-1).mean() for found in (alone, together)]
    assert error[1] < 0.6 * error[0]
    assert error[1] < 0.02
    is_astray = rng.random((120, 17)) < 0.05
    keypoints[is_astray, :2] += 200
    _, robust = solve_translation(joints, keypoints, CAMERA, FPS)
    assert np.linalg.norm(robust - trans, axis=-1).mean() < 1.5 * error[1] + 0.005


def test_confidence_weighs():
    joints, trans, keypoints = moving_body(20)
    keypoints[:, 3, :2] += 30
    keypoints[:, 3, 2] = 0.01
    _, together = solve_translation(joints, keypoints, CAMERA, FPS)
    np.testing.assert_allclose(together, trans, atol=2e-3)


def test_nobody_ends_behind_the_camera():
    joints, _, keypoints = moving_body(30)
    upside_down = keypoints.copy()
    upside_down[..., :2] = 2 * keypoints[..., :2].mean(axis=1, keepdims=True) - keypoints[..., :2]
    alone, _ = solve_translation(joints, upside_down, CAMERA, FPS)
    assert np.isfinite(alone).all()
    assert (joints[..., 2] + alone[:, None, 2]).min() > 0
    in_one_place = np.ones_like(keypoints)
    alone, together = solve_translation(joints, in_one_place, CAMERA, FPS)
    assert np.isfinite(alone).all()
    assert np.isfinite(together).all()


def test_the_banded_system_is_the_dense_one():
    joints, trans, keypoints = moving_body(7)
    equations = translation._equations(joints, keypoints, CAMERA, np.random.default_rng(0).uniform(0, 1, (7, 17)))
    found = translation._solve_together(equations, trans, FPS)
    costs = FPS**2 / np.array(translation._ACCELERATIONS)
    difference = np.kron(np.diff(np.eye(7), n=2, axis=0), np.diag(costs))
    dense = difference.T @ difference
    for frame in range(7):
        own = slice(3 * frame, 3 * frame + 3)
        dense[own, own] += equations.matrix[frame]
    np.testing.assert_allclose(found.ravel(), np.linalg.solve(dense, equations.right.ravel()), rtol=1e-5)


def test_a_reference_gives_scale_and_path():
    joints, trans, keypoints = moving_body()
    reference = (joints + trans[:, None] - (0.3, -0.1, 2.0)) / 0.7
    path, scale = solve_from_reference(joints, keypoints, CAMERA, reference)
    assert scale == pytest.approx(0.7, rel=1e-6)
    np.testing.assert_allclose(path, trans, atol=1e-5)


def test_misfit_tells_bodies_apart_and_the_default_focal_length_is_the_diagonal():
    joints, _, keypoints = moving_body()
    others, _, _ = moving_body(seed=5)
    assert misfit_of_frames(joints, keypoints, CAMERA) < 1e-3
    assert misfit_of_frames(others, keypoints, CAMERA) > 0.05
    assert default_focal_px((300, 400)) == 500
