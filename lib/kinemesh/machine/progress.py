"""How far long work has come: a bar or plain lines, and the seconds that each stage took."""

import contextlib
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int, label: str, every: int, done: int = 0) -> Iterator[Item]:
    """Pass items on: with a bar on a terminal, else with a plain line each `every` items; `done` were before these."""
    if sys.stderr.isatty() and logger.isEnabledFor(logging.INFO):
        yield from tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True, initial=done)
        return
    for number, item in enumerate(items, start=done + 1):
        yield item
        if number % every == 0 and number < total:
            logger.info("%s: %d of %d", label, number, total)


class StageClock:
    """Seconds of each stage, a stage that comes again added up."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began
