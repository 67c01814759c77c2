"""What was found before a stop comes back as it was, or not at all."""

import numpy as np
import pytest

from kinemesh.detect.regions import Region
from kinemesh.detect.search import Frame, State
from kinemesh.detect.unfinished import read_unfinished, write_unfinished


def frame(tracks, state=None):
    return Frame(tracks, [np.full((17, 3), 1 / (3 + track), dtype=np.float32) for track in tracks], state)


FOUND = [
    frame([]),
    frame([0, 2]),
    frame([2], State([Region((1 / 3, 200.0), 77.7, -0.1)], 4, 2, 7, 3)),
]


@pytest.mark.parametrize("found", [FOUND, [frame([], State([], 1, 0, 3, 0))]])
def test_it_comes_back_to_the_last_digit(found, tmp_path):
    write_unfinished(tmp_path / "some.npz", found, "a film")
    again = read_unfinished(tmp_path / "some.npz", "a film", 10, (17,))
    assert [one.tracks for one in again] == [one.tracks for one in found]
    assert again[-1].state == found[-1].state
    for one, other in zip(again, found, strict=True):
        np.testing.assert_array_equal(one.joints_px, other.joints_px)


def test_that_of_anything_else_is_not_taken(tmp_path):
    path = tmp_path / "some.npz"
    assert read_unfinished(path, "a film", 10, (17,)) == []
    write_unfinished(path, FOUND, "a film")
    for other in (("another film", 10, (17,)), ("a film", 2, (17,)), ("a film", 10, (33,))):
        assert read_unfinished(path, *other) == []
    with np.load(path) as file:
        arrays = dict(file)
    for name, values in (
        ("counts", [0, 3, 1]),
        ("counts", [4, -2, 1]),
        ("tracks", [0.0, 1.0, 2.0]),
        ("regions", np.zeros((2, 4))),
        ("state", [1, 1]),
    ):
        np.savez(path, **arrays | {name: np.array(values)})
        assert read_unfinished(path, "a film", 10, (17,)) == []
    path.write_bytes(path.read_bytes()[:-99])
    assert read_unfinished(path, "a film", 10, (17,)) == []
