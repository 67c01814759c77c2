"""Feet that rest are told from feet that do not, by speed and height."""

import numpy as np
import pytest

from kinemesh.world.contacts import contact_probabilities, rests_of
from kinemesh.world.figures import FEET

FPS = 30.0


@pytest.mark.parametrize("kind", ["walk", "stand_talk", "sit", "jump", "run"])
def test_contact_is_where_feet_are_low_and_slow(kind, make_scene):
    scene = make_scene((kind,), seed=3)
    found = contact_probabilities(scene.figures[0], scene.up, scene.clearances_m, FPS)[:, FEET]
    feet = scene.points_m[0][:, FEET]
    speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * FPS
    # What lies between is either.
    is_moving = speed > 0.8
    is_resting = (speed < 0.15) & (feet[..., 1] - scene.clearances_m[list(FEET)] < 0.03)
    assert (found[is_moving] < 0.5).mean() > 0.95
    assert is_resting.sum() < 20 or (found[is_resting] > 0.5).mean() > 0.85


def test_a_jump_is_not_glued_to_the_floor(make_scene):
    scene = make_scene(("jump",), seed=1)
    found = contact_probabilities(scene.figures[0], scene.up, scene.clearances_m, FPS)[:, FEET]
    is_high = scene.points_m[0][:, FEET, 1].min(axis=1) > 0.1
    assert is_high.sum() > 3
    assert found[is_high].max() < 0.5


def test_a_foot_that_is_shifted_rests_twice(make_scene):
    scene = make_scene(("idle",), seed=2)
    (figure,) = scene.figures
    contacts = np.zeros((90, 6))
    contacts[:, 0] = 1.0
    points = np.repeat(figure.points_m[:1], 90, axis=0)
    points[40:] += (0.1, 0.0, 0.0)
    rests = rests_of(figure._replace(points_m=points), contacts, FPS)
    assert [(rest.first, rest.stop) for rest in rests] == [(0, 40), (40, 90)]
    # A gap in the frames ends a rest, too.
    frames = np.r_[np.arange(60), np.arange(70, 100)]
    rests = rests_of(figure._replace(points_m=np.repeat(points[:1], 90, axis=0), frame_ids=frames), contacts, FPS)
    assert [(rest.first, rest.stop) for rest in rests] == [(0, 60), (60, 90)]


def test_a_toe_that_wags_rests_while_its_heel_does(make_scene):
    (figure,) = make_scene(("idle",), seed=2).figures
    points, contacts = np.repeat(figure.points_m[:1], 90, axis=0), np.zeros((90, 6))
    contacts[:, [0, 2]] = 1.0
    contacts[40:44, 0] = contacts[70:74, 0] = 0.0
    points[42:72, 0] += (0.08, 0.0, 0.0)

    def rests_of_toe() -> list[tuple[int, int]]:
        return [
            (rest.first, rest.stop)
            for rest in rests_of(figure._replace(points_m=points), contacts, FPS)
            if not rest.point
        ]

    assert rests_of_toe() == [(0, 90)]
    contacts[:, 2] = 0.0
    assert rests_of_toe() == [(0, 40), (44, 70), (74, 90)]
