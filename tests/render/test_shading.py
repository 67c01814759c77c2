"""Normals and light of known surfaces."""

import numpy as np

from kinemesh.render.shading import shade, vertex_normals


def test_normals_point_outwards_at_unit_length_and_weigh_faces_by_area(assets):
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    normals = vertex_normals(vertices + np.array([0, 0, 4]), np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]))
    np.testing.assert_allclose(normals, vertices / np.sqrt(3), atol=1e-12)
    vertices = np.array([[0.0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 1], [5, 5, 5]])
    normals = vertex_normals(vertices, np.array([[0, 1, 2], [0, 3, 1]]))
    np.testing.assert_allclose(normals[0], np.array([0, 3, 9]) / np.sqrt(90), atol=1e-12)
    np.testing.assert_array_equal(normals[4], 0)


def test_brightness_follows_the_surface_which_is_matt():
    normals = np.array([[-0.45, -0.60, -0.66], [0.45, 0.60, 0.66]]) / np.linalg.norm([0.45, 0.60, 0.66])
    lit = shade(normals, np.array([0.5, 0.6, 0.7]))
    assert (lit[0] > lit[1] + 0.2).all()
    assert (shade(normals, np.ones(3)) <= 1).all()
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    lit = shade(normals, np.array([0.2, 0.3, 0.4]))
    # Light takes the surface's colour everywhere: a gloss would add white where lamps are mirrored.
    np.testing.assert_allclose(lit / lit.sum(axis=1, keepdims=True), np.tile([2 / 9, 3 / 9, 4 / 9], (500, 1)))
