"""Errors, losses and confidences have the statistics that the recipe names."""

import math

import pytest
import torch

from kinemesh.body.skeleton import H36M_JOINT_NAMES, H36M_MIRROR_ORDER
from kinemesh.synthesis.detector import detect
from kinemesh.synthesis.recipe import ERROR_UNIT_PER_M, NoiseRecipe

FPS, PX_PER_M, SIZE = 30.0, 200.0, 1000.0
RECIPE = NoiseRecipe()


@pytest.fixture(scope="module")
def look(draws):
    """What a detector makes of so many clips of people in the middle of the picture, and its error in metres."""

    def see(recipe, clips=1500, frames=16, seed=0):
        true_px = torch.rand(1, 1, 17, 2, generator=torch.Generator().manual_seed(1)) * 300 + 350
        true_px = true_px.expand(clips, frames, 17, 2)
        per_m = torch.full((clips, frames, 17), PX_PER_M)
        found = detect(draws(clips, seed), recipe, true_px, per_m, torch.full((clips, 2), SIZE), FPS)
        return found, (found.keypoints_px - true_px) / PX_PER_M

    return see


def joint(name: str) -> int:
    return H36M_JOINT_NAMES.index(name)


def test_without_noise_keypoints_are_the_true_ones_and_sure(look, perfect_noise):
    found, error = look(perfect_noise(), clips=40)
    assert error.abs().max() == 0 and (found.confidence == 1).all()
    assert not found.is_dropped.any() and not found.is_swapped.any()


def test_errors_have_their_spread_by_joint_and_stay_for_a_while(look, perfect_noise):
    recipe = perfect_noise(drift_m=RECIPE.drift_m, drift_s=(0.2, 0.2000001), jitter_m=RECIPE.jitter_m)
    _, error = look(recipe)
    for name, part in (("pelvis", "pelvis"), ("left_ankle", "ankle"), ("right_wrist", "wrist")):
        drift = dict(RECIPE.drift_m)[part]
        own = error[:, :, joint(name)]
        spread = math.sqrt(drift**2 * (1 + RECIPE.bias_share**2) + RECIPE.jitter_m**2)
        assert own.std().item() == pytest.approx(spread, rel=0.05)
        for lag in (1, 4, 15):
            lasting = RECIPE.bias_share**2 + math.exp(-((lag / FPS / 0.2) ** 2) / 4)
            expected = drift**2 * lasting / spread**2
            correlation = (own[:, lag:] * own[:, :-lag]).mean().item() / spread**2
            assert correlation == pytest.approx(expected, abs=0.05)


def test_a_joint_goes_astray_now_and_then(look, perfect_noise):
    _, error = look(perfect_noise(peak_chance=RECIPE.peak_chance))
    size = error.norm(dim=-1)
    assert (size > 0).float().mean().item() == pytest.approx(RECIPE.peak_chance, rel=0.1)
    assert size[size > 0].min() >= RECIPE.peak_m[0] - 1e-3 and size.max() <= RECIPE.peak_m[1] + 1e-3


def expected_confidence(distance: float) -> float:
    """The mean of MotionBERT's rule, clipped as confidences are."""
    a, b, s = RECIPE.confidence_a, RECIPE.confidence_b, RECIPE.confidence_std
    mean = a / (distance + a) + b * distance + RECIPE.confidence_mean
    places = torch.linspace(-6, 6, 2001)
    weights = torch.exp(-0.5 * places**2)
    return ((mean + s * places).clamp(0.01, 1) * weights).sum().item() / weights.sum().item()


def test_confidence_falls_with_the_error_as_motionberts_does(look, perfect_noise):
    recipe = perfect_noise(drift_m=RECIPE.drift_m, level=(0.2, 6.0), sure_chance=0.0)
    found, _ = look(recipe, clips=3000)
    distance = ERROR_UNIT_PER_M * found.error_m
    for low in (0.001, 0.005, 0.01, 0.02, 0.05):
        chosen = (distance > low) & (distance < 1.1 * low)
        expected = expected_confidence(distance[chosen].mean().item())
        assert found.confidence[chosen].mean().item() == pytest.approx(expected, abs=0.015)
    far, near = found.confidence[distance > 0.05].mean(), found.confidence[distance < 0.005].mean()
    assert near - far > 0.3


