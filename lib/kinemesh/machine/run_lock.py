"""One run at a time in a checkpoint folder, held by a lock of the operating system: a killed run leaves none."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from kinemesh.errors import UserError
from kinemesh.files.writing import require_writable

logger = logging.getLogger(__name__)

LOCK_FILE = "run.lock"
# File systems that cannot lock: some network ones, as they are mounted.
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and hold its lock; the lock file says whose it is.

    Raises `UserError` if another run holds it, with that run's process number and host, or the folder cannot be
    written.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_writable(folder / LOCK_FILE)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}). Give another --checkpoint folder.") from error
    try:
        _take(descriptor, folder)
        # Full disk: the lock holds all the same, only its text is missing.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
                if is_new and os.listdir(folder) == [LOCK_FILE]:  # the run failed before it wrote anything
                    os.unlink(folder / LOCK_FILE)
                    os.rmdir(folder)
    finally:
        os.close(descriptor)


def require_unlocked(folder: Path) -> None:
    """Raises `UserError` if a run holds the folder's lock; writes nothing."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # no run was ever there, or the folder cannot be written, which is another fault
        return
    try:
        _take(descriptor, folder)
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 300, 0).decode(errors="replace") or "another process"
        raise UserError(
            f"{folder}: another run writes here ({holder}). Wait for it, stop it, or give another --checkpoint folder."
        ) from error
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise UserError(
                f"{folder}: cannot be locked ({error.strerror}). Give another --checkpoint folder."
            ) from error
        logger.warning("%s: its file system has no locks, so a second run into it would not be noticed", folder)
