"""Tries a reader on spoiled files, each under limits of memory and time, in a process that may die of one."""

import multiprocessing
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.errors import UserError
from tools.fuzz.kinds import Kind
from tools.fuzz.mutations import mutate

ACCEPTED, REFUSED = "accepted", "refused"
MEMORY_BYTES = 1 << 30  # that one file may take beyond what the process has
SECONDS = 10  # of processor time
STUCK_SECONDS = 300
# What Python reports before it does any of these; reading a file needs none.
_FORBIDDEN_EVENTS = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod",
    "subprocess.Popen", "socket.connect", "shutil.rmtree", "ctypes.dlopen", "pickle.find_class",
)  # fmt: skip


class Result(NamedTuple):
    """What came of one spoiled file: ACCEPTED, REFUSED, or the failure's name with its traceback as `detail`."""

    case: int
    outcome: str
    detail: str
    content: bytes  # empty unless a failure


def try_cases(kind: Kind, files: Sequence[bytes], seed: Sequence[int], cases: range, folder: Path) -> Iterator[Result]:
    """The results of reading spoiled `files`, in order; `folder` is for the files themselves.

    Each case depends on `seed` and its number only. A case that kills its process is a failure, and the others go on
    in a new one.
    """
    fork = multiprocessing.get_context("fork")
    while cases:
        receiver, sender = fork.Pipe(duplex=False)
        process = fork.Process(target=_work, args=(kind, files, seed, cases, folder, sender), daemon=True)
        process.start()
        sender.close()
        died = ""
        while cases:
            try:
                if not receiver.poll(STUCK_SECONDS):
                    died = "stuck"
                    process.kill()
                else:
                    yield receiver.recv()
                    cases = cases[1:]
                    continue
            except EOFError:
                died = died or "crash"
            process.join()
            yield Result(cases[0], died, f"exit status {process.exitcode}", spoiled(files, seed, cases[0]))
            cases = cases[1:]
            break
        process.join()
        receiver.close()


def spoiled(files: Sequence[bytes], seed: Sequence[int], case: int) -> bytes:
    """The file of a case."""
    rng = np.random.default_rng([*seed, case])
    content, other = (files[int(rng.integers(len(files)))] for _ in range(2))
    return mutate(rng, content, other)


class _TooSlow(BaseException):
    """No reader catches it."""


def _work(kind: Kind, files, seed, cases: range, folder: Path, sender) -> None:
    events: list[str] = []
    is_reading = False

    def audit(event: str, arguments: tuple) -> None:
        is_write = event == "open" and isinstance(arguments[1], str) and not set("wax+").isdisjoint(arguments[1])
        is_text_run = event == "exec" and arguments[0].co_filename == "<string>"  # others are modules being imported
        if is_reading and (is_write or is_text_run or event in _FORBIDDEN_EVENTS):
            events.append(f"{event} {str(arguments)[:200]}")

    def stop(*_arguments) -> None:
        raise _TooSlow

    path = folder / kind.file_name
    _warm_up(kind, files, path)
    sys.addaudithook(audit)
    signal.signal(signal.SIGPROF, stop)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
    for case in cases:
        content = spoiled(files, seed, case)
        path.write_bytes(content)
        outcome, detail = ACCEPTED, ""
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        is_reading = True
        try:
            kind.read(path)
        except UserError as error:
            outcome, detail = REFUSED, str(error)
            if "does not fit in memory" in detail:
                outcome = "memory"
        except _TooSlow:
            outcome, detail = "slow", traceback.format_exc()
        except Exception as error:
            outcome, detail = type(error).__name__, traceback.format_exc()
        finally:
            is_reading = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        if events:
            outcome, detail = "executed", "; ".join(events)
            events.clear()
        sender.send(Result(case, outcome, detail, b"" if outcome in (ACCEPTED, REFUSED) else content))


def _warm_up(kind: Kind, files: Sequence[bytes], path: Path) -> None:
    """Read the valid files, so that imports and caches are not at the account of the first case."""
    for content in files:
        path.write_bytes(content)
        kind.read(path)
