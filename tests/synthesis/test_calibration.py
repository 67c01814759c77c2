"""A relation of confidence to error that keypoints were made with comes back from them."""

import numpy as np
import pytest
import torch

from kinemesh.machine.seeds import Draws
from kinemesh.synthesis.calibration import calibrated, errors_by_confidence
from kinemesh.synthesis.detector import detect
from kinemesh.synthesis.recipe import DEFAULT, changed_recipe

NAMES = ("confidence_a", "confidence_b", "confidence_mean", "confidence_std")


@pytest.mark.parametrize("values", [(0.028, 1.1, -0.0046, 0.143), (0.01, 2.5, 0.05, 0.08), (0.08, 0.3, -0.2, 0.2)])
def test_the_relation_comes_back(values):
    changes = {"noise": dict(zip(NAMES, values, strict=True)) | {"sure_chance": 0, "outside_drop_chance": 0}}
    recipe = changed_recipe(DEFAULT, changes).noise
    keys = torch.arange(150)
    true_px = torch.full((150, 40, 17, 2), 500.0)
    found = detect(Draws(keys), recipe, true_px, torch.full((150, 40, 17), 100.0), torch.full((150, 2), 1000.0), 30.0)
    is_found = (~found.is_dropped & ~found.is_swapped).numpy()
    error, confidence = found.error_m.numpy()[is_found], found.confidence.numpy()[is_found]
    solved = calibrated(error, confidence)
    assert changed_recipe(DEFAULT, {"noise": solved}).noise.confidence_a == pytest.approx(solved["confidence_a"])
    # The relation itself, where errors are: its four numbers can make up for one another a little.
    distance = 0.298 * np.quantile(error, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99])

    def told(a, b, mean, _std):
        return a / (distance + a) + b * distance + mean

    np.testing.assert_allclose(told(*solved.values()), told(*values), atol=0.02)
    assert solved["confidence_std"] == pytest.approx(values[3], rel=0.05)


def test_bins_hold_what_lies_between_their_borders():
    bins = errors_by_confidence(np.array([0.1, 0.5, 0.7, 1.0]), np.array([4.0, 1.0, 2.0, 0.0]), (0.0, 0.5, 1.0))
    assert [(part.count, part.mean, part.median) for part in bins] == [(1, 4.0, 4.0), (3, 1.0, 1.0)]
