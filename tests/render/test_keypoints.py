"""Skeletons: each side in its colour, unsure joints faint, lost joints left out."""

import numpy as np
import pytest
from PIL import Image

from kinemesh.render.keypoints import SIDE_COLORS, draw_skeleton, skeleton_mesh
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import RGB_CONTRAST, mesh_layers

RIGHT_LEG, LEFT_LEG = [1, 2, 3], [4, 5, 6]


@pytest.fixture
def joints_px():
    """The right leg as an upright line on the left of the picture, the left leg on the right, the rest far off."""
    joints = np.full((17, 2), np.nan)
    joints[RIGHT_LEG] = [[30, 20], [30, 50], [30, 80]]
    joints[LEFT_LEG] = [[70, 20], [70, 50], [70, 80]]
    return joints


@pytest.fixture
def blank():
    return Image.new("RGB", (100, 100), "white")


def test_sides_have_their_colors_and_confidence_is_opacity(blank, joints_px):
    drawn = draw_skeleton(blank, joints_px, np.ones(17))
    assert drawn.size == blank.size
    assert drawn.getpixel((30, 35)) == SIDE_COLORS["right"]
    assert drawn.getpixel((70, 65)) == SIDE_COLORS["left"]
    assert drawn.getpixel((50, 50)) == (255, 255, 255)
    assert blank.getpixel((30, 35)) == (255, 255, 255)
    confidence = np.ones(17)
    confidence[3], confidence[6] = 0.5, 0.0
    drawn = np.asarray(draw_skeleton(blank, joints_px, confidence)).astype(int)
    sure, half, none = (255 - drawn[y, x].min() for x, y in ((30, 35), (30, 65), (70, 65)))
    assert sure > 1.5 * half > 3 * none > 0


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_lost_joint_and_its_limbs_are_left_out(blank, joints_px, lost):
    joints_px[2] = lost
    drawn = draw_skeleton(blank, joints_px, np.ones(17))
    assert drawn.getpixel((30, 35)) == (255, 255, 255)
    assert drawn.getpixel((70, 35)) == SIDE_COLORS["left"]


def test_an_unknown_confidence_counts_as_none_and_edges_are_smooth(blank, joints_px):
    confidence = np.full(17, np.nan)
    drawn = np.asarray(draw_skeleton(blank, joints_px, confidence))
    np.testing.assert_array_equal(drawn, np.asarray(draw_skeleton(blank, joints_px, np.zeros(17))))
    joints_px[3] = [45, 77]
    drawn = np.asarray(draw_skeleton(blank, joints_px, np.ones(17)))[55:70, 30:45]
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 8


def test_a_mesh_of_it_looks_the_same(blank, joints_px):
    confidence = np.ones(17)
    confidence[3] = 0.4
    mesh = skeleton_mesh(joints_px, confidence)
    weights = mesh.lit[:, 3:]
    lit = np.concatenate([mesh.lit[:, :3] * weights, weights], axis=1)
    drawn = np.asarray(blank).astype(float)
    contrast = np.append(RGB_CONTRAST, 0)
    for layer in mesh_layers(mesh._replace(lit=lit), WeakPerspective(1.0, (0.0, 0.0)), blank.size, contrast, 4):
        beneath = drawn[layer.rows, layer.columns]
        drawn[layer.rows, layer.columns] = layer.colors[:3].T + (1 - layer.colors[3])[:, None] * beneath
    apart = np.abs(drawn - np.asarray(draw_skeleton(blank, joints_px, confidence))).max(axis=-1)
    assert apart.mean() < 3 and (apart > 60).mean() < 0.02
