"""Starting loads what every run needs and nothing that is slow and seldom needed: none of it is hidden in an import."""

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
