"""Kills training runs at random times, resumes them, and compares what they come to with an unbroken run.

    python -m tools.kill_and_resume --config configs/mesh/MB_demo.yaml --folder /tmp/killed --kills 50 --set epochs=2

Each kill is a SIGKILL after a random time of up to --within seconds, by default a third of what the unbroken run took, so
that a run is killed several times before it ends. After each, `latest_epoch.bin` is either not there yet or loads; after the last resume,
weights, averaged weights, optimizer, best checkpoint, metrics and TensorBoard points equal the unbroken run's, bit for
bit. A checkpoint after nearly every step (`checkpoint_minutes`) makes kills fall into writing, too. The runs are forked
from this process, so that each starts at once.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kinemesh.program.train  # noqa: F401 - imported before the runs are forked, so that they need not
from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.program.cli import main as run_script
from kinemesh.program.flags.training import REGRESSOR
from kinemesh.training.names import BEST, LATEST

_CHECKPOINT_EVERY_MINUTES = 0.0005
_COMPARED = ("epoch", "step", "skipped_steps", "lr", "best_jpe", "model", "model_in_training", "optimizer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--folder", required=True, type=Path, metavar="DIR", help="new folder for the runs")
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="longest time to a kill")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the times of the kills")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(arguments.seed)
    options = ["--config", arguments.config, "--device", "cpu"]
    for override in (*arguments.overrides, f"checkpoint_minutes={_CHECKPOINT_EVERY_MINUTES}"):
        options += ["--set", override]

    unbroken = arguments.folder / "unbroken"
    began = time.monotonic()
    _require(_wait(_start(options, unbroken)) == 0, f"the unbroken run failed, see {unbroken}.txt")
    seconds = time.monotonic() - began
    epochs = load_checkpoint(unbroken / LATEST)["epoch"]
    kills = finished = before_first = inside_epoch = in_writing = 0
    while kills < arguments.kills:
        folder = arguments.folder / f"killed_{finished}"
        epoch = 0
        while epoch < epochs:
            process = _start(options, folder)
            # Beyond the last kill wanted, the run is left alone.
            status = _wait(
                process, draw.uniform(0, arguments.within or seconds / 3) if kills < arguments.kills else None
            )
            _require(status in (0, -signal.SIGKILL), f"exit status {status} after {kills} kills, see {folder}.txt")
            if status:
                kills += 1
                in_writing += any(folder.glob(".*.bin.*"))
            if (folder / LATEST).exists():
                content = load_checkpoint(folder / LATEST)
                epoch = content["epoch"]
                inside_epoch += "progress" in content
            else:
                before_first += 1
        _compare(folder, unbroken)
        finished += 1
    print(
        f"{kills} kills survived ({before_first} before the first checkpoint, {inside_epoch} with a place inside an epoch, "
        f"{in_writing} while a checkpoint was being written); {finished} runs ended equal to the unbroken one "
        f"of {seconds:.1f} s"
    )
    return 0


def _start(options: list[str], folder: Path) -> int:
    """Fork a training run into `folder`, its output going to a file beside it; the process number."""
    process = os.fork()
    if process:
        return process
    folder.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(f"{folder}.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 1
    try:
        status = run_script(REGRESSOR, [*options, "--checkpoint", str(folder)])
    finally:
        os._exit(status)


def _wait(process: int, kill_after: float | None = None) -> int:
    """The exit status of a run, negative for the signal that ended it."""
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _compare(folder: Path, unbroken: Path) -> None:
    for name in (LATEST, BEST):
        ours, theirs = load_checkpoint(folder / name), load_checkpoint(unbroken / name)
        for key in _COMPARED:
            _require(_are_equal(ours.get(key), theirs.get(key)), f"{folder / name}: '{key}' is not the unbroken run's")
    lines = [(each / "metrics.jsonl").read_text().splitlines() for each in (folder, unbroken)]
    ours, theirs = ([json.loads(line) | {"seconds": 0} for line in part] for part in lines)
    _require(ours == theirs, f"{folder}/metrics.jsonl is not the unbroken run's")
    _require(_points(folder) == _points(unbroken), f"{folder}/logs does not hold the unbroken run's points")


def _are_equal(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_are_equal(value, second[key]) for key, value in first.items())
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_are_equal, first, second))
    return first == second


def _points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "logs"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def _require(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"error: {message}")


if __name__ == "__main__":
    sys.exit(main())
