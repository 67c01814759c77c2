"""Ctrl-C, SIGTERM and a terminal that is closed: what they do to a run, and the exit status that says which it was."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

# SIGHUP: the terminal was closed; a program that `nohup` started ignores it, and goes on.
_HANDLED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(BaseException):
    """A signal ended the program; the text says how to go on.

    Like KeyboardInterrupt no `Exception`, so that nothing on the way takes it for a fault.
    """

    def __init__(self, signal_number: int, message: str = ""):
        super().__init__(message)
        self.exit_status = 128 + signal_number


class StoppedAtOnce(Stopped):
    """A signal ended the program where it happened to be."""

    def __init__(self, signal_number: int):
        whole = "the checkpoints written so far are complete, and the same command goes on from them"
        super().__init__(signal_number, f"stopped at once; {whole}")


class StopRequest:
    """Notes the first signal, for the run to end where it can go on from; a second one ends it at once.

    `agree` makes one number of those of all processes of a run, so that they stop at the same place.
    """

    def __init__(self, agree: Callable[[int], int] = int):
        self.signal_number: int | None = None
        self._agree = agree
        self._noted = 0

    def agree_to_stop(self) -> bool:
        """Whether a signal has come, to any process of the run; all of them have to ask at the same places."""
        self.signal_number = self._agree(self._noted) or None
        return self.signal_number is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While entered, signals are requests."""
        with handled_by(self._note):
            yield

    def _note(self, signal_number: int, frame: object) -> None:
        if self._noted:
            stop_at_once(signal_number, frame)
        self._noted = signal_number

    def raise_if_agreed(self) -> None:
        """Raises `Stopped` once a signal has come; as `agree_to_stop` it is asked in all processes."""
        if self.agree_to_stop():
            raise Stopped(self.signal_number)


def stop_at_once(signal_number: int, _frame: object) -> None:
    """A signal handler that raises `StoppedAtOnce` wherever the program is."""
    raise StoppedAtOnce(signal_number)


@contextlib.contextmanager
def handled_by(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Meanwhile SIGINT, SIGTERM and SIGHUP go to `handler`, unless the program was started with them ignored.

    Other threads than the main one have no signals: there this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _HANDLED}
    taken = [number for number in _HANDLED if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def import_slow(name: str) -> ModuleType:
    """The module, which imports PyTorch: seconds, that --help and a mistyped flag need not wait for.

    A signal meanwhile ends the program there and then: an exception out of PyTorch's own start may abort the process.
    """

    def end(signal_number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            if speaks():
                os.write(2, b"stopped: nothing was begun\n")
        os._exit(128 + signal_number)

    with handled_by(end):
        return import_module(name)


def speaks() -> bool:
    """Whether this process does, of several that run together."""
    return os.environ.get("RANK", "0") == "0"


def leave(status: int) -> int:
    """The exit status of a program that is done; one of several processes ends here, without taking Python down.

    DistributedDataParallel leaves references to the process group, so that gloo's threads outlive it. One that frees a
    tensor's Python object while the interpreter ends is killed by it, and takes the process along: "terminate called
    without an active exception", exit status -6.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    return status
