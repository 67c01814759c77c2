"""Keypoints are judged by the bodies that they are to improve."""

import pytest
import torch

from kinemesh.body.skeleton import H36M_JOINT_NAMES, H36M_MIRROR_ORDER
from kinemesh.fit.evidence import cut_pieces, judge, learnt_gains, sort_sides, weighted_median

OWNER, STATURE_PX = torch.zeros(30, dtype=torch.int64), torch.tensor([400.0])


@pytest.fixture
def seen() -> torch.Tensor:
    """(30, 17, 2) a body in the picture, 400 pixels tall."""
    torch.manual_seed(0)
    return 400 * torch.rand(1, 17, 2) + torch.randn(30, 17, 2)


def judged(seen, keypoints, confidence=None):
    confidence = torch.ones(30, 17) if confidence is None else confidence
    return judge(seen, keypoints, confidence, OWNER, STATURE_PX)


def test_good_keypoints_are_taken_as_they_are(seen):
    keypoints = seen + torch.randn_like(seen)
    found = judged(seen, keypoints)
    assert (found.weights > 0.97).all() and (found.stand_in_weights < 1e-3).all() and (found.trust == 1).all()


@pytest.mark.parametrize("farther", [1.0, 2.5], ids=["placed", "placed_by_them_too_far_away"])
@pytest.mark.parametrize("limbs", ["all", "legs"])
@pytest.mark.parametrize("span", [slice(10, 14), slice(0, 30), slice(0, 5), slice(29, 30)])
def test_exchanged_sides_are_put_right(seen, span, limbs, farther):
    keypoints = seen + torch.randn_like(seen)
    wrong, order = keypoints.clone(), torch.tensor(H36M_MIRROR_ORDER)
    if limbs == "legs":
        order[7:] = torch.arange(7, 17)
    wrong[span] = keypoints[span][:, order]
    found = sort_sides(seen / farther + 100, wrong, torch.ones(30, 17), OWNER, STATURE_PX / farther, H36M_JOINT_NAMES)
    torch.testing.assert_close(found.keypoints_px, keypoints)
    expected = torch.zeros(30, dtype=torch.bool)
    expected[span] = True
    assert (found.is_swapped == expected).all()
    assert (found.scale - farther).abs().max() < 0.05


def test_toes_and_heels_go_with_their_legs(seen):
    names = (*H36M_JOINT_NAMES, "left_heel", "right_heel")
    seen = torch.cat((seen, seen[:, [6, 3]] + 20), dim=1)
    order = torch.tensor([*H36M_MIRROR_ORDER, 18, 17])
    found = sort_sides(seen, seen[:, order], torch.ones(30, 19), OWNER, STATURE_PX, names)
    torch.testing.assert_close(found.keypoints_px, seen)


def test_frames_unlike_the_others_lose_their_weight_and_only_they(seen):
    keypoints = seen + torch.randn_like(seen)
    keypoints[12:15] += 150
    found = judged(seen, keypoints)
    assert (found.weights[12:15] < 0.01).all()
    assert (found.trust[:12] == 1).all() and (found.trust[15:] == 1).all()


def test_a_keypoint_far_from_a_good_body_is_hardly_believed(seen):
    keypoints = seen + torch.randn_like(seen)
    keypoints[:, 13] += 80
    found = judged(seen, keypoints)
    assert (found.weights[:, 13] < 0.1).all() and (found.weights[:, :13] > 0.98).all()
    assert (found.stand_in_weights[:, 13] > 0.04).all()
    off = judged(seen, keypoints + 60 * torch.randn(1, 17, 2))
    assert (off.weights[:, 13] > 0.3).all(), "where the whole body errs it is no exception"


