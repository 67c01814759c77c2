"""Keypoints are judged by the bodies that they are to improve."""

import pytest
import torch

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.fit.evidence import judge, weighted_median


@pytest.fixture
def seen() -> torch.Tensor:
    """(30, 17, 2) a body in the picture, 400 pixels tall."""
    torch.manual_seed(0)
    return 400 * torch.rand(1, 17, 2) + torch.randn(30, 17, 2)


def judged(seen, keypoints, confidence=None):
    confidence = torch.ones(30, 17) if confidence is None else confidence
    return judge(seen, keypoints, confidence, torch.zeros(30, dtype=torch.int64), torch.tensor([400.0]))


def test_good_keypoints_are_taken_as_they_are(seen):
    keypoints = seen + torch.randn_like(seen)
    found = judged(seen, keypoints)
    torch.testing.assert_close(found.keypoints_px, keypoints)
    assert (found.weights == 1).all() and (found.stand_in_weights == 0).all()
    assert (found.trust == 1).all() and not found.is_swapped.any()


@pytest.mark.parametrize("span", [slice(10, 14), slice(0, 30), slice(0, 5), slice(29, 30)])
def test_exchanged_sides_are_put_right(seen, span):
    keypoints = seen + torch.randn_like(seen)
    wrong = keypoints.clone()
    wrong[span] = keypoints[span][:, H36M_MIRROR_ORDER]
    found = judged(seen, wrong)
    torch.testing.assert_close(found.keypoints_px, keypoints)
    expected = torch.zeros(30, dtype=torch.bool)
    expected[span] = True
    assert (found.is_swapped == expected).all()


def test_frames_unlike_the_others_lose_their_weight_and_only_they(seen):
    keypoints = seen + torch.randn_like(seen)
    keypoints[12:15] += 150
    found = judged(seen, keypoints)
    assert (found.weights[12:15] < 0.01).all()
    assert (found.trust[:12] == 1).all() and (found.trust[15:] == 1).all()


def test_a_track_that_is_off_throughout_is_to_be_fitted(seen):
    found = judged(seen, seen + torch.tensor([40.0, 10.0]))
    assert (found.trust == 1).all()


def test_what_is_not_seen_is_held_where_the_body_is(seen):
    confidence = torch.ones(30, 17)
    confidence[:, 3] = 0.0
    found = judged(seen, seen, confidence)
    assert (found.weights[:, 3] == 0).all() and (found.stand_in_weights[:, 3] > 0.05).all()
    nothing = judged(seen, seen, torch.zeros(30, 17))
    assert (nothing.stand_in_weights == 0).all()


def test_the_median_goes_by_weight():
    values = torch.tensor([[1.0, 2.0, 9.0], [1.0, 2.0, 9.0], [5.0, 6.0, 7.0]])
    weights = torch.tensor([[1.0, 1.0, 1.0], [0.1, 0.1, 5.0], [0.0, 0.0, 0.0]])
    assert weighted_median(values, weights).tolist() == [2.0, 9.0, 0.0]
