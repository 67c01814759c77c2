"""What the README's "How to change it" promises: each addition is made as it says there, and reaches runs and results."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.runs import ROOT, logged, run_python

# A researcher's changes, each what one line of the README names; a copy of the program that has them.
CHANGES = """
import sys
from dataclasses import dataclass

import torch
from torch import nn

sys.path[:0] = [{root!r}, {root!r} + "/lib"]
import kinemesh.config


@dataclass(frozen=True, kw_only=True)
class Config(kinemesh.config.Config):
    lambda_size: float = 0.0


kinemesh.config.Config = Config
kinemesh.config.LAMBDA_OF_TERM["loss_size"] = "lambda_size"

from kinemesh.program.cli import main
from kinemesh.losses import LOSSES
from kinemesh.metrics import METRICS, Metric
from kinemesh.model.building import BACKBONES
from kinemesh.protocols import PROTOCOLS, Protocol
from train_mesh import REGRESSOR

LOSSES["loss_size"] = lambda bodies: (bodies.pred_mm - bodies.target_mm).abs().mean()
METRICS["head_error"] = Metric(lambda posed: posed.joint_errors[..., 10])
PROTOCOLS["mine"] = Protocol("mine", "h36m", "mid_hip", "mid_hip", "all_frames", "none", "a test")


class PerJoint(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, config.dim_feat), nn.GELU(), nn.Linear(config.dim_feat, config.dim_rep))

    def representation(self, keypoints):
        return self.layers(keypoints)

    def unused_parameters(self):
        return []

    def matrix_parameters(self):
        return [self.layers[0].weight]


BACKBONES["PerJoint"] = PerJoint
sys.exit(main(REGRESSOR))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("program") / "train_changed.py"
    path.write_text(CHANGES.format(root=str(ROOT)))
    return path


@pytest.fixture
def config(config_file, demo_folder, tmp_path) -> str:
    """A tiny config that asks for all that was added, and for no released dataset."""
    data = tmp_path / "data"
    shutil.copytree(demo_folder, data, ignore=shutil.ignore_patterns("*.pkl"))
    shutil.copy(demo_folder / "SMPL_NEUTRAL.pkl", data)
    shutil.copy(demo_folder / "mesh_det_pw3d.pkl", data / "mine.pkl")
    return config_file(
        data_root=str(data), dt_file_h36m=None, dt_file_coco=None, dt_file_pw3d=None, train_pw3d=False,
        datasets=[{"name": "mine", "file": "mine.pkl", "fps": 25}], lambda_size=0.5, backbone="PerJoint", opt="adamw", dropout=0.0,
        limit_clips=16, mean_pose_baseline=False,
    )  # fmt: skip


def run(program: Path, *arguments: str, processes: int = 1) -> str:
    together = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
    finished = run_python(*(together if processes > 1 else ()), program, *arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_dataset_loss_metric_protocol_and_backbone_reach_training_and_results(program, config, tmp_path):
    folder, out = tmp_path / "run", tmp_path / "metrics.json"
    output = run(
        program, "--config", config, "--checkpoint", str(folder), "--protocol", "mine", "--metrics_out", str(out)
    )
    assert "best_epoch.bin is chosen on the mine test split" in output
    first, last = logged(folder)
    assert last["test_mpjpe_mine"] > 0
    assert first["train_loss/loss_size"] > last["train_loss/loss_size"] > 0
    assert first["test_loss_mine/loss_size"] > 0
    found = json.loads(out.read_text())["mine"]
    assert (found["protocol"], found["fps"]) == ("mine", 25.0)
    assert 0 < found["head_error"] != found["mpjpe"]
    assert set(found["intervals"]) >= {"head_error", "mpjpe"}
    report = tmp_path / "report"
    run(
        program, "--config", config, "--evaluate", str(folder / "best_epoch.bin"), "--report", str(report),
        "--predictions_out", str(tmp_path / "p.npz"),
    )  # fmt: skip
    assert "mine format (mine)" in (report / "report.html").read_text()


def test_another_backbone_trains_in_two_processes_and_with_muon(program, config, tmp_path):
    one, two, muon = (tmp_path / name for name in ("one", "two", "muon"))
    run(program, "--config", config, "--checkpoint", str(one))
    run(program, "--config", config, "--checkpoint", str(two), processes=2)
    for line, other in zip(logged(one), logged(two), strict=True):
        assert line["test_mpjpe_mine"] == pytest.approx(other["test_mpjpe_mine"], rel=1e-3)
    run(program, "--config", config, "--checkpoint", str(muon), "--set", "opt=muon", "--set", "epochs=1")
    groups = torch.load(muon / "latest_epoch.bin", weights_only=True)["optimizer"]["param_groups"]
    assert [group["is_matrix"] for group in groups] == [False, False, True]
    assert len(groups[2]["params"]) == 3
