"""What two checkpoints have to be to hold the same."""

import torch


def assert_same(left, right, ignored=()) -> None:
    """Equal in type, order and every bit, apart from `ignored` keys."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype and torch.equal(left, right)
    elif isinstance(left, dict):
        kept = [key for key in left if key not in ignored]
        assert kept == [key for key in right if key not in ignored]
        for key in kept:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for left_item, right_item in zip(left, right, strict=True):
            assert_same(left_item, right_item)
    else:
        assert left == right
