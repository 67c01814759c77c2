"""What a run says: the console, the log file, `metrics.jsonl`, TensorBoard, and progress of long loops."""

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from lib.files import write_text_atomically

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


class _ConsoleHandler(logging.Handler):
    """Writes through tqdm, so that a line does not cut a progress bar in two."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


class _ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return f"{record.levelname.lower()}: {message}" if record.levelno >= logging.WARNING else message


def set_up_console() -> None:
    """Send the project's messages to standard output."""
    root = logging.getLogger("lib")
    root.setLevel(logging.INFO)
    root.propagate = False
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    handler = _ConsoleHandler()
    handler.setFormatter(_ConsoleFormatter("%(message)s"))
    root.addHandler(handler)


def add_log_file(path: Path) -> None:
    """Also append the project's messages, with the time, to a file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    logging.getLogger("lib").addHandler(handler)


def progress(items: Iterable[Item], total: int, label: str, every: int) -> Iterator[Item]:
    """Pass items on: with a bar on a terminal, else with a plain line each `every` items."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
        return
    for done, item in enumerate(items, start=1):
        yield item
        if done % every == 0 and done < total:
            logger.info("%s: %d of %d", label, done, total)


def append_metrics(path: Path, record: dict) -> None:
    """One JSON object an epoch, one line each."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def drop_metrics_from(path: Path, epoch: int) -> None:
    """Remove the lines of epochs that are about to run again after a resume."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            is_kept = json.loads(line)["epoch"] <= epoch
        except (ValueError, KeyError, TypeError):  # a line that a kill cut short
            is_kept = False
        if is_kept:
            kept.append(line + "\n")
    write_text_atomically(path, "".join(kept))


class ScalarLog:
    """TensorBoard scalars under `folder`; after a resume, later points of the killed run are hidden."""

    def __init__(self, folder: Path, first_step: int):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only training needs it

        self._writer = SummaryWriter(str(folder), purge_step=first_step if first_step > 1 else None)

    def add(self, scalars: dict[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
