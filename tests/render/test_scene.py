"""Pictures of known meshes: what is drawn over what, how it is lit, how smooth outlines are."""

import tracemalloc

import numpy as np
import pytest

from kinemesh.render import rasterizer
from kinemesh.render.rasterizer import Perspective, WeakPerspective
from kinemesh.render.scene import BACKGROUND_COLOR, render_mesh
from kinemesh.render.shading import shade, vertex_normals

FLAT = WeakPerspective(1.0, (0.0, 0.0))
# Counter-clockwise seen by a camera at the origin that looks along +z with y down.
TOWARDS_CAMERA = np.array([[0, 2, 1]])


def right_triangle(depth=5.0, size=8.0):
    return np.array([[0.0, 0.0, depth], [size, 0.0, depth], [0.0, size, depth]])


def test_background_stays_where_nothing_is_drawn():
    picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10))
    assert picture.shape == (10, 12, 3)
    assert picture.dtype == np.uint8
    background = np.round(255 * np.array(BACKGROUND_COLOR))
    assert (picture[9, 11] == background).all()
    assert (picture[1, 1] != background).any()


def test_draws_over_a_picture_without_changing_it():
    photo = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    before = photo.copy()
    picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), photo)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(picture[8:], photo[8:])
    assert (picture[:4, :4] != photo[:4, :4]).any()


def test_a_background_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"background is uint8 \(4, 4, 3\), expected uint8 \(10, 12, 3\)"):
        render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), np.zeros((4, 4, 3), np.uint8))


def test_several_samples_a_pixel_soften_only_the_outline():
    white = (1.0, 1.0, 1.0)
    once = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), white, color=(0.2, 0.2, 0.2))
    often = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), white, color=(0.2, 0.2, 0.2), samples=4)
    rows, columns = np.mgrid[:10, :12]
    is_edge = np.isin(rows + columns, (7,))
    np.testing.assert_array_equal(once[~is_edge], often[~is_edge])
    ink = once[0, 0, 0]
    assert ((often[is_edge & (rows <= 7)] > ink) & (often[is_edge & (rows <= 7)] < 255)).all()


def test_samples_do_not_move_a_perspective_picture():
    vertices = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) + np.array([0, 0, 4])
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    camera = Perspective(60.0, (40.0, 40.0))
    once, often = (render_mesh(vertices, faces, camera, (80, 80), samples=n) for n in (1, 2))
    assert np.abs(once.astype(int) - often).mean() < 3


def test_light_comes_from_above():
    vertices = np.array([[0.0, 0, 5], [8, 0, 5], [0, 8, 5], [8, 8, 5]])
    faces = np.array([[0, 2, 1], [1, 2, 3]])
    up, down = vertices.copy(), vertices.copy()
    up[2:, 2], down[:2, 2] = 1.0, 1.0  # lower edge nearer: the surface looks up; upper edge nearer: down
    brightness = [render_mesh(v, faces, FLAT, (8, 8)).mean() for v in (up, down)]
    assert brightness[0] < 255 and brightness[0] > brightness[1] + 10


def test_colors_by_vertex_are_interpolated():
    colors = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])
    picture = render_mesh(right_triangle(), TOWARDS_CAMERA, FLAT, (12, 10), color=colors)
    assert picture[0, 0].argmax() == 0
    assert picture[0, 7].argmax() == 1
    assert picture[7, 0].argmax() == 2


def test_a_whole_body_is_drawn(assets):
    camera = WeakPerspective(300.0, (320.0, 320.0))
    picture = render_mesh(assets.v_template * [1, -1, -1], assets.faces, camera, (640, 640))
    is_body = (picture != picture[0, 0]).any(axis=-1)
    assert 0.08 < is_body.mean() < 0.2
    rows = np.flatnonzero(is_body.any(axis=1))
    assert np.ptp(rows) == pytest.approx(300 * np.ptp(assets.v_template[:, 1]), abs=2)
    # A body is nearly symmetric, and so is its outline about the middle of the picture.
    assert (is_body != is_body[:, ::-1]).mean() < 0.01


def test_no_mesh_or_one_outside_leaves_the_picture_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    nobody = render_mesh(np.zeros((0, 3)), np.zeros((0, 3), int), FLAT, (12, 10), photo, samples=2)
    outside = render_mesh(right_triangle() + np.array([50, 0, 0]), TOWARDS_CAMERA, FLAT, (12, 10), photo, samples=2)
    np.testing.assert_array_equal(nobody, photo)
    np.testing.assert_array_equal(outside, photo)


