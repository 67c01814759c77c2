"""BlazePose's outputs are read as its networks mean them: anchors, boxes, regions, points and their heat."""

import numpy as np
import pytest

from kinemesh.detect.blazepose import anchor_centres, find_regions, read_landmarks, region_of_points
from kinemesh.detect.regions import Region

PICTURE = np.zeros((200, 300, 3), dtype=np.uint8)
WINDOW = Region((150.0, 100.0), 300.0)


def test_anchors_are_the_cells_of_five_grids():
    anchors = anchor_centres()
    assert anchors.shape == (2254, 2)
    np.testing.assert_allclose(anchors[[0, 1, 2]], [(0.5 / 28, 0.5 / 28), (0.5 / 28, 0.5 / 28), (1.5 / 28, 0.5 / 28)])
    np.testing.assert_allclose(anchors[2 * 28 * 28], (0.5 / 14, 0.5 / 14))
    # Three grids of one stride, two anchors each, cell by cell.
    np.testing.assert_allclose(anchors[-6:], np.full((6, 2), 6.5 / 7))
    np.testing.assert_allclose(anchors[1960:1972], [(0.5 / 7, 0.5 / 7)] * 6 + [(1.5 / 7, 0.5 / 7)] * 6)


def searcher(people):
    """A network that sees people: (anchor, logit, middle, rim), the points in parts of the window."""

    def run(pixels):
        assert pixels.shape == (1, 224, 224, 3)
        assert pixels.min() >= -1
        boxes, scores = np.zeros((1, 2254, 12), dtype=np.float32), np.full((1, 2254, 1), -9.0, dtype=np.float32)
        for anchor, logit, middle, rim in people:
            centre = anchor_centres()[anchor]
            points = np.array([middle, (0.3, 0.3), middle, rim, (0, 0), (0, 0)])
            points[[0, 2, 3]] -= centre
            boxes[0, anchor], scores[0, anchor, 0] = (224 * points).ravel(), logit
        return [boxes, scores]

    return run


def test_a_person_is_where_the_mean_of_overlapping_boxes_says_weighted_by_their_scores():
    half, sure = 0.0, 30.0  # scores 0.5 and 1
    seen = [
        (700, half, (0.5, 0.5), (0.5, 0.2)),
        (702, sure, (0.5, 0.53), (0.5, 0.23)),
        (1900, -0.1, (0.1, 0.1), (0, 0)),
    ]
    ((region, score),) = find_regions(PICTURE, WINDOW, searcher(seen))
    assert score == pytest.approx(1.0)
    assert region.centre_px == pytest.approx((150.0, 100 + 300 * 0.02), abs=1e-3)
    assert region.side_px == pytest.approx(2 * 1.25 * 0.3 * 300, rel=1e-4)
    assert region.angle == pytest.approx(0.0, abs=1e-6)
    two = [*seen, (1200, sure, (0.9, 0.9), (0.9, 0.7))]
    assert len(find_regions(PICTURE, WINDOW, searcher(two))) == 2


def test_a_region_stands_as_the_person_does():
    lying = region_of_points(np.array([50.0, 50.0]), np.array([70.0, 50.0]))
    assert lying.angle == pytest.approx(np.pi / 2)
    assert lying.side_px == pytest.approx(50.0)


def landmarker(points, logits, heat=None, presence=0.99):
    """A network that gives 39 points in parts of its region, with logits of being visible and there."""

    def run(pixels):
        assert pixels.shape == (1, 256, 256, 3)
        values = np.zeros((39, 5), dtype=np.float32)
        values[:, :2], values[:, 3:] = 256 * points, logits
        cold = np.full((1, 64, 64, 39), -20.0, dtype=np.float32)
        return [values.reshape(1, -1), np.array([[presence]], dtype=np.float32), cold if heat is None else heat]

    return run


def test_landmarks_are_pixels_of_the_picture_with_the_error_of_their_score():
    points = np.full((39, 2), 0.5)
    points[5], points[34] = (1.0, 0.5), (0.5, 0.1)
    logits = np.full((39, 2), 30.0)
    logits[3] = 0.0, 30.0
    turned = Region((100.0, 80.0), 40.0, np.pi / 2)  # the person's head points to the right
    joints, following, presence = read_landmarks(PICTURE, turned, landmarker(points, logits))
    assert joints.shape == (33, 3)
    np.testing.assert_allclose(joints[5], (100.0, 100.0, 1.0), atol=1e-4)
    # A score of a half: an error of 0.027 + 0.086 / 2 of the stature instead of 0.027.
    np.testing.assert_allclose(joints[[0, 3], 2], (1.0, 0.027 / 0.07), atol=1e-6)
    assert presence == pytest.approx(0.99)
    assert following.centre_px == pytest.approx((100.0, 80.0))
    assert following.angle == pytest.approx(np.pi / 2)
    assert following.side_px == pytest.approx(2 * 1.25 * 0.4 * 40)


def test_a_point_goes_to_the_middle_of_its_heat():
    points, heat = np.full((39, 2), 0.5), np.full((1, 64, 64, 39), -20.0, dtype=np.float32)
    heat[0, 33, 34, 7] = 5.0
    heat[0, 33, 34, 8] = -1.0  # not hot enough
    joints, _, _ = read_landmarks(PICTURE, Region((32.0, 32.0), 64.0), landmarker(points, np.zeros((39, 2)), heat))
    np.testing.assert_allclose(joints[7, :2], (34, 33), atol=1e-3)
    np.testing.assert_allclose(joints[8, :2], (32, 32), atol=1e-6)
