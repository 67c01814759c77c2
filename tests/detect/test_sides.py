"""A detector that takes left for right for some frames is put right by how joints move, and nothing else is touched."""

import numpy as np
import pytest

from kinemesh.demo.video import Actor, make_video
from kinemesh.detect.sides import exchanged_frames
from kinemesh.keypoints.formats import FORMATS, opposite_joints

ORDER = np.array(opposite_joints("h36m17", 17))


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """(P, F, 17, 3) detected people who walk by, walk and turn, and face the camera; every joint seen."""
    cast = (Actor("walk", 5.4, 90.0), Actor("walk_turn", 4.0), Actor("jump", 5.0))
    keypoints = make_video(90, 1, cast).keypoints_px
    keypoints[..., 2] = keypoints[..., 2].clip(0.3)
    return keypoints


def test_frames_with_exchanged_sides_are_found_and_whoever_is_seen_rightly_stays(people):
    for first, last in ((20, 27), (50, 51), (0, 4), (70, 90)):
        wrong = np.zeros(90, dtype=bool)
        wrong[first:last] = True
        seen = np.where(wrong[:, None, None], people[2][:, ORDER], people[2])
        np.testing.assert_array_equal(exchanged_frames(seen, ORDER), wrong)
    for keypoints in people:
        assert not exchanged_frames(keypoints, ORDER).any()
    assert exchanged_frames(people[0, :1], ORDER).tolist() == [False]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_which_joints_are_opposite(name):
    order = opposite_joints(name, FORMATS[name].joint_counts[0])
    assert [order[other] for other in order] == list(range(len(order)))
    assert sum(joint != other for joint, other in enumerate(order)) >= 12
