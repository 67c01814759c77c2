"""Cameras, detections and estimates of made-up people: geometry and the statistics of their errors."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinemesh.demo.camera import View, point_cameras, see
from kinemesh.demo.detector import detect
from kinemesh.demo.estimator import estimate

STATURE_PX = 480.0
VIEW = View((1145.0, 1145.0), (3.2, 6.0), ((400.0, 400.0, 600.0, 600.0),), ((500.0, 500.0),))


@pytest.fixture(scope="module")
def detection():
    keypoints = np.random.default_rng(0).uniform(300, 700, (300, 60, 17, 2))
    found = detect(np.random.default_rng(1), keypoints, np.full((300, 60), STATURE_PX), 30.0)
    return found, np.linalg.norm(found.keypoints_px - keypoints, axis=-1)


@pytest.fixture(scope="module")
def estimated():
    rng = np.random.default_rng(2)
    poses = Rotation.from_rotvec(rng.normal(0.0, 0.4, (120 * 24, 3))).as_matrix().reshape(120, 1, 24, 3, 3)
    rotations, betas = np.repeat(poses, 50, axis=1), rng.standard_normal((120, 10))
    confidence = np.where(np.arange(120)[:, None, None] < 60, 1.0, 0.3) * np.ones((120, 50, 17))
    guess = estimate(np.random.default_rng(3), rotations, betas, confidence, 30.0)
    trace = np.trace(rotations.swapaxes(-1, -2) @ guess.rotations, axis1=-2, axis2=-1)
    return guess, betas, np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def test_the_pelvis_appears_where_the_view_puts_it():
    path = np.broadcast_to([3.0, 0.9, -2.0], (200, 5, 3))
    camera = point_cameras(np.random.default_rng(4), VIEW, path, 30.0)
    seen = see(camera.pelvis_m[:, :, None], camera)
    assert (seen >= 400.0 - 1e-6).all() and (seen <= 600.0 + 1e-6).all()
    assert (camera.pelvis_m[..., 2] >= 3.2).all() and (camera.pelvis_m[..., 2] <= 6.0).all()


def test_cameras_stand_upright_all_round_and_mostly_look_down_a_little():
    camera = point_cameras(np.random.default_rng(5), VIEW, np.zeros((500, 1, 3)), 30.0)
    up = camera.rotations[:, 0] @ np.array([0.0, 1.0, 0.0])
    assert (up[:, 1] < -0.8).all()  # the camera's y axis points down
    pitch = np.degrees(np.arcsin(-up[:, 2]))
    assert pitch.min() > -17.0 and pitch.max() < 34.0 and 3.0 < np.median(pitch) < 12.0
    facing = camera.rotations[:, 0] @ np.array([0.0, 0.0, 1.0])
    counts, _ = np.histogram(np.arctan2(facing[:, 0], facing[:, 2]), bins=4, range=(-np.pi, np.pi))
    assert counts.min() > 80


def test_a_fixed_camera_sees_a_walker_come_and_a_held_one_follows():
    path = np.zeros((50, 60, 3))
    path[..., 2] = np.linspace(0, 3, 60)
    fixed = point_cameras(np.random.default_rng(6), VIEW, path, 30.0)
    assert (np.ptp(fixed.rotations, axis=1) == 0).all()
    held = point_cameras(np.random.default_rng(6), VIEW._replace(is_held=True), path, 30.0)
    assert np.ptp(held.rotations, axis=1).max() > 0.005
    spans = [np.linalg.norm(np.ptp(camera.pelvis_m, axis=1), axis=-1).mean() for camera in (fixed, held)]
    assert spans[1] < 0.6 * spans[0]
    assert fixed.pelvis_m[..., 2].min() >= 1.5 - 1e-9


def test_a_person_on_the_axis_projects_to_the_centre():
    camera = point_cameras(np.random.default_rng(7), VIEW, np.zeros((1, 1, 3)), 30.0)
    point = np.array([[[[0.0, 0.0, 4.0], [1.0, 0.0, 4.0]]]])
    np.testing.assert_allclose(see(point, camera)[0, 0], [[500.0, 500.0], [500.0 + 1145.0 / 4.0, 500.0]])


def test_detections_err_by_pixels_with_heavy_tails_more_at_the_ends_of_limbs(detection):
    _, error = detection
    assert 2.0 < np.median(error) < 6.0
    per_video = np.median(error, axis=(1, 2))
    assert np.quantile(per_video, 0.9) > 2.0 * np.quantile(per_video, 0.1)
    assert np.quantile(error, 0.999) > 10.0 * np.median(error)
    typical = np.median(error, axis=(0, 1))
    assert typical[[13, 16, 3, 6]].mean() > 1.15 * typical[[7, 8, 9]].mean()


def test_confidence_tells_the_error_but_not_exactly(detection):
    found, error = detection
    assert found.confidence.min() >= 0.0 and found.confidence.max() <= 1.0
    order = np.corrcoef(np.argsort(np.argsort(error.ravel())), np.argsort(np.argsort(found.confidence.ravel())))[0, 1]
    assert -0.95 < order < -0.4
    assert 0.7 < found.confidence.mean() < 0.95
    # Part of the videos follow the plain model, 1 - error / 30 px at this size, to a few hundredths.
    off = np.median(np.abs(np.clip(1.0 - error / 30.0, 0, 1) - found.confidence), axis=(1, 2))
    assert 0.25 < (off < 0.02).mean() < 0.45


def test_errors_scale_with_the_person():
    keypoints = np.zeros((50, 40, 17, 2))
    small, large = (detect(np.random.default_rng(8), keypoints, np.full((50, 40), px), 30.0) for px in (100.0, 400.0))
    np.testing.assert_allclose(4.0 * small.keypoints_px, large.keypoints_px, atol=1e-9)
    np.testing.assert_allclose(small.confidence, large.confidence)


def test_part_of_the_errors_stay_for_several_frames():
    keypoints = np.zeros((200, 60, 17, 2))
    error = detect(np.random.default_rng(9), keypoints, np.full((200, 60), STATURE_PX), 30.0).keypoints_px
    error = np.clip(error - error.mean(axis=1, keepdims=True), -20, 20)
    correlation = (error[:, 1:] * error[:, :-1]).mean(axis=(1, 2, 3)) / (error**2).mean(axis=(1, 2, 3))
    assert (correlation < 0.1).mean() > 0.2 and (correlation > 0.4).mean() > 0.2


def test_estimates_err_more_at_limbs_and_where_unsure(estimated):
    _, _, error = estimated
    typical = np.median(error, axis=(0, 1))
    assert typical[[18, 19, 20, 21]].mean() > 1.5 * typical[[3, 6, 9]].mean()
    assert np.median(error[60:]) > 1.5 * np.median(error[:60])


def test_estimates_jitter_and_also_stay_wrong(estimated):
    guess, _, _ = estimated
    change = np.linalg.norm(np.diff(guess.rotations[:60], axis=1), axis=(-2, -1)).mean()
    spread = np.linalg.norm(
        guess.rotations[:60] - guess.rotations[:60].mean(axis=1, keepdims=True), axis=(-2, -1)
    ).mean()
    assert 0.1 * spread < change < spread


def test_estimated_shapes_are_nearer_to_the_average(estimated):
    guess, betas, _ = estimated
    slope = (guess.betas.mean(axis=1) * betas).sum() / (betas**2).sum()
    assert 0.3 < slope < 0.6
    assert (guess.betas.std(axis=1) > 0.05).all()


def test_estimates_are_rotations(estimated):
    rotations = estimated[0].rotations
    np.testing.assert_allclose(rotations @ rotations.swapaxes(-1, -2) - np.eye(3), 0, atol=1e-9)
    assert np.linalg.det(rotations).min() > 0.999
