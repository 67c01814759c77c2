"""Known triangles: where they fall, which is in front, which way they face."""

import numpy as np
import pytest

from kinemesh.render import rasterizer
from kinemesh.render.rasterizer import Perspective, Projected, WeakPerspective, picture_places, seen_faces

FLAT = WeakPerspective(1.0, (0.0, 0.0))
# Counter-clockwise seen by a camera at the origin that looks along +z with y down.
TOWARDS_CAMERA = np.array([[0, 2, 1]])
AWAY = np.array([[0, 1, 2]])


def right_triangle(depth=5.0, size=8.0):
    return np.array([[0.0, 0.0, depth], [size, 0.0, depth], [0.0, size, depth]])


def see(vertices, faces, camera, size, samples=1):
    """(S, height, width): the face at each place; -1: none."""
    found = np.full((samples**2, size[1], size[0]), -1)
    for seen in seen_faces(Projected.of(vertices, faces, camera, samples), size):
        (top, left), (rows, _, columns) = seen.corner, seen.faces.shape
        found[:, top : top + rows, left : left + columns] = seen.faces.transpose(1, 0, 2)
    return found


def covered(vertices, faces, camera, size=(12, 10)):
    return see(vertices, faces, camera, size)[0] >= 0


def tetrahedron(depth=4.0):
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return vertices + np.array([0, 0, depth]), np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


