import dataclasses

import pytest
import torch

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.program.check.values import body_findings, split_findings


@pytest.fixture
def states(small_dataset, kinematics):
    """What the table says of the small dataset's training split with these arrays changed: (state, found) by row."""

    def found(**changes) -> dict[str, tuple[str, str]]:
        split = dataclasses.replace(small_dataset.train, **changes)
        findings = split_findings(split, "x.pkl", kinematics)
        return {finding.what.removeprefix("pw3d train "): (finding.state, finding.found) for finding in findings}

    return found


ROWS = {"pixels", "confidence", "poses", "repeats", "keypoints", "order"}
SWAPPED = list(H36M_MIRROR_ORDER)


def test_sound_data(states):
    assert {state for state, _ in states().values()} == {"ok"}
    assert set(states()) == ROWS


@pytest.mark.parametrize(
    ("row", "told", "changed"),
    [
        ("pixels", "of the keypoints outside: are these the pixels of this dataset's images?", {"keypoints_px": lambda px: px * 4}),
        ("pixels", "Were the images scaled?", {"keypoints_px": lambda px: px / 4}),
        ("confidence", "outside 0 to 1", {"confidence": lambda values: values * 100}),
        ("confidence", "", {"confidence": lambda values: values * 0}),
        ("poses", "no body looks so", {"smpl_shape": lambda betas: betas * 100}),
        ("keypoints", "left and right look swapped", {
            "keypoints_px": lambda px: px[:, SWAPPED], "confidence": lambda values: values[:, SWAPPED],
        }),
        ("keypoints", "", {"keypoints_px": lambda px: px.flip(0), "confidence": lambda _: None}),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_warned_of(row, told, changed, states, small_dataset):
    changes = {name: change(getattr(small_dataset.train, name)) for name, change in changed.items()}
    state, found = states(**changes)[row]
    assert state == "warning" and told in found


def test_what_a_split_lacks_is_left_out_of_the_table(states):
    assert states(confidence=None).keys() == ROWS - {"confidence"}
    found = states(keypoints_px=None, confidence=None)
    assert found["keypoints"][0] == "note" and found.keys() == {"keypoints", "poses", "repeats"}


def test_regressors(assets):
    assert {finding.state for finding in body_findings(assets, "x")} == {"ok"}
    doubled = dataclasses.replace(assets, J_regressor_h36m=assets.J_regressor_h36m * 2)
    found = {finding.what: finding for finding in body_findings(doubled, "x")}
    assert found["H36M regressor"].state == "warning"
    assert found["joint regressor"].state == "ok"


def test_cameras_of_other_pictures(states):
    matrix = torch.tensor([[2000.0, 0, 960], [0, 2000, 540], [0, 0, 1]])
    assert states(camera_matrix=matrix)["cameras"][0] == "ok"
    state, found = states(camera_matrix=matrix / torch.tensor([[1920.0], [1920], [1]]))["cameras"]
    assert state == "warning" and "is K in pixels of these pictures?" in found
