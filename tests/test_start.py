"""What a run starts from: published files as their makers left them."""

import json

import pytest
import torch


@pytest.mark.parametrize("change", [{"optimizer": None, "best_jpe": None, "lr": [2.0, 2.0]}, {}])
def test_published_files_without_an_optimizer_state(trained, config_file, succeeds, tmp_path, change):
    """They score as they did, and training goes on from their epoch with a fresh optimizer, at the rates of there."""
    released, folder = tmp_path / "released.bin", tmp_path / "more"
    content = torch.load(trained[1] / "latest_epoch.bin", weights_only=True)
    kept = {"epoch": 2, "model": {f"module.{name}": value for name, value in content["model"].items()}}
    torch.save(kept | change, released)
    assert "epoch 2, best test mpjpe ?" in succeeds("--config", trained[0], "-e", str(released))

    changed = {"epochs": 3, "ema": 0, "lr_schedule": "exponential", "warmup_steps": 0, "lr_head": 1e-3, "lr_decay": 0.5}
    changed |= {"opt": "adamw", "lr_backbone": 1e-3}
    output = succeeds("--config", config_file(**changed), "-c", str(folder), "--resume", str(released))
    warned = [line for line in output.splitlines() if line.startswith("warning: ")]
    own = "no optimizer state in it; a fresh optimizer goes on after epoch 2, at learning rates 0.00025, 0.00025"
    own += " by the config, where the file has 2, 2" * bool(change)
    heads = "num_heads is 2 in the config; the file does not record it, its weights do not show it, and released models have 8"
    assert warned == [f"warning: {released}: {said}" for said in (heads, own)]
    after = torch.load(folder / "latest_epoch.bin", weights_only=True)
    assert after["epoch"] == 3
    assert json.loads((folder / "metrics.jsonl").read_text())["lr"] == [0.00025, 0.00025]
    steps = {int(state["step"]) for state in after["optimizer"]["state"].values()}
    assert steps == {after["step"]}  # none from before