def test_some_clips_have_no_confidence_to_tell(look, perfect_noise):
    found, _ = look(perfect_noise(drift_m=RECIPE.drift_m, sure_chance=0.1))
    assert (found.confidence == 1).all(dim=(1, 2)).float().mean().item() == pytest.approx(0.1, abs=0.025)


def test_a_lost_joint_takes_the_limb_beyond_it_along(look, perfect_noise):
    found, _ = look(perfect_noise(drop_chance=0.03))
    assert (found.keypoints_px[found.is_dropped] == 0).all() and (found.confidence[found.is_dropped] == 0).all()
    assert (found.confidence[~found.is_dropped] == 1).all()
    for name, depth in (
        ("pelvis", 1),
        ("left_hip", 1),
        ("left_knee", 2),
        ("right_ankle", 3),
        ("left_wrist", 3),
        ("head_top", 2),
    ):
        lost = found.is_dropped[..., joint(name)].float().mean().item()
        assert lost == pytest.approx(1 - 0.97**depth, rel=0.06)
    for near, far in (("left_knee", "left_ankle"), ("right_shoulder", "right_wrist"), ("nose", "head_top")):
        assert found.is_dropped[..., joint(far)][found.is_dropped[..., joint(near)]].all()


def test_both_legs_are_gone_for_30_to_90_frames(look, perfect_noise):
    found, _ = look(perfect_noise(legs_gone_chance=0.2), clips=800, frames=200)
    gone = found.is_dropped[..., joint("left_knee")]
    assert gone.any(dim=1).float().mean().item() == pytest.approx(0.2, abs=0.04)
    for name in ("right_knee", "left_ankle", "right_ankle"):
        assert (found.is_dropped[..., joint(name)] == gone).all()
    assert not found.is_dropped[..., joint("left_hip")].any()
    lengths = gone.sum(dim=1)[gone.any(dim=1) & ~gone[:, 0] & ~gone[:, -1]]
    assert 30 <= lengths.min() < 40 and 80 < lengths.max() <= 90


def test_left_and_right_change_places_in_short_runs(look, perfect_noise):
    found, error = look(perfect_noise(swap_chance=0.004), clips=4000, frames=40)
    rate = found.is_swapped.float().mean(dim=(0, 1))
    assert rate[joint("left_wrist")].item() == pytest.approx(0.004 * 3, rel=0.12)
    assert rate[joint("left_knee")].item() == pytest.approx(0.004 * 3, rel=0.12)
    assert rate[joint("nose")] == 0 and rate[joint("pelvis")] == 0
    true_px = found.keypoints_px - error * PX_PER_M
    mirrored = true_px[:, :, list(H36M_MIRROR_ORDER)]
    torch.testing.assert_close(found.keypoints_px[found.is_swapped], mirrored[found.is_swapped])


def test_what_lies_behind_something_is_dropped_or_guessed(look, perfect_noise):
    recipe = perfect_noise(drift_m=RECIPE.drift_m, occluder_chance=1.0, hidden_drop_chance=0.5, bias_share=0.0)
    found, error = look(recipe, frames=60)
    is_hit = found.is_dropped.any(dim=(1, 2))
    assert is_hit.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert 0.01 < found.is_dropped.float().mean() < 0.2
    # Guesses make the others' errors larger, but not those of clips that drop what is hidden.
    guessed = error[~is_hit].square().mean().sqrt()
    seen = error[is_hit][~found.is_dropped[is_hit]].square().mean().sqrt()
    assert guessed > 1.15 * seen


def test_joints_outside_are_dropped_or_put_at_the_border(draws, perfect_noise):
    true_px = torch.tensor([-50.0, 500.0]).expand(1000, 4, 17, 2)
    found = detect(
        draws(1000), perfect_noise(outside_drop_chance=0.8), true_px, torch.full((1000, 4, 17), PX_PER_M),
        torch.full((1000, 2), SIZE), FPS,
    )  # fmt: skip
    assert found.is_dropped.float().mean().item() == pytest.approx(0.8, abs=0.05)
    kept = found.keypoints_px[~found.is_dropped]
    torch.testing.assert_close(kept, torch.tensor([0.0, 500.0]).expand_as(kept))
