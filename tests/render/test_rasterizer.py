"""Known triangles: where they fall, which is in front, which way they face, how they are lit."""

import numpy as np
import pytest

from lib.render.rasterizer import (
    BACKGROUND_COLOR,
    Perspective,
    WeakPerspective,
    project,
    rasterize,
    render_mesh,
    vertex_normals,
)

FLAT = WeakPerspective(1.0, (0.0, 0.0))
# Counter-clockwise seen by a camera at the origin that looks along +z with y down.
TOWARDS_CAMERA = np.array([[0, 2, 1]])
AWAY = np.array([[0, 1, 2]])


def right_triangle(depth=5.0, size=8.0):
    return np.array([[0.0, 0.0, depth], [size, 0.0, depth], [0.0, size, depth]])


def covered(vertices, faces, camera, size=(12, 10)):
    mask = np.zeros(size[0] * size[1], dtype=bool)
    mask[rasterize(vertices, faces, camera, size).pixels] = True
    return mask.reshape(size[1], size[0])


def tetrahedron(depth=4.0):
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    return vertices + np.array([0, 0, depth]), np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


class TestRasterize:
    def test_covers_the_pixels_whose_centres_lie_inside(self):
        rows, columns = np.mgrid[:10, :12] + 0.5
        np.testing.assert_array_equal(covered(right_triangle(), TOWARDS_CAMERA, FLAT), rows + columns <= 8)

    def test_reports_shares_that_give_back_the_pixel_centre(self):
        vertices = right_triangle()
        seen = rasterize(vertices, TOWARDS_CAMERA, FLAT, (12, 10))
        points = np.einsum("nc,ncd->nd", seen.shares, vertices[TOWARDS_CAMERA[seen.faces]])
        np.testing.assert_allclose(points[:, 0], seen.pixels % 12 + 0.5, atol=1e-12)
        np.testing.assert_allclose(points[:, 1], seen.pixels // 12 + 0.5, atol=1e-12)

    def test_faces_that_look_away_are_not_drawn(self):
        assert not covered(right_triangle(), AWAY, FLAT).any()

    @pytest.mark.parametrize("camera", [FLAT, Perspective(10.0, (0.0, 0.0))])
    @pytest.mark.parametrize("near_first", [True, False])
    def test_the_nearer_of_two_is_seen(self, camera, near_first):
        depths = (5.0, 9.0) if near_first else (9.0, 5.0)
        # In perspective the farther is made larger, so that both fill the same pixels.
        sizes = [8.0 if camera is FLAT else 0.8 * depth for depth in depths]
        vertices = np.concatenate([right_triangle(d, s) for d, s in zip(depths, sizes, strict=True)])
        seen = rasterize(vertices, np.concatenate([TOWARDS_CAMERA, TOWARDS_CAMERA + 3]), camera, (12, 10))
        assert len(seen.pixels) == 36
        assert set(seen.faces) == {0 if near_first else 1}

    def test_crossing_triangles_share_the_picture_where_they_cross(self):
        tilted = np.array([[0.0, 0.0, 1.0], [8.0, 0.0, 9.0], [0.0, 8.0, 1.0]])
        vertices = np.concatenate([right_triangle(5.0), tilted])
        seen = rasterize(vertices, np.concatenate([TOWARDS_CAMERA, TOWARDS_CAMERA + 3]), FLAT, (12, 10))
        x = seen.pixels % 12 + 0.5
        np.testing.assert_array_equal(seen.faces, np.where(1 + x < 5, 1, 0))

    def test_perspective_shrinks_with_depth_and_corrects_shares(self):
        camera = Perspective(10.0, (6.0, 5.0))
        vertices = np.array([[-1.0, -1.0, 2.0], [4.0, -4.0, 8.0], [-1.0, 1.0, 2.0]])
        seen = rasterize(vertices, TOWARDS_CAMERA, camera, (12, 10))
        assert len(seen.pixels) > 20
        points = np.einsum("nc,ncd->nd", seen.shares, vertices[TOWARDS_CAMERA[seen.faces]])
        pixels, _ = project(points, camera)
        np.testing.assert_allclose(
            pixels, np.stack([seen.pixels % 12 + 0.5, seen.pixels // 12 + 0.5], axis=1), atol=1e-9
        )

    def test_what_reaches_behind_the_camera_is_left_out(self):
        vertices = right_triangle()
        vertices[1, 2] = -1.0
        assert not covered(vertices, TOWARDS_CAMERA, Perspective(10.0, (0.0, 0.0))).any()

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


def test_normals_point_outwards_and_have_unit_length():
    vertices, faces = tetrahedron()
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(normals, (vertices - [0, 0, 4]) / np.sqrt(3), atol=1e-12)


class TestRenderMesh:
    def test_background_stays_where_nothing_is_drawn(self):
        picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10))
        assert picture.shape == (10, 12, 3)
        assert picture.dtype == np.uint8
        background = np.round(255 * np.array(BACKGROUND_COLOR))
        assert (picture[9, 11] == background).all()
        assert (picture[1, 1] != background).any()

    def test_draws_over_a_picture_without_changing_it(self):
        photo = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        before = photo.copy()
        picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), photo)
        np.testing.assert_array_equal(photo, before)
        np.testing.assert_array_equal(picture[8:], photo[8:])
        assert (picture[:4, :4] != photo[:4, :4]).any()

    def test_a_background_of_another_size_is_refused(self):
        with pytest.raises(ValueError, match=r"background is uint8 \(4, 4, 3\), expected uint8 \(10, 12, 3\)"):
            render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), np.zeros((4, 4, 3), np.uint8))

    def test_several_samples_a_pixel_soften_only_the_outline(self):
        white = (1.0, 1.0, 1.0)
        once = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), white, color=(0.2, 0.2, 0.2))
        often = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), white, color=(0.2, 0.2, 0.2), samples=4)
        rows, columns = np.mgrid[:10, :12]
        is_edge = np.isin(rows + columns, (7,))
        np.testing.assert_array_equal(once[~is_edge], often[~is_edge])
        ink = once[0, 0, 0]
        assert ((often[is_edge & (rows <= 7)] > ink) & (often[is_edge & (rows <= 7)] < 255)).all()

    def test_samples_do_not_move_a_perspective_picture(self):
        vertices, faces = tetrahedron()
        camera = Perspective(60.0, (40.0, 40.0))
        once, often = (render_mesh(vertices, faces, camera, (80, 80), samples=n) for n in (1, 2))
        assert np.abs(once.astype(int) - often).mean() < 3

    def test_light_comes_from_above(self):
        vertices = np.array([[0.0, 0, 5], [8, 0, 5], [0, 8, 5], [8, 8, 5]])
        faces = np.array([[0, 2, 1], [1, 2, 3]])
        up, down = vertices.copy(), vertices.copy()
        up[2:, 2], down[:2, 2] = 1.0, 1.0  # lower edge nearer: the surface looks up; upper edge nearer: down
        brightness = [render_mesh(v, faces, FLAT, (8, 8)).mean() for v in (up, down)]
        assert brightness[0] < 255 and brightness[0] > brightness[1] + 10

    def test_colors_by_vertex_are_interpolated(self):
        colors = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])
        picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), color=colors)
        assert picture[0, 0].argmax() == 0
        assert picture[0, 7].argmax() == 1
        assert picture[7, 0].argmax() == 2

    def test_a_whole_body_is_drawn(self, assets):
        camera = WeakPerspective(300.0, (320.0, 320.0))
        picture = render_mesh(assets.v_template * [1, -1, -1], assets.faces, camera, (640, 640))
        is_body = (picture != picture[0, 0]).any(axis=-1)
        assert 0.08 < is_body.mean() < 0.2
        rows = np.flatnonzero(is_body.any(axis=1))
        assert np.ptp(rows) == pytest.approx(300 * np.ptp(assets.v_template[:, 1]), abs=2)
        # A body is nearly symmetric, and so is its outline about the middle of the picture.
        assert (is_body != is_body[:, ::-1]).mean() < 0.01
