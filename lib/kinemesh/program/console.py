"""`kinemesh COMMAND ...`: the scripts and tools of the repository under one name, for where the package is installed."""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kinemesh.errors import UserError
from kinemesh.machine.stopping import import_slow
from kinemesh.program.cli import main as train_main
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.flags.training import REFINER, REGRESSOR
from kinemesh.program.wild.cli import main as infer_main


class Command(NamedTuple):
    """A command's line in the help, and what it calls with the arguments behind its name."""

    summary: str
    call: Callable[[Sequence[str]], int]


_NOTHING_WRITTEN = "stopped: nothing was written"


def _command(name: str, when_stopped: str) -> Callable[[Sequence[str]], int]:
    """The `run` of a module of `commands`."""

    def call(argv: Sequence[str]) -> int:
        module = f"kinemesh.program.commands.{name}"
        return run_reporting_errors(lambda: import_slow(module).run(argv), when_stopped)

    return call


COMMANDS = {
    "train": Command("train or evaluate a mesh regressor (train_mesh.py)", lambda argv: train_main(REGRESSOR, argv)),
    "refine": Command(
        "train or evaluate a refiner of other estimators (train_mesh_refine.py)", lambda argv: train_main(REFINER, argv)
    ),
    "infer": Command("meshes of the people in a video (infer_wild_mesh.py)", infer_main),
    "evaluate": Command("score files of predicted bodies", _command("evaluate_predictions", _NOTHING_WRITTEN)),
    "check": Command("check a dataset or motion folder by itself", _command("check_file", "stopped")),
    "convert": Command("turn a dataset's pickle into a folder, or back", _command("convert", _NOTHING_WRITTEN)),
    "prepare": Command(
        "motion folders and datasets from official downloads", _command("prepare", "stopped; the same command goes on")
    ),
    "calibrate": Command(
        "how a detector's confidences tell its errors, as a config takes it", _command("calibrate", _NOTHING_WRITTEN)
    ),
    "export": Command(
        "write a checkpoint in the released layout, or back", _command("export_checkpoint", _NOTHING_WRITTEN)
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Call a command; its exit status, 2 for one that does not exist."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in COMMANDS:
        return COMMANDS[name].call(rest)
    return run_reporting_errors(lambda: _help(name))


def _help(name: str) -> None:
    lines = [f"  {each:<10}{command.summary}" for each, command in COMMANDS.items()]
    if name not in ("-h", "--help"):
        raise UserError(f"kinemesh {name[:40]}: no such command. Expected one of {', '.join(COMMANDS)}.")
    usage = ["usage: kinemesh COMMAND ...", "", *lines, "", "kinemesh COMMAND --help tells the flags of each."]
    sys.stdout.write("\n".join(usage) + "\n")