@pytest.mark.parametrize(("moves", "is_believed"), [("alike", True), ("otherwise", False)])
def test_keypoints_that_are_off_throughout_are_this_bodys_if_they_move_like_it(moves, is_believed):
    """However much the estimate jitters."""
    torch.manual_seed(1)
    shape, pieces = 400 * torch.rand(1, 17, 2), cut_pieces([90], 30.0, torch.device("cpu"))
    assert pieces.of_row.tolist() == [0] * 45 + [1] * 45
    assert pieces.of_moment[pieces.moment_of_row].tolist() == pieces.of_row.tolist()
    movements = [40 * torch.randn(15, 17, 2).repeat_interleave(6, dim=0) for _ in range(2)]
    jitter, off = 40 * torch.randn(90, 17, 2), 40 * torch.randn(1, 17, 2)
    given = shape + movements[0] + jitter, shape + off + movements[moves == "otherwise"], torch.ones(90, 17)
    found = judge(*given, torch.zeros(90, dtype=torch.int64), STATURE_PX, pieces)
    assert (found.trust == float(is_believed)).all()


def test_what_is_not_seen_is_held_where_the_body_is_and_the_median_goes_by_weight(seen):
    confidence = torch.ones(30, 17)
    confidence[:, 3] = 0.0
    found = judged(seen, seen, confidence)
    assert (found.weights[:, 3] == 0).all() and (found.stand_in_weights[:, 3] > 0.05).all()
    nothing = judged(seen, seen, torch.zeros(30, 17))
    assert (nothing.stand_in_weights == 0).all()
    values = torch.tensor([[1.0, 2.0, 9.0], [1.0, 2.0, 9.0], [5.0, 6.0, 7.0]])
    weights = torch.tensor([[1.0, 1.0, 1.0], [0.1, 0.1, 5.0], [0.0, 0.0, 0.0]])
    assert weighted_median(values, weights).tolist() == [2.0, 9.0, 0.0]


FRAMES, MOST = 200, 5.0
SURE, USUAL, DOUBTFUL = 1.0, 0.8, 0.4


def gains_of(power, *, worth=None, frames=FRAMES, people=1):
    """(frames, 3) of a sure, a usual and a doubtful keypoint whose errors' variance goes with this power of their doubt."""
    confidence = torch.tensor([SURE, USUAL, DOUBTFUL]).expand(people * frames, 3)
    owner = torch.arange(people).repeat_interleave(frames)
    powers = torch.tensor([power] if people == 1 else power)[owner, None]
    error = (1.05 - confidence) ** powers * torch.randn(len(owner), 3, 2, generator=torch.manual_seed(0)).square().sum(
        -1
    )
    rows = torch.arange(0, len(owner), 2)
    worth = torch.ones_like(confidence) if worth is None else worth
    return learnt_gains(confidence, worth, owner, error[rows], rows, MOST)


def test_the_steeper_errors_grow_with_doubt_the_more_the_surer_count():
    gains = [gains_of(power)[0] for power in (0.0, 1.0, 2.0)]
    for sure, usual, doubtful in gains:
        assert 1 < sure <= MOST and usual == pytest.approx(1.0, abs=0.02) and doubtful <= 1
    assert gains[0][0] < 0.8 * gains[1][0] < 0.8 * gains[2][0]
    # Where it tells nothing more, no less than confidence^2 says; else by the square of doubts of 0.65 and 0.25.
    assert gains[0][2] == 1
    weight = gains[2][2] * (DOUBTFUL / USUAL) ** 2
    assert weight == pytest.approx((0.25 / 0.65) ** 2, rel=0.25)


def test_each_person_has_a_detector_of_its_own():
    both = gains_of((0.0, 2.0), people=2)
    torch.testing.assert_close(both[0], gains_of(0.0)[0], rtol=0.2, atol=0.02)
    torch.testing.assert_close(both[-1], gains_of(2.0)[0], rtol=0.2, atol=0.02)


def test_one_that_is_sure_but_not_believed_gains_nothing():
    worth = torch.ones(FRAMES, 3)
    worth[7, 0] = 0.1
    gains = gains_of(2.0, worth=worth)
    assert gains[7, 0] == 1 and gains[8, 0] > 2


def test_from_a_few_keypoints_nothing_is_learnt_and_nothing_is_taken_from_what_is_not_finite():
    assert (gains_of(2.0, frames=20) == 1).all()
    confidence, rows = torch.full((100, 17), 0.9), torch.arange(100)
    error = torch.full((100, 17), torch.nan)
    assert (
        learnt_gains(confidence, torch.ones_like(confidence), torch.zeros(100, dtype=torch.int64), error, rows, MOST)
        == 1
    ).all()
