import dataclasses

import pytest
import torch

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.program.check.values import body_findings, split_findings


@pytest.fixture
def states(small_dataset, kinematics):
    """What the table says of the small dataset's training split with these arrays changed."""

    def found(**changes) -> dict[str, tuple[str, str]]:
        split = dataclasses.replace(small_dataset.train, **changes)
        findings = split_findings(split, "x.pkl", kinematics)
        return {finding.what.removeprefix("pw3d train "): (finding.state, finding.found) for finding in findings}

    return found


def test_sound_data(states):
    assert {state for state, _ in states().values()} == {"ok"}
    assert set(states()) == {"pixels", "confidence", "poses", "repeats", "keypoints", "order"}


def test_pixels_of_other_images(states, small_dataset):
    keypoints = small_dataset.train.keypoints_px
    state, found = states(keypoints_px=keypoints * 4)["pixels"]
    assert state == "warning"
    assert "of the keypoints outside: are these the pixels of this dataset's images?" in found
    state, found = states(keypoints_px=keypoints / 4)["pixels"]
    assert state == "warning"
    assert "Were the images scaled?" in found


def test_confidence_out_of_range(states, small_dataset):
    confidence = small_dataset.train.confidence
    state, found = states(confidence=confidence * 100)["confidence"]
    assert state == "warning"
    assert "outside 0 to 1" in found
    assert states(confidence=confidence * 0)["confidence"][0] == "warning"
    assert states(confidence=None).keys() == {"pixels", "poses", "repeats", "keypoints", "order"}


def test_betas_of_no_body(states, small_dataset):
    state, found = states(smpl_shape=small_dataset.train.smpl_shape * 100)["poses"]
    assert state == "warning"
    assert "no body looks so" in found


def test_swapped_and_foreign_keypoints(states, small_dataset):
    split, order = small_dataset.train, list(H36M_MIRROR_ORDER)
    state, found = states(keypoints_px=split.keypoints_px[:, order], confidence=split.confidence[:, order])["keypoints"]
    assert state == "warning"
    assert "left and right look swapped" in found
    state, found = states(keypoints_px=split.keypoints_px.flip(0), confidence=None)["keypoints"]
    assert state == "warning"


def test_regressors(assets):
    assert {finding.state for finding in body_findings(assets, "x")} == {"ok"}
    doubled = dataclasses.replace(assets, J_regressor_h36m=assets.J_regressor_h36m * 2)
    found = {finding.what: finding for finding in body_findings(doubled, "x")}
    assert found["H36M regressor"].state == "warning"
    assert found["joint regressor"].state == "ok"


def test_a_split_without_keypoints(states):
    found = states(keypoints_px=None, confidence=None)
    assert found["keypoints"][0] == "note" and found.keys() == {"keypoints", "poses", "repeats"}


def test_cameras_of_other_pictures(states):
    matrix = torch.tensor([[2000.0, 0, 960], [0, 2000, 540], [0, 0, 1]])
    assert states(camera_matrix=matrix)["cameras"][0] == "ok"
    state, found = states(camera_matrix=matrix / torch.tensor([[1920.0], [1920], [1]]))["cameras"]
    assert state == "warning" and "is K in pixels of these pictures?" in found
