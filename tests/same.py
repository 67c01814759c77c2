"""What two values read from files have to be to be the same."""

import numpy as np
import torch


def assert_same(found, expected, ignored=(), is_writeable=False) -> None:
    """Equal in type, order and every bit, apart from `ignored` keys and the order of an array's bytes."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and torch.equal(found, expected)
    elif isinstance(expected, np.ndarray):
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        assert found.flags.writeable or not is_writeable
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        kept = [key for key in expected if key not in ignored]
        assert [key for key in found if key not in ignored] == kept
        for key in kept:
            assert_same(found[key], expected[key], is_writeable=is_writeable)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for found_item, expected_item in zip(found, expected, strict=True):
            assert_same(found_item, expected_item, is_writeable=is_writeable)
    else:
        assert found == expected
