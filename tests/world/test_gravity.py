"""Up is told by people's bodies and feet with an honest error, and the floor is where they stand."""

import tracemalloc

import numpy as np
import pytest

from kinemesh.world.finding import LARGEST_ERROR_DEG
from kinemesh.world.gravity import _level, _Resting, find_ground

FPS = 30.0
CAMERA_UP = np.array([0.0, -1.0, 0.0])


def find(scene, supposed=CAMERA_UP, *, is_known=False):
    return find_ground(scene.figures, scene.clearances_m, FPS, supposed, is_known=is_known)


def degrees_between(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


@pytest.mark.parametrize("pitch_deg", [-10.0, 5.0, 25.0])
@pytest.mark.parametrize("kinds", [("walk", "stand_talk"), ("walk_turn", "idle", "reach")])
def test_up_and_floor_are_found_before_a_tilted_camera(kinds, pitch_deg, make_scene):
    scene = make_scene(kinds, pitch_deg=pitch_deg, seed=7)
    ground = find(scene)
    assert degrees_between(ground.up, scene.up) < 3
    assert ground.error_deg < LARGEST_ERROR_DEG
    # The floor lies where the lowest feet are, seen from the camera's height.
    eye_height_m = -(scene.figures[0].points_m[0] @ scene.up - scene.points_m[0][0, :, 1]).mean()
    assert abs(ground.height_m + eye_height_m) < 0.15
    known = find(scene, scene.up, is_known=True)
    assert abs(known.height_m + eye_height_m) < 0.08
    np.testing.assert_allclose(known.up, scene.up)


@pytest.mark.parametrize("kind", ["lie", "crawl", "push_up"])
def test_nobody_upright_is_told_as_not_known(kind, make_scene):
    assert find(make_scene((kind,), seed=1)).error_deg > LARGEST_ERROR_DEG


def test_people_of_a_wrong_size_are_brought_to_one_floor(make_scene):
    scene = make_scene(("walk", "walk"), pitch_deg=10.0, seed=5)
    wrong = [scene.figures[0], scene.figures[1]._replace(points_m=1.05 * scene.figures[1].points_m)]
    ground = find(scene._replace(figures=wrong), scene.up, is_known=True)
    assert ground.growth[1] - ground.growth[0] == pytest.approx(-0.05, abs=0.025)
    assert abs(find(scene, scene.up, is_known=True).growth).max() < 0.02


@pytest.mark.parametrize("seed", [0, 4])
def test_a_stair_is_no_slope_that_is_believed(seed, make_scene):
    """Feet that rest on steps lie on a slope; bodies say that it is none, so that the error is told as large."""
    scene = make_scene(("walk",), seed=seed, rise=0.17 * np.floor(np.arange(90) / 15))
    ground = find(scene)
    assert degrees_between(ground.up, scene.up) < 2.5 * np.sqrt(2) * ground.error_deg


def test_who_is_bent_is_told_as_less_sure_than_who_stands(make_scene):
    """One person alone; beside somebody who stands it adds nothing."""
    bent, upright, both = (
        find(make_scene(kinds, seed=5)).error_deg for kinds in (("squat",), ("idle",), ("squat", "idle"))
    )
    assert bent > upright + 0.5 and both < upright + 0.5


def test_memory_does_not_grow_with_the_square_of_how_often_feet_rest():
    """In an hour's film they rest tens of thousands of times."""
    count = 20_000
    rng = np.random.default_rng(0)
    heights = np.where(np.arange(count) % 3 > 0, 0.5, 0.9) + rng.normal(scale=0.02, size=count)
    places = np.stack((np.zeros(count), heights, np.full(count, 4.0)), axis=1)
    resting = _Resting(
        places, np.zeros((count, 3)), np.zeros(count), np.zeros(count, int), np.ones(count), np.ones(count)
    )
    tracemalloc.start()
    height = _level(resting, np.array([0.0, 1.0, 0.0]))
    assert tracemalloc.get_traced_memory()[1] < 64e6
    tracemalloc.stop()
    assert height == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize(("kinds", "seed"), [(("walk", "walk"), 1), (("walk", "walk"), 3), (("walk", "idle"), 1)])
def test_who_stands_on_a_roof_does_not_tilt_the_lawn(kinds, seed, make_scene):
    scene = make_scene(kinds, pitch_deg=0.0, seed=seed)
    figures = [scene.figures[0], scene.figures[1]._replace(points_m=scene.figures[1].points_m + 1.2 * scene.up)]
    ground = find(scene._replace(figures=figures))
    assert degrees_between(ground.up, scene.up) < 3
    assert ground.error_deg < LARGEST_ERROR_DEG
