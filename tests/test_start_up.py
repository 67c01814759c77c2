"""Starting loads what every run needs and nothing that is slow and seldom needed: none of it is hidden in an import."""

import sys

import pytest

from tests.runs import ROOT, run_python

_SLOW = ("torch._dynamo", "torch.utils.tensorboard", "tensorboard", "scipy", "PIL", "imageio_ffmpeg", "roma", "smplx")


def loaded_by(module: str) -> set[str]:
    folder = ROOT / "lib" if module.startswith("kinemesh") else ROOT
    ran = run_python("-c", f"import sys, {module}; print(*sys.modules)", folder=folder)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize("module", ["kinemesh.program.train", "kinemesh.infer.predictor", "kinemesh.training.loop"])
def test_importing_loads_no_slow_module(module):
    loaded = loaded_by(module)
    assert module in loaded
    assert "torch" in loaded
    assert not loaded & set(_SLOW)


@pytest.mark.parametrize(
    "module",
    ["train_mesh", "train_mesh_refine", "infer_wild_mesh", "tools.evaluate_predictions", "tools.export_checkpoint"],
)
def test_help_needs_no_pytorch(module):
    assert not loaded_by(module) & {"torch", "numpy", *_SLOW}


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("tqdm", ["train_mesh.py", "--help"]),
        ("torch", ["train_mesh.py", "--config", "configs/mesh/MB_demo.yaml", "--evaluate", "{file}"]),
        ("av", ["infer_wild_mesh.py", "--vid_path", "{file}"]),
        ("numba", ["infer_wild_mesh.py", "--vid_path", "{file}"]),
    ],
)
def test_a_package_that_is_not_installed_is_one_line_and_how_to_get_it(package, command, tmp_path):
    (file := tmp_path / "file").touch()
    arguments = [part.format(file=file) for part in command]
    without = f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = {arguments}; "
    ran = run_python("-c", without + "runpy.run_path(sys.argv[0], run_name='__main__')")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert ran.stderr.startswith(f"error: not installed: {package}. Run: {sys.executable} -m pip install -r ")
