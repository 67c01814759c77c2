"""Starting loads what every run needs and nothing that is slow and seldom needed: none of it is hidden in an import."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_SLOW = ("torch._dynamo", "torch.utils.tensorboard", "tensorboard", "scipy", "PIL", "imageio_ffmpeg", "roma", "smplx")


def loaded_by(module: str) -> set[str]:
    folder = ROOT / "lib" if module.startswith("kinemesh") else ROOT
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    return set(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split())


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