class TestRasterize:
    def test_covers_the_pixels_whose_centres_lie_inside_of_faces_that_look_here(self):
        rows, columns = np.mgrid[:10, :12] + 0.5
        np.testing.assert_array_equal(covered(right_triangle(), TOWARDS_CAMERA, FLAT), rows + columns <= 8)
        assert not covered(right_triangle(), AWAY, FLAT).any()

    @pytest.mark.parametrize("camera", [FLAT, Perspective(10.0, (0.0, 0.0))])
    @pytest.mark.parametrize("near_first", [True, False])
    def test_the_nearer_of_two_is_seen(self, camera, near_first):
        depths = (5.0, 9.0) if near_first else (9.0, 5.0)
        # In perspective the farther is made larger, so that both fill the same pixels.
        sizes = [8.0 if camera is FLAT else 0.8 * depth for depth in depths]
        vertices = np.concatenate([right_triangle(d, s) for d, s in zip(depths, sizes, strict=True)])
        seen = see(vertices, np.concatenate([TOWARDS_CAMERA, TOWARDS_CAMERA + 3]), camera, (12, 10))
        assert (seen >= 0).sum() == 36
        assert set(seen[seen >= 0]) == {0 if near_first else 1}

    def test_crossing_triangles_share_the_picture_where_they_cross(self):
        tilted = np.array([[0.0, 0.0, 1.0], [8.0, 0.0, 9.0], [0.0, 8.0, 1.0]])
        vertices = np.concatenate([right_triangle(5.0), tilted])
        seen = see(vertices, np.concatenate([TOWARDS_CAMERA, TOWARDS_CAMERA + 3]), FLAT, (12, 10))
        _, row, column = np.nonzero(seen >= 0)
        assert len(row) == 36
        np.testing.assert_array_equal(seen[0, row, column], np.where(1 + column + 0.5 < 5, 1, 0))

    def test_what_reaches_behind_the_camera_is_left_out(self):
        vertices = right_triangle()
        vertices[1, 2] = -1.0
        assert not covered(vertices, TOWARDS_CAMERA, Perspective(10.0, (0.0, 0.0))).any()

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_triangle_with_a_corner_nowhere_is_left_out_alone(self, value, axis):
        vertices = np.concatenate([right_triangle(), right_triangle(4.0)])
        vertices[4, axis] = value
        found = see(vertices, np.concatenate([TOWARDS_CAMERA, TOWARDS_CAMERA + 3]), FLAT, (12, 10))
        assert set(found[found >= 0]) == {0}

    def test_what_lies_outside_the_picture_is_cut(self):
        camera = WeakPerspective(1.0, (-2.0, -3.0))
        rows, columns = np.mgrid[:10, :12] + 0.5
        np.testing.assert_array_equal(covered(right_triangle(), TOWARDS_CAMERA, camera), rows + 3 + columns + 2 <= 8)
        assert not covered(right_triangle(), TOWARDS_CAMERA, WeakPerspective(1.0, (50.0, 0.0))).any()

    def test_a_closed_mesh_has_no_holes(self):
        vertices, faces = tetrahedron()
        mask = covered(vertices, faces, WeakPerspective(20.0, (40.0, 40.0)), (80, 80))
        assert mask[21:59, 21:59].all()
        assert not mask[:20].any()

    def test_an_edge_through_pixel_centres_leaves_no_crack(self):
        # A fan of thin triangles around one point: every ray from it is an edge that two of them share.
        angles = np.linspace(0, 2 * np.pi, 33)
        ring = np.stack([20.5 + 15 * np.cos(angles), 20.5 + 15 * np.sin(angles), np.full(33, 5.0)], axis=1)
        vertices = np.concatenate([[[20.5, 20.5, 5.0]], ring])
        faces = np.array([[0, i + 1, i] for i in range(1, 33)])
        rows, columns = np.mgrid[:41, :41] + 0.5
        inside = np.hypot(rows - 20.5, columns - 20.5) < 14.9
        assert covered(vertices, faces, FLAT, (41, 41))[inside].all()

    @pytest.mark.parametrize("camera", [WeakPerspective(1.0, (0.0, 0.0)), Perspective(8.0, (20.0, 15.0))])
    def test_agrees_with_a_test_of_every_pixel_against_every_triangle(self, camera):
        rng = np.random.default_rng(5)
        # Some reach beyond the picture, some are too small for any centre, some have a level edge through centres.
        vertices = rng.uniform([-5, -5, 2], [45, 35, 9], (150, 3))
        vertices[60:] = np.repeat(vertices[60:90], 3, axis=0) + rng.normal(0, 0.6, (90, 3))
        vertices[:30, :2] = np.floor(vertices[:30, :2]) + 0.5
        if isinstance(camera, Perspective):
            vertices[:, :2] = (vertices[:, :2] - camera.centre_px) * vertices[:, 2:] / camera.focal_px
        faces = np.arange(150).reshape(50, 3)
        found = see(vertices, faces, camera, (40, 30)).ravel()

        pixels_px, nearness = picture_places(vertices, camera)
        y, x = np.mgrid[:30, :40].reshape(2, -1) + 0.5
        best, expected = np.full(1200, -np.inf), np.full(1200, -1)
        for number, (a, b, c) in enumerate(faces):
            corners = np.stack([pixels_px[[a, b, c], 0], pixels_px[[a, b, c], 1], np.ones(3)])
            if np.linalg.det(corners) >= 0:
                continue
            shares = np.linalg.solve(corners, np.stack([x, y, np.ones(1200)]))
            near = nearness[[a, b, c]] @ shares
            is_nearer = (shares >= -1e-9).all(axis=0) & (near > best)
            best[is_nearer], expected[is_nearer] = near[is_nearer], number
        assert (expected >= 0).sum() > 300
        np.testing.assert_array_equal(found, expected)

    def test_each_place_of_a_pixel_is_looked_at_in_a_row_and_a_column_of_its_own(self):
        vertices, faces = tetrahedron()
        mesh = Projected.of(vertices, faces, WeakPerspective(20.0, (40.0, 40.0)), 3)
        assert all(sorted(np.round(9 * own - 0.5).astype(int)) == list(range(9)) for own in mesh.offsets)
        found = see(vertices, faces, WeakPerspective(20.0, (40.0, 40.0)), (80, 80), 3)
        for looked_at, (down, across) in zip(found, mesh.offsets.T, strict=True):
            # The same picture, moved so that the middles of pixels lie where the place is.
            moved = WeakPerspective(20.0, (40.5 - across, 40.5 - down))
            np.testing.assert_array_equal(looked_at, see(vertices, faces, moved, (80, 80))[0])

    def test_strips_join_without_a_seam(self, monkeypatch):
        vertices, faces = tetrahedron()
        camera = Perspective(70.0, (41.0, 38.0))
        whole = see(vertices, faces, camera, (80, 80), 2)
        monkeypatch.setattr(rasterizer, "_PLACES_AT_ONCE", 1000)
        np.testing.assert_array_equal(see(vertices, faces, camera, (80, 80), 2), whole)
        assert (whole >= 0).mean() > 0.1

    def test_a_sliver_reaches_no_farther_than_its_corners(self):
        flat = np.array([[2.0, 4.5, 5.0], [5.0, 4.5, 5.0], [9.0, 4.5 - 1e-12, 5.0]])
        for faces in (TOWARDS_CAMERA, AWAY):
            assert not covered(flat, faces, FLAT)[:, [0, 1, 9, 10, 11]].any()
