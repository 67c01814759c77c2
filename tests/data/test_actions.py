import numpy as np
import pytest

from kinemesh.data.actions import read_actions

FIRSTS = np.array([0, 2, 3])


@pytest.mark.parametrize(
    ("values", "actions"),
    [
        (["walk", "walk", "sit", "run", "run"], ["walk", "sit", "run"]),
        (np.array(["walk", "walk", "sit", "run", "run"]), ["walk", "sit", "run"]),
        (np.array([b"walk", b"walk", b"sit", b"run", b"run"]), ["walk", "sit", "run"]),
        (np.array(["walk", "walk", "sit", "run", "run"], dtype=object), ["walk", "sit", "run"]),
        (np.array([2, 2, 15, 3, 3]), ["2", "15", "3"]),
    ],
)
def test_action_of_each_video(values, actions):
    assert read_actions(values, FIRSTS) == actions


@pytest.mark.parametrize(
    "values", [None, "walk", 3, {"a": 1}, ["walk", "sit"], np.zeros((5, 2)), np.zeros(5), [None] * 5, [], [[1], [2, 3]]]
)
def test_what_names_no_action_is_left_out(values):
    assert read_actions(values, FIRSTS) is None
