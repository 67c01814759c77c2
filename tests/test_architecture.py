"""The house: rooms in one order, imports that go one way and never in a circle, and nothing too large to see."""

import ast
import functools
import graphlib
import itertools
import re
import sys
from pathlib import Path

import pytest

from kinemesh.config import Config
from kinemesh.losses import weighted_total
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REGRESSOR

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lib/kinemesh"
CONFIG = PACKAGE / "config.py"
# No room imports a later one.
ROOMS = (
    "errors", "structures", "geometry", "files", "config", "machine", "body", "keypoints", "motion", "losses",
    "protocols", "metrics", "model", "data", "synthesis", "render", "world", "fit", "estimates", "evaluation",
    "training", "export", "report", "demo", "detect", "infer", "prepare", "program",
)  # fmt: skip
# The program joins these.
APART = {"model", "data", "evaluation", "training"}
LOOSE = {"errors", "structures", "config", "losses", "metrics", "protocols"}
LONGEST_FILE, MOST_FILES, MOST_PARAMETERS, MOST_WAYS_BACK = 300, 8, 7, 2
MOST_LINES_OF_TRAINING = 1745
# Published signatures from before there was a limit; none may be added.
WIDE = {"dstformer.__init__", "predictor.infer"}


def modules() -> dict[str, Path]:
    """Dotted name -> file, without the package's own front door."""
    paths = (path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


MODULES = modules()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports_of(path: Path) -> set[str]:
    """The package's modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(tree_of(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        found |= {name for name in names if name.startswith("kinemesh.")}
    return found


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("module", MODULES)
def test_no_room_imports_a_later_one(module):
    own = room_of(module)
    assert own in ROOMS
    for other in map(room_of, imports_of(MODULES[module])):
        assert ROOMS.index(other) <= ROOMS.index(own), f"{own} imports {other}"
        assert other == own or not {own, other} <= APART, f"{own} imports {other}"


def test_no_files_import_one_another_in_a_circle():
    graph = {module: imports_of(path) & MODULES.keys() for module, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_files_and_rooms_can_be_seen_at_once():
    for folder in ("lib", "tools", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= LONGEST_FILE, f"{path.relative_to(ROOT)} has {lines} lines"
    assert {path.stem for path in PACKAGE.glob("*.py") if not path.name.startswith("__")} == LOOSE
    for folder in {path.parent for path in MODULES.values()} - {PACKAGE}:
        names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(names) <= MOST_FILES, f"{folder.relative_to(ROOT)} has {len(names)} files"


def test_training_is_read_in_one_sitting():
    """The files that the README names for it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("Training in one sitting:")[2].partition(". ")[0]
    folder, lines = "", 0
    names = re.findall(r"`([\w/]+\.py)`", text)
    for name in names:
        folder = name.rpartition("/")[0] or folder
        file = ROOT / name if (ROOT / name).is_file() else PACKAGE / folder / Path(name).name
        file = file if file.is_file() else PACKAGE / name
        lines += len(file.read_text(encoding="utf-8").splitlines())
    assert (len(names), lines <= MOST_LINES_OF_TRAINING) == (13, True), lines


def test_functions_take_few_arguments():
    for path in MODULES.values():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef) and f"{path.stem}.{node.name}" not in WIDE:
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                assert count <= MOST_PARAMETERS, f"{path}: {node.name} takes {count}"


def test_only_the_program_knows_flags_and_the_console():
    for module, path in MODULES.items():
        tree = tree_of(path)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert module == "kinemesh.program.cli" or not any(getattr(c.func, "id", "") == "print" for c in calls), module
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert room_of(module) == "program" or "argparse" not in names, module


class Arrived(Exception):
    """The config has come to the loss."""


def test_the_config_goes_from_the_command_line_to_the_loss_with_few_ways_back(config_file, tmp_path):
    """Every call that is handed the config itself, up to the first weighted loss: how often is a room entered again?"""
    visited: list[str] = []

    def follow(frame, event, _) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(PACKAGE)) or code.co_filename == str(CONFIG):
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(isinstance(frame.f_locals.get(name), Config) for name in names):
            visited.append(Path(code.co_filename).relative_to(PACKAGE).with_suffix("").as_posix())
            if code.co_name == weighted_total.__name__:
                sys.setprofile(None)
                raise Arrived

    sys.setprofile(follow)
    try:
        with pytest.raises(Arrived):
            main(REGRESSOR, ["--config", config_file(), "-c", str(tmp_path / "run"), "--device", "cpu"])
    finally:
        sys.setprofile(None)
    rooms = [name.split("/")[0] for name in visited]
    assert {"program", "data", "model", "training", "losses"} <= set(rooms)
    for stays in (rooms, visited):
        entered = [name for name, _ in itertools.groupby(stays)]
        assert len(entered) - len(set(entered)) <= MOST_WAYS_BACK, entered
