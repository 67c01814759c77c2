"""Imports go one way, and no file grows beyond what can be read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = (
    {
        "errors",
        "config",
        "structures",
        "files",
        "intervals",
        "safe_pickle",
        "safe_joblib",
        "pickle_names",
        "pickle_scan",
        "safe_arrays",
        "safe_checkpoint",
        "safe_npz",
        "safe_yaml",
        "origin",
    },
    {"geometry"},
    {"body"},
    {"model", "losses", "protocols", "metrics", "accumulator", "data", "engine"},
    {"demo", "render", "infer", "assembly"},
    {"export"},
    {"results", "report", "comparison", "start", "check", "app", "arguments", "infer_app", "infer_arguments"},
)
APART = ("model", "data", "engine")
LONGEST = 300
MOST_FILES = {"infer": 9, "render": 8, "export": 8}
# The body's tables of poses and motions are data; a config is one list of keys.
LONGER = {"lib/kinemesh/config.py": 320}


def modules() -> list[Path]:
    return sorted((ROOT / "lib").rglob("*.py"))


def part_of(path: Path) -> str:
    place = path.relative_to(ROOT / "lib")
    return place.parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("lib.")}
    return found


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path != ROOT / "lib/kinemesh/__init__.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_imports_go_one_way(path):
    own = part_of(path)
    for other in imported_parts(path) - {own}:
        assert layer_of(other) <= layer_of(own), f"{own} imports {other}"
        assert not (own in APART and other in APART), f"{own} imports {other}"


@pytest.mark.parametrize("folder", ["lib", "tools", "."])
def test_files_are_short(folder):
    paths = (ROOT / folder).glob("*.py") if folder == "." else (ROOT / folder).rglob("*.py")
    for path in paths:
        name = str(path.relative_to(ROOT))
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= LONGER.get(name, LONGEST), f"{name} has {lines} lines"


def test_packages_beside_the_core_are_small():
    for package, most in MOST_FILES.items():
        names = [path.name for path in (ROOT / "lib" / package).glob("*.py") if path.name != "__init__.py"]
        assert len(names) <= most, f"lib/kinemesh/{package} has {len(names)} files"


def test_lib_does_not_print():
    for path in modules():
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printed = [call for call in calls if getattr(call.func, "id", "") == "print"]
        assert not printed or path.name == "arguments.py", path
