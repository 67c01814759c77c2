"""A motion folder that is as it should be is found so; every fault that training would learn from is a finding."""

import re

import numpy as np
import pytest

from kinemesh.motion.recorded import open_motions
from kinemesh.program.check.motions import motion_findings

POSES = np.random.default_rng(1).normal(0, 0.1, (20, 72)).astype("f4")


def changed(array: np.ndarray, rows: slice, values: object) -> np.ndarray:
    array = array.copy()
    array[rows] = values
    return array


def found_in(path) -> dict[str, tuple[str, str]]:
    return {finding.what: (finding.state, finding.found) for finding in motion_findings(open_motions(path))}


def test_a_folder_as_it_should_be(write_motions):
    findings = found_in(write_motions(pose=POSES)[0])
    assert {state for state, _ in findings.values()} == {"ok"}
    assert "3 sequences, 20 frames, 0.0 minutes at 30, 60, 120 frames a second" in findings["sequences"][1]


@pytest.mark.parametrize(
    ("changes", "what", "state", "told"),
    [
        ({"pose": changed(POSES, np.s_[3, 5], np.nan)}, "values", "wrong", "'poses' holds NaN or infinity"),
        ({"betas": np.full((3, 10), 30, "f4")}, "shapes", "warning", "largest beta 30.00: no body looks so"),
        ({"trans": np.arange(60, dtype="f4").reshape(20, 3)}, "paths", "warning", "name 0 156, name 2 624"),
        ({"pose": changed(POSES, np.s_[:, :3], [np.pi / 2, 0, 0])}, "axes", "warning", "is another axis up in the files"),
        ({"pose": changed(POSES, np.s_[8:18], POSES[8])}, "repeated frames", "warning", "1 sequences repeat .*: name 2"),
        ({"name": ["a", "b", "a"]}, "names", "warning", "1 names come twice: a"),
        ({"length": np.array([7, 7, 6]), "pose": changed(POSES, np.s_[7:14], POSES[:7])}, "copies across splits", "warning",
         "1 sequences are copies of others: name 1 = name 0"),
    ],
)  # fmt: skip
def test_faults_are_found(changes, what, state, told, write_motions):
    findings = found_in(write_motions(**changes)[0])
    assert findings[what][0] == state and re.search(told, findings[what][1]), findings
    assert {name for name, (other, _) in findings.items() if other != "ok"} == {what}
