"""Cameras stand, look and move as the recipe says."""

import math

import pytest
import torch

from kinemesh.geometry.camera import DIAGONAL_35MM
from kinemesh.synthesis.camera import HAND, TRIPOD, WALKING, place_cameras
from kinemesh.synthesis.recipe import CameraRecipe

RECIPE = CameraRecipe()
CLIPS, FRAMES, FPS = 3000, 12, 30.0


@pytest.fixture(scope="module")
def joints():
    """Somebody of five joints, who walks two metres a second along x."""
    body = torch.tensor([[0.0, 0.95, 0.0], [0.0, 1.7, 0.0], [0.0, 0.0, 0.1], [0.3, 1.2, 0.0], [-0.3, 1.2, 0.0]])
    way = torch.zeros(CLIPS, FRAMES, 1, 3)
    way[..., 0] = 2.0 * torch.arange(FRAMES)[:, None] / FPS
    return body + way


@pytest.fixture(scope="module")
def cameras(draws, joints):
    return place_cameras(draws(CLIPS), RECIPE, joints, FPS)


def test_pictures_have_every_shape_and_lenses_of_24_to_100_mm(cameras):
    width, height = cameras.image_size.unbind(-1)
    assert (cameras.image_size == cameras.image_size.round()).all()
    assert cameras.image_size.max() <= 1920 and cameras.image_size.amax(dim=1).min() >= 480
    upright = (height > width).float().mean().item()
    assert upright == pytest.approx(0.5, abs=0.04)
    assert (width / height).min() < 0.5 and (width / height).max() > 2.1
    focal_mm = cameras.focal_px * DIAGONAL_35MM / torch.hypot(width, height)
    assert focal_mm.min() >= 23.99 and focal_mm.max() <= 100.01
    assert focal_mm.median().item() == pytest.approx(math.sqrt(24 * 100), rel=0.05)


def test_cameras_look_from_everywhere_between_25_degrees_up_and_45_down(draws, joints):
    still = RECIPE._replace(kinds=(1.0, 0.0, 0.0))
    looks = place_cameras(draws(CLIPS), still, joints, FPS).rotations[:, 0]
    pitch = torch.rad2deg(torch.asin(-looks[:, 2, 1]))
    assert pitch.min() >= -25.01 and pitch.max() <= 45.01
    assert (pitch > 10).float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert (looks[:, 1, 1] < -0.6).all()  # the camera's y axis points down
    counts = torch.histc(torch.atan2(looks[:, 2, 0], looks[:, 2, 2]), 8, -math.pi, math.pi)
    assert counts.min() > CLIPS / 8 * 0.8
    roll = torch.rad2deg(torch.asin(looks[:, 0, 1]))
    assert roll.std().item() == pytest.approx(RECIPE.roll_std_deg, rel=0.15)


def test_tripods_stand_hands_shake_and_turn_and_walkers_come_along(cameras, joints):
    shares = cameras.kinds.bincount(minlength=3) / CLIPS
    torch.testing.assert_close(shares, torch.tensor(RECIPE.kinds), atol=0.03, rtol=0)
    moved = (cameras.places_m[:, -1] - cameras.places_m[:, 0])[:, 0]
    turned = (cameras.rotations[:, -1] - cameras.rotations[:, 0]).abs().amax(dim=(1, 2))
    is_tripod, is_held, is_walking = (cameras.kinds == kind for kind in (TRIPOD, HAND, WALKING))
    assert cameras.places_m[is_tripod].diff(dim=1).abs().max() < 1e-5 and turned[is_tripod].max() < 1e-6
    assert turned[is_held].min() > 1e-5 and moved[is_held].abs().max() < 0.5
    way = (joints[0, -1, 0] - joints[0, 0, 0])[0].item()
    # What is smoothed and followed by 0.6 to 1 of the way.
    assert 0.15 * way < moved[is_walking].mean() < 0.9 * way
    assert moved[is_held].mean().abs() < 0.03


def test_most_people_are_seen_whole_and_close_ones_are_cut_off_by_the_border(cameras, joints):
    seen = cameras.seen(joints)
    assert seen[..., 2].min() >= RECIPE.nearest_m - 1e-4
    pixels = seen[..., :2] / seen[..., 2:] * cameras.focal_px[:, None, None, None] + cameras.centre_px[:, None, None]
    is_inside = ((pixels >= 0) & (pixels <= cameras.image_size[:, None, None])).all(dim=-1)
    assert is_inside[:, FRAMES // 2, 0].float().mean() > 0.9
    is_cut = ~is_inside.flatten(1).all(dim=1)
    # Told by the size in the picture that somebody standing would have.
    stature_px = cameras.focal_px * RECIPE.stature_m / seen[:, FRAMES // 2, 0, 2]
    is_close = stature_px > 1.05 * cameras.image_size[:, 1]
    assert is_close.float().mean().item() == pytest.approx(RECIPE.close_chance, abs=0.05)
    assert is_cut[is_close].float().mean() > 0.7 and is_cut[~is_close].float().mean() < 0.4
