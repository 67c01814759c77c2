"""What is drawn on a stored frame is what is drawn on its red, green and blue."""

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from kinemesh.render import rasterizer
from kinemesh.render.film.canvas import Canvas, from_rgb
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import BACKGROUND_COLOR, MESH_COLOR, Mesh, mesh_layers, render_mesh
from kinemesh.render.shading import shade, vertex_normals

CAMERA, SIZE, LEFT = WeakPerspective(60.0, (70.0, 75.0)), (140, 150), 20


def as_rgb(frame: av.VideoFrame) -> np.ndarray:
    options = {"src_colorspace": Colorspace.ITU709, "interpolation": Interpolation.POINT}
    return VideoReformatter().reformat(frame, format="rgb24", **options).to_ndarray().astype(int)


def draw(assets) -> np.ndarray:
    canvas = Canvas((SIZE[0] + LEFT, SIZE[1]), from_rgb(255 * np.array(BACKGROUND_COLOR)))
    vertices = assets.v_template * [1, -1, -1]
    lit = from_rgb(255 * shade(vertex_normals(vertices, assets.faces), np.array(MESH_COLOR)))
    for layer in mesh_layers(Mesh(vertices, assets.faces, lit), CAMERA, SIZE, 3):
        canvas.draw(layer, LEFT)
    return as_rgb(canvas.frame)


def test_a_body_looks_as_in_red_green_and_blue(assets):
    vertices = assets.v_template * [1, -1, -1]
    expected = render_mesh(vertices, assets.faces, CAMERA, SIZE, samples=3).astype(int)
    found = draw(assets)
    ground = np.round(255 * np.array(BACKGROUND_COLOR))
    assert np.abs(found[:, :LEFT] - ground).max() <= 2
    apart = np.abs(found[:, LEFT:] - expected)
    # Colours are shared by 2 x 2 pixels: on outlines they are no nearer than that.
    assert (expected != ground).any(axis=-1).mean() > 0.05
    assert apart.mean() < 1.5 and np.median(apart[(expected != ground).any(axis=-1)]) <= 2
    brightness = np.abs((found[:, LEFT:] - expected) @ [0.2126, 0.7152, 0.0722])
    assert brightness.max() < 4


def test_strips_join_without_a_seam(assets, monkeypatch):
    whole = draw(assets)
    monkeypatch.setattr(rasterizer, "_PLACES_AT_ONCE", 9000)
    np.testing.assert_array_equal(draw(assets), whole)


def test_a_frame_is_pasted_as_it_is():
    pixels = np.random.default_rng(0).integers(
        16, 235, (45, 42), dtype=np.uint8
    )  # planes of 30 x 42, one after another
    canvas = Canvas((60, 40), from_rgb(np.zeros(3)))
    canvas.paste(av.VideoFrame.from_ndarray(pixels, format="yuv420p"))
    found = canvas.frame.to_ndarray()
    np.testing.assert_array_equal(found[:30, :42], pixels[:30])
    assert (found[30:40] == 16).all()
