"""Skeletons: each side in its colour, unsure joints faint, lost joints left out."""

import numpy as np
import pytest
from PIL import Image

from kinemesh.render.keypoints import SIDE_COLORS, draw_skeleton

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
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 6


def test_of_two_limbs_that_cross_the_surer_lies_above(blank, joints_px):
    joints_px[RIGHT_LEG] = [[30, 20], [30, 40], [30, 80]]
    joints_px[LEFT_LEG] = [[10, 55], [60, 55], [90, 55]]
    for unsure, above in ((LEFT_LEG, "right"), (RIGHT_LEG, "left")):
        confidence = np.ones(17)
        confidence[unsure] = 0.5
        assert draw_skeleton(blank, joints_px, confidence).getpixel((30, 55)) == SIDE_COLORS[above]
