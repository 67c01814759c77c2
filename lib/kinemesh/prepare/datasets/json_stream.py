"""JSON files of gigabytes, one entry at a time: those of the lists and dicts that the file's own list or dict holds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from kinemesh.errors import fail

_CHUNK = 1 << 20
# Characters of one entry: far more than any of these files has, far less than memory.
_LONGEST = 1 << 27
_BLANK = " \t\n\r"
_BEHIND = frozenset(",:]}" + _BLANK)


def stream_json(path: Path, what: str) -> Iterator[tuple[Any, Any, Any]]:
    """(outer, inner, value) of {outer: {inner: value}}, with places for names where one of the two is a list.

    What is neither list nor dict comes as (outer, None, value). Raises UserError, one line, for what is no such JSON; memory
    holds no more than one value.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            stream = _Stream(file, path, what)
            for outer in stream.names():
                if stream.peek() in "[{":
                    for inner in stream.names():
                        yield outer, inner, stream.value()
                else:
                    yield outer, None, stream.value()
    except (OSError, UnicodeDecodeError) as error:
        fail(path, f"cannot be read ({str(error)[:80]})", what)


class _Stream:
    """A text, and how far it has been read."""

    def __init__(self, file, path: Path, what: str):
        self._file, self._path, self._what = file, path, what
        self._text, self._place = "", 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is no blank; the end of the file is a fault."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in _BLANK:
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                self._fail("ends early: is the download complete?")

    def names(self) -> Iterator[Any]:
        """The names of a dict, or places of a list, each with the stream at its value."""
        opening = self.peek()
        closing = {"[": "]", "{": "}"}.get(opening)
        if closing is None:
            self._fail(f"has {opening!r} where a list or dict is expected")
        self._place += 1
        number = 0
        while self.peek() != closing:
            if number:
                self._take(",")
            if opening == "[":
                yield number
            else:
                name = self.value()
                self._take(":")
                yield name
            number += 1
        self._place += 1

    def value(self) -> Any:
        """The value that comes next."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
                # A number that was read in part goes on: what comes behind a value says that it is whole.
                if self._text[end : end + 1] in _BEHIND or not self._more():
                    self._place = end
                    return value
            except json.JSONDecodeError as error:
                if not self._more():
                    self._fail(f"no valid JSON ({error.msg})")
            except ValueError as error:  # a whole number of thousands of digits
                self._fail(f"holds what is no number ({str(error)[:40]})")
            except RecursionError:
                self._fail("is nested too deep")

    def _take(self, character: str) -> None:
        if self.peek() != character:
            self._fail(f"has {self.peek()!r} where {character!r} is expected")
        self._place += 1

    def _more(self) -> bool:
        """Read on, as much again as is waiting."""
        self._text = self._text[self._place :]
        self._place = 0
        if len(self._text) > _LONGEST:
            self._fail(f"holds an entry of more than {_LONGEST >> 20} MiB")
        part = self._file.read(max(_CHUNK, len(self._text)))
        self._text += part
        return bool(part)

    def _fail(self, fault: str) -> NoReturn:
        fail(self._path, fault, self._what)
