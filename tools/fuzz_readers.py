"""Spoils valid files of every kind that the project reads, some ten thousand times, and reads them.

    python -m tools.fuzz_readers --count 10000 --seed 0

Only two outcomes are right: the file is accepted, or it is refused with a UserError. Whatever else happens (another
exception, a crash, more than 1 GiB, more than 10 s of processor time, a system call that reading does not need) is
counted as a failure, and its file and traceback are kept under --failures. Exit status 1 if there was one. Needs Linux.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from kinemesh.errors import UserError
from kinemesh.program.cli import run_reporting_errors
from tools.fuzz.kinds import KINDS
from tools.fuzz.trial import ACCEPTED, REFUSED, try_cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="files in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="repeatable; default: all")
    parser.add_argument("--failures", default="fuzz_failures", metavar="DIR", help="for files that fail")
    arguments = parser.parse_args()
    if arguments.count < 1 or arguments.seed < 0:
        raise UserError("--count and --seed: expected a positive count and a seed of 0 or more.")
    kinds = arguments.kind or list(KINDS)
    failures = fuzz(kinds, -(-arguments.count // len(kinds)), arguments.seed, Path(arguments.failures))
    if failures:
        raise SystemExit(1)


def fuzz(kinds: list[str], count: int, seed: int, folder: Path) -> int:
    """Try `count` files of each kind, print a line for each kind, and return the number of failures."""
    torch.set_num_threads(1)
    logging.getLogger("kinemesh").setLevel(logging.ERROR)  # not what readers say of files that they accept
    total: Counter[str] = Counter()
    for name in kinds:
        started, outcomes = time.monotonic(), Counter()
        with tempfile.TemporaryDirectory() as scratch:
            kind = KINDS[name]
            for result in try_cases(kind, kind.make(), (seed, list(KINDS).index(name)), range(count), Path(scratch)):
                outcomes[result.outcome] += 1
                if result.outcome not in (ACCEPTED, REFUSED):
                    folder.mkdir(parents=True, exist_ok=True)
                    stem = f"{name}_{seed}_{result.case}_{result.outcome}"
                    (folder / f"{stem}{Path(kind.file_name).suffix}").write_bytes(result.content)
                    (folder / f"{stem}.txt").write_text(result.detail)
        total += outcomes
        print(f"{name:12} {_describe(outcomes)}, {time.monotonic() - started:.0f} s", flush=True)
    failed = total.total() - total[ACCEPTED] - total[REFUSED]
    print(f"{'all':12} {_describe(total)}")
    print(f"{total.total()} files, {failed} failures" + (f", kept in {folder}" if failed else ""))
    return failed


def _describe(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items()))


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
