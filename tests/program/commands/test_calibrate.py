"""`kinemesh calibrate`: what a detector's confidences tell of its errors comes back from a dataset, as a config takes it."""

import numpy as np
import pytest
import torch
import yaml

from kinemesh.data.folders import write_folder
from kinemesh.demo.splits import StandIn
from kinemesh.machine.seeds import Draws
from kinemesh.program.console import main
from kinemesh.synthesis.detector import detect
from kinemesh.synthesis.recipe import DEFAULT, changed_recipe

CLIPS, FRAMES = 60, 30
COUNT = CLIPS * FRAMES


@pytest.fixture
def dataset(tmp_path):
    """People who stand at rest before a camera, upright, as a detector with a relation of its own sees them."""
    noise = {
        "confidence_a": 0.015,
        "confidence_b": 0.5,
        "confidence_mean": -0.05,
        "confidence_std": 0.1,
        "sure_chance": 0,
    }
    recipe = changed_recipe(DEFAULT, {"noise": noise | {"swap_chance": 0, "occluder_chance": 0}}).noise
    K = np.array([[1500.0, 0, 1000], [0, 1500, 1000], [0, 0, 1]])
    assets = StandIn().assets
    joints = (assets.J_regressor_h36m @ assets.v_template) @ np.diag([1.0, -1, -1]) + [0, 0, 5]
    pelvis = assets.J_regressor[0] @ assets.v_template
    px = (joints / joints[:, 2:])[:, :2] * 1500 + 1000
    px_per_m = torch.tensor(1500 / joints[:, 2]).float().expand(CLIPS, FRAMES, 17)
    true_px = torch.tensor(px).float().expand(CLIPS, FRAMES, 17, 2)
    found = detect(Draws(torch.arange(CLIPS)), recipe, true_px, px_per_m, torch.full((CLIPS, 2), 2000.0), 30.0)
    pose, trans = np.zeros((COUNT, 72)), np.tile([0, 0, 5.0], (COUNT, 1))
    pose[:, 0] = np.pi
    trans += np.diag([1.0, -1, -1]) @ pelvis - pelvis  # it turns about its pelvis
    split = {
        "joint_2d": found.keypoints_px.reshape(COUNT, 17, 2).numpy(), "confidence": found.confidence.reshape(COUNT, 17).numpy(),
        "smpl_pose": pose, "smpl_shape": np.zeros((COUNT, 10)), "trans": trans, "K": np.tile(K, (COUNT, 1, 1)),
    }  # fmt: skip
    write_folder(tmp_path / "own", {"test": {key: values.astype("f4") for key, values in split.items()}}, {})
    return tmp_path / "own", noise, split


@pytest.fixture
def program():
    return main


def test_the_relation_comes_back_as_a_config_takes_it(dataset, succeeds, fails, tmp_path):
    path, noise, _ = dataset
    command = ["calibrate", path, "--stand_in", "--out", tmp_path / "recipe.yaml"]
    printed = succeeds(*command)
    said = yaml.safe_load((tmp_path / "recipe.yaml").read_text())["recipe"]
    own = changed_recipe(DEFAULT, said).noise
    assert own.confidence_a == pytest.approx(noise["confidence_a"], rel=0.2)
    assert own.confidence_std == pytest.approx(noise["confidence_std"], rel=0.05)
    distance = 0.298 * np.array([0.01, 0.03, 0.06])
    told = [
        values["confidence_a"] / (distance + values["confidence_a"]) + values["confidence_b"] * distance + values["confidence_mean"]
        for values in (said["noise"], noise)
    ]  # fmt: skip
    np.testing.assert_allclose(*told, atol=0.02)
    assert "median mm" in printed and "recipe:\n  noise: {confidence_a: " in printed
    assert "is there already" in fails(*command)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": None}, "'K' is missing. Expected numbers"),
        ({"confidence": np.ones((COUNT, 17))}, "one confidence for all"),
        ({"joint_2d": None}, "has no train split with keypoints"),
    ],
)
def test_a_dataset_without_cameras_or_confidences_is_one_line(changes, message, dataset, fails, tmp_path):
    _, _, split = dataset
    rows = {key: values.astype("f4") for key, values in (split | changes).items() if values is not None}
    write_folder(tmp_path / "changed", {"test": rows}, {})
    assert message in fails("calibrate", tmp_path / "changed", "--stand_in")
