"""Where a result comes from: code, versions and data, as plain text and numbers that a checkpoint can hold."""

import hashlib
import logging
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from kinemesh.files.array_folder.manifest import MANIFEST_FILE
from kinemesh.program.options import RunOptions
from kinemesh.program.setup import Setup

logger = logging.getLogger(__name__)

_PACKAGES = ("torch", "numpy", "scipy")
_PROJECT = Path(__file__).resolve().parents[3]
_BLOCKS, _BLOCK_BYTES = 64, 1 << 16
_GIT_SECONDS = 5


def versions() -> dict[str, str]:
    """Of Python and the packages that numbers depend on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def git_revision(folder: Path = _PROJECT) -> str | None:
    """The commit that `folder` is at, with `-dirty` behind it if files differ from it; None if that cannot be had."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def fingerprint(path: Path | str) -> str:
    """`bytes:hash` of a file by a look at parts of it, in milliseconds whatever its size.

    The hash is BLAKE2b over the size and up to 64 blocks of 64 KiB, evenly spaced from the first byte to the last: files
    of up to 4 MiB are read whole. It tells other files and re-made ones apart, not an edit between two blocks.
    """
    path = Path(path)
    size = path.stat().st_size
    last = max(0, size - _BLOCK_BYTES)
    count = min(_BLOCKS, -(-size // _BLOCK_BYTES))
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for block in range(count):
            file.seek(last * block // max(1, count - 1))
            digest.update(file.read(_BLOCK_BYTES))
    return f"{size}:{digest.hexdigest()}"


def fingerprints(paths: Iterable[Path]) -> dict[str, str]:
    """Name -> fingerprint of those paths that are files, or folders of arrays: then of the manifest, which has their hashes."""
    found = {path.name: path / MANIFEST_FILE if path.is_dir() else path for path in paths}
    return {name: fingerprint(path) for name, path in found.items() if path.is_file()}


def origin_of(setup: Setup) -> dict:
    """What checkpoints and metrics files record besides the config: text and numbers only."""
    options = setup.options
    files = [file.path for file in setup.files if not (options.is_training and file.read_by == "checkpoint")]
    return {
        "seed": options.seed,
        "command": command_line(options),
        "versions": versions(),
        "git_revision": git_revision(),
        "protocols": [protocol.name for protocol in setup.protocols],
        "clips": setup.config.eval_clips,
        "files": fingerprints(files),
    }


def command_line(options: RunOptions) -> str:
    """The command that was typed."""
    return shlex.join(["python", options.script, *sys.argv[1:]])


def say_what_changed(before: object, now: dict, path: Path) -> None:
    """Warn of what may keep a resumed run from being the unbroken one's equal."""
    if not isinstance(before, dict):
        return
    for name in ("versions", "files"):
        old = before.get(name)
        if isinstance(old, dict):
            changed = [key for key in old.keys() & now[name].keys() if old[key] != now[name][key]]
            for key in sorted(changed):
                logger.warning("%s was written with %s %s, now it is %s", path, key, old[key], now[name][key])
    if before.get("seed") != now["seed"]:
        logger.warning("%s was written with seed %s, now it is %s", path, before.get("seed"), now["seed"])