def test_a_mesh_moved_by_whole_pixels_gives_the_same_picture_moved(assets):
    vertices = assets.v_template * [1, -1, -1]
    one, other = (
        render_mesh(vertices, assets.faces, WeakPerspective(60.0, (60.0 + shift, 70.0)), (140, 140), samples=3)
        for shift in (0, 11)
    )
    np.testing.assert_array_equal(one[:, :129], other[:, 11:])


def test_the_nearer_of_two_bodies_hides_the_other(assets):
    body = assets.v_template * [1, -1, -1] + [0, 0.3, 4.0]
    faces = np.concatenate([assets.faces, assets.faces + len(body)])
    colors = np.repeat([[0.9, 0.2, 0.2], [0.2, 0.2, 0.9]], len(body), axis=0)
    camera = Perspective(200.0, (60.0, 60.0))
    alone = render_mesh(body, assets.faces, camera, (120, 120), color=colors[0])
    for order in (1, -1):
        vertices = np.concatenate([body, body * 2][::order])
        picture = render_mesh(vertices, faces, camera, (120, 120), color=colors[::order])
        # Twice as far and twice as large is the same in the picture, so that all of the farther is hidden.
        is_body = (alone != alone[0, 0]).any(axis=-1)
        assert (picture[is_body][:, 0] > picture[is_body][:, 2]).mean() > 0.99


def random_triangles(count, seed=0):
    """Each alone, in size up to beyond the picture; half of them look away."""
    corners = np.random.default_rng(seed).uniform([-150, -100, 2], [450, 300, 9], (count, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(count, 3)


def test_memory_does_not_grow_with_how_much_lies_behind_one_another():
    size = (320, 200)
    peaks = []
    for count in (500, 4000):
        vertices, faces = random_triangles(count)
        tracemalloc.start()
        render_mesh(vertices, faces, FLAT, size, samples=3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # All places of all of the 4,000 at once would take gigabytes.
    assert max(peaks) < 80e6 and peaks[1] < 1.5 * peaks[0] + 20e6


@pytest.mark.parametrize("turn", [False, True])
def test_edges_that_are_nearly_level_or_upright_are_smooth(turn):
    """Of 2 x 2 places none are side by side or one above the other."""
    vertices = np.array([[2.0, 4.0, 5.0], [62.0, 4.0, 5.0], [62.0, 5.0, 5.0]])
    faces = np.array([[0, 2, 1]])
    if turn:
        vertices, faces = vertices[:, [1, 0, 2]], faces[:, ::-1]
    picture = render_mesh(vertices, faces, FLAT, (64, 64), (1.0, 1.0, 1.0), color=(0.0, 0.0, 0.0), samples=2)
    shown = (picture[:, :, 0].T if turn else picture[:, :, 0])[4, 2:62].astype(int)
    assert (np.diff(shown) <= 0).all()
    assert len(np.unique(shown)) >= 4


def test_many_triangles_in_parts_look_as_one_after_the_other(monkeypatch):
    size, (vertices, faces) = (160, 100), random_triangles(120)
    colors = np.random.default_rng(1).random((len(vertices), 3))
    monkeypatch.setattr(rasterizer, "_PLACES_AT_ONCE", 2000)
    found = render_mesh(vertices, faces, FLAT, size, color=colors)
    expected = render_mesh(vertices[:0], faces[:0], FLAT, size)
    lit = 255 * shade(vertex_normals(vertices, faces), colors)
    y, x = np.mgrid[: size[1], : size[0]].reshape(2, -1) + 0.5
    nearest = np.full(len(x), np.inf)
    for face in faces:
        corners = np.vstack([vertices[face, :2].T, np.ones(3)])
        if np.linalg.det(corners) >= 0:
            continue
        shares = np.linalg.solve(corners, np.stack([x, y, np.ones(len(x))]))
        depth = vertices[face, 2] @ shares
        shown = (shares >= 0).all(axis=0) & (depth < nearest)
        nearest[shown] = depth[shown]
        expected.reshape(-1, 3)[shown] = np.rint(lit[face].T @ shares).T[shown]
    assert np.isfinite(nearest).mean() > 0.9
    assert np.abs(found.astype(int) - expected).max() <= 1
