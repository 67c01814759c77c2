"""The one exception for faults that the user, not the program, has to fix."""

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

# What the package needs, as it is imported: a test compares it with pyproject.toml.
PACKAGES = ("torch", "numpy", "scipy", "yaml", "tqdm", "tensorboard", "PIL", "av", "numba")
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


def require_packages(*names: str) -> None:
    """Raise the one line where one of these is not installed; it names all of PACKAGES that are not."""
    if any(find_spec(name) is None for name in names):
        missing = ", ".join(name for name in PACKAGES if find_spec(name) is None)
        raise UserError(f"not installed: {missing}. Run: {sys.executable} -m pip install -r requirements.txt")


@contextlib.contextmanager
def missing_packages_told() -> Iterator[None]:
    """An import of one that is not installed raises that line; where a module of ours is missing that is a bug."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name in PACKAGES:
            require_packages(error.name)
        raise


def fail(path: Path | str, fault: str, expected: str) -> NoReturn:
    """Raise the one line for a fault of a file; `fault` starts with the key, field or place in it."""
    raise UserError(f"{path}: {fault}. Expected {expected}; fix the file, or give another.")


def fail_on_array(path: Path | str, place: str, array: Any, expected: str) -> NoReturn:
    """The same for an array, at `place` in the file, of another type or shape than the one expected."""
    fail(path, f"{place} is an array of {array.dtype} of shape {array.shape}", expected)
