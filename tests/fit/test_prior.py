"""Hinges end where they should, and the prior's strength follows what was measured."""

import math

import pytest
import torch

from kinemesh.body.skeleton import H36M_JOINT_NAMES, SMPL_JOINT_NAMES
from kinemesh.fit.landmarks import turned_joints
from kinemesh.fit.prior import LIFTED, Hinges, Strength, lasting_precision, lasting_tie
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

JOINTS = turned_joints(H36M_JOINT_NAMES)
KNEE, ELBOW = (JOINTS.index(SMPL_JOINT_NAMES.index(name)) for name in ("left_knee", "left_elbow"))


def unbent(knee: float, elbow: float, start_knee: float = 0.0) -> tuple[float, float]:
    """Degrees of bending of a left knee and elbow before and after."""
    vectors = torch.zeros(1, len(JOINTS), 3)
    vectors[0, KNEE, 0], vectors[0, ELBOW, 1] = math.radians(knee), -math.radians(elbow)
    start = torch.zeros_like(vectors)
    start[0, KNEE, 0] = math.radians(start_knee)
    found = matrix_to_axis_angle(Hinges(JOINTS).unbend(*map(axis_angle_to_matrix, (vectors, start)))).rad2deg()
    others = [place for place in range(len(JOINTS)) if place not in (KNEE, ELBOW)]
    assert (found[:, others] == 0).all()
    return found[0, KNEE, 0].item(), -found[0, ELBOW, 1].item()


def test_hinges_turn_back_what_bends_backwards_and_a_start_beyond_may_stay():
    for given, expected in (((30, 90), (30, 90)), ((-3, 0), (-3, 0)), ((-40, -20), (-5, -5))):
        assert unbent(*given) == pytest.approx(expected, abs=0.05)
    assert abs(unbent(-12, 0, start_knee=-10)[0] + 12) < 0.05
    assert abs(unbent(-30, 0, start_knee=-10)[0] + 15) < 0.05


def test_strength_grows_with_how_far_joints_turn_and_falls_with_what_is_left():
    def settled(turned: float, error: float) -> float:
        strength = Strength(torch.tensor([8.0]), LIFTED)
        frames, unknowns, joints = 20, 9, 6
        matrix = (torch.eye(unknowns) * 1e4).expand(frames, -1, -1)
        precision = torch.full((frames, unknowns), 4.0)
        turning = torch.full((frames, joints), turned)
        owner = torch.zeros(frames, dtype=torch.int64)
        strength.measure(owner, matrix, precision, turning, torch.ones(frames, 17), torch.full((frames, 17), error))
        strength.settle()
        return strength.radians.rad2deg().item()

    angles = [settled(turned, 0.3) for turned in (0.01, 0.06, 0.08, 0.9)]
    assert angles == sorted(angles)
    assert (angles[0], angles[-1]) == pytest.approx((1.0, 45.0), abs=1e-3)
    assert settled(0.06, 1.0) < settled(0.06, 0.2)


def test_an_error_that_lasts_has_the_precision_of_its_covariance():
    kept, frames = 0.7, 6
    beside = torch.tensor([1.0, *[2.0] * (frames - 2), 1.0])
    own, tie = lasting_precision(beside, kept), lasting_tie(kept)
    step = torch.eye(frames)[1:] - torch.eye(frames)[:-1]
    number = torch.arange(frames)
    covariance = kept ** (number[:, None] - number).abs()
    assert torch.allclose((own.diag() + tie * step.T @ step) @ covariance, torch.eye(frames), atol=1e-5)
    assert lasting_precision(torch.tensor(0.0), kept) == 1
