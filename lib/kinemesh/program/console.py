"""`kinemesh COMMAND ...`: the scripts and tools of the repository under one name, for where the package is installed."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from kinemesh.errors import UserError
from kinemesh.program.cli import main as train_main
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.flags.training import REFINER, REGRESSOR


class Command(NamedTuple):
    """A command's line in the help, and what it calls with the arguments behind its name."""

    summary: str
    call: Callable[[Sequence[str]], int]


def _module(name: str) -> Callable[[Sequence[str]], int]:
    """The `main` of a module that is imported when the command is called."""
    return lambda argv: import_module(f"kinemesh.program.{name}").main(argv)


COMMANDS = {
    "train": Command("train or evaluate a mesh regressor (train_mesh.py)", lambda argv: train_main(REGRESSOR, argv)),
    "refine": Command(
        "train or evaluate a refiner of other estimators (train_mesh_refine.py)", lambda argv: train_main(REFINER, argv)
    ),
    "infer": Command("meshes of the people in a video (infer_wild_mesh.py)", _module("wild.cli")),
    "evaluate": Command("score files of predicted bodies", _module("commands.evaluate_predictions")),
    "check": Command("check a dataset or motion folder by itself", _module("commands.check_file")),
    "convert": Command("turn a dataset's pickle into a folder, or back", _module("commands.convert")),
    "prepare": Command("motion folders and datasets from official downloads", _module("commands.prepare")),
    "calibrate": Command(
        "how a detector's confidences tell its errors, as a config takes it", _module("commands.calibrate")
    ),
    "export": Command("write a checkpoint in the released layout, or back", _module("commands.export_checkpoint")),
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
