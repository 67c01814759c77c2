"""Writing files so that a reader finds the old content or the new, never half of either."""

import contextlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kinemesh.errors import UserError


def write_atomically(path: Path | str, write: Callable[[BinaryIO], None]) -> None:
    """Call `write` with a temporary file in the same folder, flush it to disk, and rename it to `path`.

    Raises `UserError` if the folder cannot be made or written, or the disk is full; what stood at `path` is then
    untouched.
    """
    with replacement(path) as temporary, temporary.open("wb") as file:
        write(file)


@contextlib.contextmanager
def replacement(path: Path | str) -> Iterator[Path]:
    """An empty temporary file in the same folder, for the block to fill, that then takes the place of `path`.

    If the block raises, the temporary file is removed and `path` untouched; an OSError becomes a `UserError`.
    """
    path = Path(path)
    require_writable(path, may_be_link=True)
    with faults_of_writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            os.close(descriptor)
            yield Path(temporary)
            flush_to_disk(temporary)
            # mkstemp makes files private; give what an ordinary open would.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        flush_to_disk(path.parent)


@contextlib.contextmanager
def faults_of_writing(path: Path) -> Iterator[None]:
    """Raises `UserError` naming `path` for whatever the operating system refuses meanwhile."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written ({reason}). Free space or choose another folder.") from error


def require_writable(path: Path, *, may_be_link: bool = False) -> None:
    """Raise `UserError` if something stands at `path` that is no regular file: a folder, a device, a pipe.

    A link is none either: what is appended would end up in another file, wherever it leads. Where the link itself is
    replaced, `may_be_link`.
    """
    try:
        state = os.stat(path) if may_be_link else os.lstat(path)
    except FileNotFoundError:  # nothing, or a link that leads nowhere
        return
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}). Name another file.") from error
    if not stat.S_ISREG(state.st_mode):
        kind = "folder" if stat.S_ISDIR(state.st_mode) else "link" if stat.S_ISLNK(state.st_mode) else "device or pipe"
        raise UserError(
            f"{path}: cannot be written, it is a {kind}. Expected a file's name; remove it, or name another."
        )


def require_other_file(path: Path, inputs: Iterable[Path | str | None]) -> None:
    """Raise `UserError` if a file that is to be written is one of those that are read, or in a folder of them; None is none."""
    if not path.exists():
        return
    for given in inputs:
        if (
            given
            and os.path.exists(given)
            and any(os.path.samefile(given, each) for each in (path, *path.parents[:-1]))
        ):
            raise UserError(f"{path}: is read here, too, and would be replaced. Name another file.")


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise `UserError` if the disk that `folder` is on has less room."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise UserError(
            f"{folder}: {needed_bytes / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB are free. Free space or choose another "
            "folder."
        )


def json_text(content: object, indent: int | None = None) -> str:
    """Strict JSON, whose numbers are finite: null stands for one that is not, which is one that is not there."""
    return json.dumps(_with_null(content), indent=indent, allow_nan=False)


def _with_null(content: object) -> object:
    if isinstance(content, dict):
        return {key: _with_null(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_with_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def flush_to_disk(path: Path | str) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_atomically(path: Path | str, text: str) -> None:
    """`write_atomically` for UTF-8 text."""
    # Names of files may be in any encoding: what is no text stands there as an escape.
    write_atomically(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))
