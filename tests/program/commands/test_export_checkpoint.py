"""Exported checkpoints in use: there and back, resumed, evaluated; and what cannot be exported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.body.assets import load_body_assets
from kinemesh.config import load_config
from kinemesh.model.building import build_model
from kinemesh.program import console
from kinemesh.program.cli import main
from kinemesh.program.commands.export_checkpoint import export
from kinemesh.program.flags.training import REFINER, REGRESSOR
from kinemesh.training.optimizer import build_optimizer
from tests.refusals import refused, refuses
from tests.same import assert_same

ROOT = Path(__file__).parents[3]
TASKS = {"regressor": (REGRESSOR, "MB_demo.yaml"), "refiner": (REFINER, "MB_demo_refine_hybrik.yaml")}


@pytest.fixture
def config_file(write_config):
    """Writes a config of a tiny model on a few clips; keyword arguments change keys."""
    own = {
        "epochs": 1, "warmup_h36m": 0, "warmup_coco": 0, "ema": 0, "limit_clips": 8, "opt": "adamw", "warmup_steps": 0,
        "refine_rotation": "rows", "crop_input": False, "lr_schedule": "exponential", "dt_file_h36m": None, "mean_pose_baseline": False,
    }  # fmt: skip
    return lambda kind="regressor", **changes: write_config(TASKS[kind][1], own | changes)


@pytest.fixture
def run(capsys):
    def run_it(kind, *arguments) -> None:
        status = main(TASKS[kind][0], [str(argument) for argument in arguments])
        assert status == 0, capsys.readouterr().err

    return run_it


@pytest.mark.parametrize("kind", ["regressor", "refiner"])
def test_an_exported_checkpoint_is_the_same_run(kind, config_file, run, tmp_path):
    config, latest, released = config_file(kind), tmp_path / "run/latest_epoch.bin", tmp_path / "released.bin"
    run(kind, "--config", config, "-c", latest.parent)
    export(config, latest, "released", released)

    export(config, released, "ours", tmp_path / "back.bin")
    ours, back = (torch.load(path, weights_only=True) for path in (latest, tmp_path / "back.bin"))
    # What the released layout has no place for.
    assert_same(back, ours, ignored=("origin", "selected_on", "skipped_steps"))

    scores = []
    for path in (latest, released):
        run(kind, "--config", config, "-e", path, "--metrics_out", tmp_path / "metrics.json")
        scores.append(json.loads((tmp_path / "metrics.json").read_text())["pw3d"])
        assert ("unknown" in scores[-1].pop("selected_on")) == (path == released)
    assert scores[0] == scores[1]
    assert scores[0]["mpjpe"] > 0


def test_a_released_run_goes_on_as_ours_does(config_file, run, tmp_path, monkeypatch):
    config, folder = config_file(), tmp_path / "run"
    run("regressor", "--config", config, "-c", folder)
    before = torch.load(folder / "latest_epoch.bin", weights_only=True)["model"]
    released = tmp_path / "released" / "latest_epoch.bin"
    arguments = ("--config", config, "--checkpoint", folder / "latest_epoch.bin", "--to", "released", "--out", released)
    assert console.main(["export", *map(str, arguments)]) == 0
    # One more epoch, optimizer state included.
    contents = []
    for checkpoint_folder in (folder, released.parent):
        run("regressor", "--config", config_file(epochs=2), "-c", checkpoint_folder)
        contents.append(torch.load(checkpoint_folder / "latest_epoch.bin", weights_only=True))
    assert contents[0]["epoch"] == 2
    assert_same(contents[0], contents[1], ignored=("step",))  # a released file counts none
    assert not torch.equal(contents[0]["model"]["head.fc1.weight"], before["head.fc1.weight"])


@pytest.mark.parametrize("is_old", [False, True])
def test_the_released_code_goes_on_at_the_next_epochs_rates(is_old, config_file, run, tmp_path):
    config, latest = config_file(lr_backbone=1e-3, lr_head=2e-3, lr_decay=0.5), tmp_path / "run/latest_epoch.bin"
    run("regressor", "--config", config, "-c", latest.parent, "--set", "lr_head=4e-3")
    content = torch.load(latest, weights_only=True)
    assert content["lr"] == [5e-4, 2e-3]
    if is_old:  # checkpoints of ours held the rates of the epoch before
        content["lr"] = [1e-3, 4e-3]
        for group, rate in zip(content["optimizer"]["param_groups"], content["lr"], strict=True):
            group["lr"] = rate
        torch.save(content, latest)
    export(config, latest, "released", tmp_path / "x.bin")
    released = torch.load(tmp_path / "x.bin", weights_only=False)
    assert released["lr"] == [5e-4, 2e-3]
    assert [group["lr"] for group in released["optimizer"]["param_groups"]] == [5e-4, 2e-3]


@pytest.fixture
def latest(tmp_path):
    """Writes a checkpoint of the config's own model, fresh."""

    def write(kind, path, **changes):
        config = load_config(path)
        model = build_model(kind, config, load_body_assets(config.data_root))
        content = {"epoch": 1, "optimizer": build_optimizer(model, config).state_dict(), "config": config.to_dict()}
        content |= {"model": model.state_dict(), **changes}
        torch.save({key: value for key, value in content.items() if value is not None}, tmp_path / "x.bin")
        return tmp_path / "x.bin"

    return write


@pytest.mark.parametrize(
    ("kind", "keys", "content", "message"),
    [
        ("refiner", {"refine_rotation": "columns"}, {}, "x.bin: trained with refine_rotation: columns, which the released"),
        ("regressor", {"att_fuse": False}, {}, "x.bin: trained with att_fuse: False"),
        ("regressor", {"crop_input": True}, {}, "x.bin: trained with crop_input: True, and the released code"),
        ("regressor", {"opt": "muon"}, {}, "x.bin: trained with opt: muon, whose state the released"),
        ("regressor", {}, {"epoch": None}, "x.bin: no 'epoch' in it"),
        ("regressor", {}, {"optimizer": None}, "x.bin: no 'optimizer' in it"),
        ("regressor", {}, {"model": None, "model_pos": {}}, "It is a pretrained backbone"),
    ],
)  # fmt: skip
def test_what_the_released_code_could_not_go_on_with_is_refused(
    kind, keys, content, message, config_file, latest, tmp_path
):
    config = config_file(kind, **keys)
    refuses(message, export, config, latest(kind, config, **content), "released", tmp_path / "out.bin")
    assert not (tmp_path / "out.bin").exists()


def test_another_optimizer_is_refused(config_file, latest, tmp_path):
    path = latest("regressor", config_file(opt="sgd"))
    with refused(r"optimizer state does not fit \(no betas in it, so another"):
        export(config_file(), path, "ours", tmp_path / "out.bin")
    assert not (tmp_path / "out.bin").exists()


def test_averaged_weights_are_said_to_be_taken(config_file, latest, caplog):
    config = config_file()
    path = latest("regressor", config)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"model_in_training": content["model"], "best_jpe": np.float64(3.0)}, path)
    export(config, path, "ours", path.parent / "out.bin")
    assert "x.bin: the averaged weights are exported; those in training are left out" in caplog.text
