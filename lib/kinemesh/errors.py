"""The one exception for faults that the user, not the program, has to fix."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

# What a terminal obeys instead of showing it, what turns a line around, and halves of characters, which no encoding has.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with what does more than to be seen, or cannot be written, as an escape such as \\x1b."""
    return _UNSHOWN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


class UserError(Exception):
    """A file, key, shape, value or flag is wrong.

    The message is one line: what is wrong, where, what was expected, and what to do. The program prints it
    after `error: ` and exits with status 2. Anything else that is raised is a bug and keeps its traceback.
    """

    def __init__(self, message: str):
        super().__init__(printable(" ".join(str(message).split())))


def require_one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise the one line for an option that has only these values."""
    if value not in choices:
        raise UserError(f"{name} {value!r}: expected {' or '.join(map(repr, choices))}.")


def fail(path: Path | str, fault: str, expected: str) -> NoReturn:
    """Raise the one line for a fault of a file; `fault` starts with the key, field or place in it."""
    raise UserError(f"{path}: {fault}. Expected {expected}; fix the file, or give another.")


def fail_on_array(path: Path | str, place: str, array: Any, expected: str) -> NoReturn:
    """The same for an array, at `place` in the file, of another type or shape than the one expected."""
    fail(path, f"{place} is an array of {array.dtype} of shape {array.shape}", expected)
