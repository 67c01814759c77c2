"""A config changes numbers of the recipe by name, each checked before anything is made."""

import pytest

from kinemesh.synthesis.recipe import DEFAULT, changed_recipe
from tests.refusals import refused


def test_named_numbers_change_and_no_others():
    changed = changed_recipe(
        DEFAULT,
        {
            "speed": [1, "1.2e0"],
            "camera": {"kinds": [1, 0, 0], "focal_35mm": [40, 40]},
            "noise": {"drift_m": {"wrist": 0}, "confidence_mean": 0.1, "swap_frames": [2, 2], "peak_chance": 1},
        },
    )
    assert changed.speed == (1.0, 1.2)
    assert changed.camera == DEFAULT.camera._replace(kinds=(1.0, 0.0, 0.0), focal_35mm=(40.0, 40.0))
    drift = {**dict(DEFAULT.noise.drift_m), "wrist": 0.0}
    assert changed.noise == DEFAULT.noise._replace(
        drift_m=tuple(drift.items()), confidence_mean=0.1, swap_frames=(2, 2), peak_chance=1.0
    )
    assert changed.betas_std == DEFAULT.betas_std
    assert changed_recipe(DEFAULT, {}) == DEFAULT


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noize": {}}, "recipe: unknown name 'noize'. Did you mean 'noise'?"),
        ({"noise": {"jiter_m": 0}}, "recipe: noise: unknown name 'jiter_m'. Did you mean 'jitter_m'?"),
        ({"noise": 3}, "recipe: noise is 3, expected 'name: value' for some of its names."),
        ({"noise": {"drift_m": {"toe": 1}}}, "recipe: noise: drift_m: unknown joint 'toe'. Expected one of pelvis"),
        ({"noise": {"jitter_m": -1}}, "recipe: noise: jitter_m is -1, expected a number, 0 to 0.67."),
        ({"noise": {"jitter_m": "much"}}, "recipe: noise: jitter_m is 'much', expected a number"),
        ({"noise": {"drop_chance": 1.1}}, "recipe: noise: drop_chance is 1.1, expected a number, 0 to 1."),
        ({"noise": {"confidence_s": 0}}, "recipe: noise: confidence_s is 0, expected a number, 0.0015 to 15."),
        ({"noise": {"swap_frames": [1.5, 2]}}, "recipe: noise: swap_frames is 1.5, expected a whole number"),
        ({"noise": {"drift_s": [1e-9, 1]}}, "recipe: noise: drift_s is 1e-09, expected a number, 0.0005 to 50."),
        ({"speed": [float("nan"), 1]}, "recipe: speed is nan, expected a number"),
        ({"speed": [1, 10**5000]}, "recipe: speed is a number of many digits, expected a number"),
        ({"speed": [2, 1]}, "recipe: speed is [2, 1], expected the smaller number first."),
        ({"speed": 1}, "recipe: speed is 1, expected 2 numbers, such as "),
        ({"camera": {"kinds": [1, 1, 0]}}, "recipe: camera: kinds is [1, 1, 0], expected chances that add up to 1."),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_one_line(values, message):
    with refused() as caught:
        changed_recipe(DEFAULT, values)
    assert str(caught.value).startswith(message)
