"""The house: rooms in one order, imports that go one way and never in a circle, and nothing too large to see."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lib/kinemesh"
# No room imports a later one.
ROOMS = (
    "errors", "structures", "geometry", "files", "config", "machine", "body", "keypoints", "motion", "losses",
    "protocols", "metrics", "model", "data", "synthesis", "render", "world", "fit", "estimates", "evaluation",
    "training", "export", "report", "demo", "detect", "infer", "prepare", "program",
)  # fmt: skip
# The program joins these.
APART = {"model", "data", "evaluation", "training"}
LOOSE = {"errors", "structures", "config", "losses", "metrics", "protocols"}
LONGEST_FILE, MOST_FILES, MOST_PARAMETERS = 300, 8, 7
# From before there was a limit; none may be added.
WIDE = {
    "dstformer.__init__", "placing.fit_people", "placing.place_person",
    "predictor.infer",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Dotted name -> file, without the package's own front door."""
    paths = (path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__"))
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


MODULES = modules()


def imports_of(path: Path) -> set[str]:
    """The package's modules that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def test_functions_take_few_arguments():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and f"{path.stem}.{node.name}" not in WIDE:
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                assert count <= MOST_PARAMETERS, f"{path}: {node.name} takes {count}"


def test_only_the_program_knows_flags_and_the_console():
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert module == "kinemesh.program.cli" or not any(getattr(c.func, "id", "") == "print" for c in calls), module
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert room_of(module) == "program" or "argparse" not in names, module
