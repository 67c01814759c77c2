"""What a run says: the console, the log file, `metrics.jsonl` and TensorBoard."""

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from kinemesh.errors import printable
from kinemesh.files.writing import faults_of_writing, json_text, require_writable, write_text_atomically

_STDERR = 2  # by number: what is not Python's knows no other


class _ConsoleHandler(logging.Handler):
    """Writes through tqdm, so that a line does not cut a progress bar in two.

    A console that is closed, full, or read by a program that has ended is no reason to stop: the log file goes on.
    """

    def emit(self, record: logging.LogRecord) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        text = self.format(record).encode(encoding, "backslashreplace").decode(encoding)
        with forgiving_console():
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()


@contextlib.contextmanager
def forgiving_console() -> Iterator[None]:
    """Where the block cannot write to standard output or error, what follows goes nowhere."""
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            # By number: what waits in Python's buffers is written when the program ends, and would fail once more.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
                continue
            with contextlib.suppress(OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def without_information() -> Iterator[None]:
    """Keep lines that begin with "INFO: " from standard error, where a library's own code writes them past Python.

    All else that is written there meanwhile, by whatever thread, follows when the block ends.
    """
    with contextlib.ExitStack() as stack:
        try:
            caught = stack.enter_context(tempfile.TemporaryFile())
            console = os.dup(_STDERR)
        except OSError:  # it is closed, or the disk is full: then the lines stay where they are
            yield
            return
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(console, _STDERR)
            os.close(console)
            caught.seek(0)
            told = b"".join(line for line in caught if not line.startswith(b"INFO: "))
            with contextlib.suppress(OSError):
                os.write(_STDERR, told)


class _PrintableFormatter(logging.Formatter):
    """What files and video names hold is shown, never obeyed."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _ConsoleFormatter(_PrintableFormatter):
    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return f"{record.levelname.lower()}: {message}" if record.levelno >= logging.WARNING else message


def set_up_console(is_quiet: bool = False) -> None:
    """Send the project's messages to standard output; if quiet, nothing but errors."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before the program began: else a file that is opened takes its number
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    root = logging.getLogger("kinemesh")
    root.setLevel(logging.ERROR if is_quiet else logging.INFO)
    root.propagate = False
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    handler = _ConsoleHandler()
    handler.setFormatter(_ConsoleFormatter("%(message)s"))
    root.addHandler(handler)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """No message but errors from the block, as of runs that are only tried."""
    root = logging.getLogger("kinemesh")
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


class _LogFile(logging.FileHandler):
    """A log that cannot be written, as on a full disk, is no reason to stop or to fill the console."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def add_log_file(path: Path) -> None:
    """Also append the project's messages, with the time, to a file."""
    with faults_of_writing(path):
        require_writable(path)
        handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
    logging.getLogger("kinemesh").addHandler(handler)


def append_record(path: Path, record: dict) -> None:
    """One more line of JSON, on the disk when this returns.

    Raises `UserError` if it cannot be written.
    """
    require_writable(path)
    with faults_of_writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json_text(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def drop_metrics_from(path: Path, epoch: int) -> None:
    """Remove the lines of epochs that are about to run again after a resume."""
    require_writable(path)
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
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

        self._folder = folder
        with faults_of_writing(folder):
            self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def add(self, scalars: dict[str, float], step: int) -> None:
        with faults_of_writing(self._folder):
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk, which was said when the last points were added
            self._writer.close()
