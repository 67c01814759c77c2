"""One thing that was checked, and the table of all of them."""

import logging
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from kinemesh.errors import UserError

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 3
_HEADINGS = ("state", "what", "where", "found")
_WIDTHS = (7, 21, 40, 46)  # with two blanks between them 120


class Finding(NamedTuple):
    """One line of the table; with `missing` and `wrong` no run would start."""

    state: Literal["ok", "note", "warning", "missing", "wrong"]
    what: str
    where: str
    found: str
    error: UserError | None = None  # that a run would end with, where one was raised

    @property
    def is_fatal(self) -> bool:
        return self.state in ("missing", "wrong")

    def message(self) -> str:
        """A fatal finding as the text of an error."""
        if self.error is not None:
            return str(self.error)
        return f"{self.where} not found. {self.found}" if self.state == "missing" else f"{self.where}: {self.found}"


def from_error(error: UserError, what: str, where: str) -> Finding:
    """The finding that a part of the run would stop with."""
    return Finding("wrong", what, where, str(error).removeprefix(f"{where}: "), error)


def judged(what: str, where: str, found: str, doubt: str = "") -> Finding:
    """A warning where there is a doubt, which is said behind what was found; else all is well."""
    return Finding("warning", what, where, f"{found}: {doubt}") if doubt else Finding("ok", what, where, found)


def some_of(names: list[str]) -> str:
    """The first of some names, for a line."""
    return ", ".join(names[:_NAMES_SHOWN]) + ", ..." * (len(names) > _NAMES_SHOWN)


def table(findings: Iterable[Finding]) -> str:
    """Findings as text of at most 120 columns, long cells broken over several lines."""
    lines = [_line(_HEADINGS), _line(["-" * width for width in _WIDTHS])]
    for finding in findings:
        lines.extend(_rows(finding))
    return "\n".join(lines)


def require_startable(findings: Sequence[Finding]) -> None:
    """Log them as a table. Raises `UserError` if no run would start."""
    logger.info("%s", table(findings))
    fatal = sum(finding.is_fatal for finding in findings)
    if fatal:
        lines = "1 line" if fatal == 1 else f"{fatal} lines"
        raise UserError(f"{lines} of the table would stop the run. Nothing was started.")
    logger.info("this run would start")


def _rows(finding: Finding) -> Iterator[str]:
    cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(finding[: len(_WIDTHS)], _WIDTHS, strict=True)]
    for row in range(max(map(len, cells))):
        yield _line([cell[row] if row < len(cell) else "" for cell in cells])


def _line(cells: Iterable[str]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
