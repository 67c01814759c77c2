import numpy as np
import pytest

from kinemesh.files.arrays import LONGEST_TEXT, array_of


def bomb(width=10, depth=12):
    """A list that a few hundred bytes write down, of width**depth numbers."""
    value = [1.0] * width
    for _ in range(depth - 1):
        value = [value] * width
    return value


@pytest.mark.parametrize(
    "value", [3, "text", [1, 2], [[1.0, 2], (3, 4)], ["a", "b"], [np.ones(3), np.zeros(3)], [], np.ones(2), None]
)
def test_what_numpy_makes_of_it(value):
    np.testing.assert_array_equal(array_of(value), np.asarray(value))


def test_rows_may_be_shared():
    row = [0.0] * 72
    assert array_of([row] * 1000).shape == (1000, 72)


def endless():
    value = [1]
    value += [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (bomb(), "lists that hold one another over and over"),
        (endless(), "lists that hold one another over and over"),
        ([np.zeros(1_000_000)] * 1000, "lists that hold one another over and over"),
        ([[1, 2], [3]], "a list of unequal rows"),
        (["a", "b" * (LONGEST_TEXT + 1)], "text of 4097 characters"),
    ],
)
def test_what_would_fill_the_memory_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        array_of(value)
