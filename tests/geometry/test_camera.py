"""A pinhole camera: a point on a ray is seen where the ray is, and what is too near does not divide by zero."""

import numpy as np

from kinemesh.geometry.camera import project


def test_points_of_one_ray_are_seen_in_one_place_and_what_is_too_near_at_the_least_depth():
    ray = np.array([0.5, -0.25, 1.0])
    seen = project(ray * np.array([[1.0], [4.0], [30.0]]), 800.0, (320.0, 240.0))
    np.testing.assert_allclose(seen, [[720.0, 40.0]] * 3)
    points = np.array([[0.1, 0.2, 0.0], [0.1, 0.2, -3.0], [0.1, 0.2, 0.5]])
    np.testing.assert_allclose(project(points, 100.0, (0.0, 0.0), least_depth=0.5), [[20.0, 40.0]] * 3)


def test_each_point_may_have_its_own_camera():
    points = np.random.default_rng(0).normal(size=(2, 5, 3)) + np.array([0, 0, 6])
    focal_px, centre_px = np.array([500.0, 900.0]), np.array([[10.0, 20.0], [30.0, 40.0]])
    seen = project(points, focal_px[:, None, None], centre_px[:, None])
    for number in range(2):
        np.testing.assert_array_equal(seen[number], project(points[number], focal_px[number], centre_px[number]))
