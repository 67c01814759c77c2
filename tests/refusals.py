"""What a user's error has to be."""

import contextlib
from collections.abc import Callable

import pytest

from kinemesh.errors import UserError


@contextlib.contextmanager
def refused(message: str | None = None):
    """Expects a user's error, in one line, in which `message` is found, a regular expression."""
    with pytest.raises(UserError, match=message) as caught:
        yield caught
    assert "\n" not in str(caught.value)


def refuses(message: str | None, function: Callable, *arguments, **options) -> str:
    """Calls what ends in a user's error, see `refused`: the error's text."""
    with refused(message) as caught:
        function(*arguments, **options)
    return str(caught.value)
