"""The script as a user runs it: train, resume, evaluate, finetune, and everything a user can get wrong."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lib.arguments import main
from train_mesh import REGRESSOR

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config_file(demo_folder, tmp_path):
    """Writes a config of a tiny model on the small demo data; keyword arguments change keys."""

    def write(**changes) -> str:
        values = yaml.safe_load((ROOT / "configs/mesh/MB_demo.yaml").read_text())
        values |= {
            "data_root": str(demo_folder), "epochs": 2, "warmup_h36m": 2, "warmup_coco": 2, "batch_size": 8,
            "batch_size_img": 64, "dim_feat": 16, "dim_rep": 16, "depth": 1, "num_heads": 2, "hidden_dim": 24,
            "clip_len": 8, "dropout": 0.1,
        }  # fmt: skip
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return str(path)

    return write


def run_script(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train_mesh.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder or ROOT, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def call(capsys):
    """Runs the script's main in this process: (status, standard output, standard error)."""

    def _call(*arguments: str):
        status = main(REGRESSOR, arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _call


@pytest.fixture
def trained(config_file, call, tmp_path):
    """Config and checkpoint folder of a finished run."""
    config, folder = config_file(), tmp_path / "run"
    status, _, error = call("--config", config, "--checkpoint", str(folder))
    assert status == 0, error
    return config, folder


def weights(path: Path) -> dict:
    content = torch.load(path, weights_only=True)
    return content["model"] | {
        f"training.{name}": value for name, value in content.get("model_in_training", {}).items()
    }


def test_train_and_evaluate_from_a_shell(config_file, tmp_path):
    config, folder = config_file(), tmp_path / "run"
    trained = run_script("--config", config, "--checkpoint", str(folder), "-freq", "2")
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"epoch 2/2 \| train loss [\d.]+ mpjpe\(17\) [\d.]+ \| h36m test mpjpe", trained.stdout)
    assert "chosen on the test split" in trained.stdout
    assert "train_mpve is sampled every 2 steps" in trained.stdout
    assert "constant mean body" in trained.stdout
    names = {path.name for path in folder.iterdir()}
    assert names == {"latest_epoch.bin", "best_epoch.bin", "metrics.jsonl", "logs", "log.txt", "tiny.yaml"}

    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    wanted = {"train_loss", "train_mpjpe", "train_mpve", "train_loss/loss_pose", "test_loss", "test_mpjpe", "test_pa_mpjpe",
              "test_mpve", "test_loss_pw3d", "test_mpjpe_pw3d", "test_pa_mpjpe_pw3d", "test_mpve_pw3d",
              "test_loss_pw3d/loss_norm"}  # fmt: skip
    assert wanted <= set(lines[0])

    metrics_file, predictions_file = tmp_path / "metrics.json", tmp_path / "predictions.npz"
    evaluated = run_script(
        "--config", config, "--evaluate", str(folder / "best_epoch.bin"),
        "--metrics_out", str(metrics_file), "--predictions_out", str(predictions_file),
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads(metrics_file.read_text())
    best = min(lines, key=lambda line: line["test_mpjpe_pw3d"])
    assert metrics["pw3d"]["mpjpe"] == pytest.approx(best["test_mpjpe_pw3d"], rel=1e-6)
    assert metrics["pw3d"]["mpve"] == pytest.approx(best["test_mpve_pw3d"], rel=1e-6)
    # The table after training shows the same: what best_epoch.bin scores.
    assert re.findall(r"^pw3d .*", trained.stdout, re.M) == re.findall(r"^pw3d .*", evaluated.stdout, re.M)
    assert re.findall(r"^h36m .*", trained.stdout, re.M) == re.findall(r"^h36m .*", evaluated.stdout, re.M)
    assert metrics["pw3d"]["protocol"] == "motionbert"
    assert metrics["pw3d"]["loss_3d_pos"] > 0
    assert metrics["meta"]["seed"] == 0
    assert metrics["meta"]["config"]["dim_feat"] == 16

    with np.load(predictions_file) as file:
        rows = {name: file[name] for name in file.files}
    of_pw3d = rows["dataset"] == "pw3d"
    assert rows["mpjpe_mm"][of_pw3d].mean() == pytest.approx(metrics["pw3d"]["mpjpe"], rel=1e-5)
    assert rows["poses"].shape == (len(of_pw3d), 72)
    assert {
        "video",
        "frame",
        "betas",
        "joints_mm",
        "pa_mpjpe_mm",
        "mpve_mm",
        "poses_mirrored",
        "betas_mirrored",
    } <= set(rows)


def test_tensorboard_scalars(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained[1] / "logs"))
    events.Reload()
    assert [point.step for point in events.Scalars("test_mpjpe_pw3d")] == [1, 2]
    assert {"train_loss", "train_mpjpe", "train_mpve", "test_mpjpe", "train_loss/loss_shape"} <= set(
        events.Tags()["scalars"]
    )


def test_a_killed_run_goes_on_to_the_same_weights(config_file, call, tmp_path):
    config = config_file(epochs=3, warmup_h36m=3)
    assert call("--config", config, "--checkpoint", str(tmp_path / "unbroken"))[0] == 0
    folder = tmp_path / "killed"
    command = [sys.executable, str(ROOT / "train_mesh.py"), "--config", config, "--checkpoint", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (folder / "latest_epoch.bin").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = torch.load(folder / "latest_epoch.bin", weights_only=True)["epoch"]
    assert 1 <= done < 3
    status, output, _ = call("--config", config, "--checkpoint", str(folder))
    assert status == 0
    assert f"going on after epoch {done}" in output
    resumed, unbroken = weights(folder / "latest_epoch.bin"), weights(tmp_path / "unbroken" / "latest_epoch.bin")
    assert resumed.keys() == unbroken.keys()
    for name, value in unbroken.items():
        assert torch.equal(resumed[name], value), name
    lines = [(folder / "metrics.jsonl").read_text(), (tmp_path / "unbroken" / "metrics.jsonl").read_text()]
    records = [[json.loads(line) | {"seconds": 0} for line in text.splitlines()] for text in lines]
    assert records[0] == records[1]


def test_finished_run_says_so(trained, call):
    config, folder = trained
    status, _, error = call("--config", config, "--checkpoint", str(folder))
    assert status == 2
    assert "already trained for 2 of 2 epochs" in error


def test_released_checkpoint_evaluates_to_the_same_numbers(trained, call, tmp_path):
    config, folder = trained
    content = torch.load(folder / "best_epoch.bin", weights_only=True)
    state = {f"module.{name}": value for name, value in content["model"].items()}
    state |= {"module.head.smpl.betas": torch.zeros(64, 10), "module.head.smpl.faces_tensor": torch.zeros(5, 3).long()}
    released = {
        "epoch": 2,
        "lr": [1e-4, 1e-4],
        "optimizer": content["optimizer"],
        "model": state,
        "best_jpe": np.float64(1),
    }
    torch.save(released, tmp_path / "released.bin")
    results = []
    for name in (folder / "best_epoch.bin", tmp_path / "released.bin"):
        assert call("--config", config, "--evaluate", str(name), "--metrics_out", str(tmp_path / "m.json"))[0] == 0
        results.append(json.loads((tmp_path / "m.json").read_text())["pw3d"])
    assert results[0] == results[1]


def test_finetune_reads_the_pretrained_backbone(trained, config_file, call, tmp_path):
    backbone = {
        name.replace("backbone.", "module."): value
        for name, value in torch.load(trained[1] / "best_epoch.bin", weights_only=True)["model"].items()
        if name.startswith("backbone.")
    }
    torch.save({"epoch": 0, "model_pos": backbone}, tmp_path / "latest_epoch.bin")
    config = config_file(finetune=True, epochs=1, partial_train=["ts_attn"])
    status, output, error = call("--config", config, "-c", str(tmp_path / "ft"), "--pretrained", str(tmp_path))
    assert status == 0, error
    assert f"{len(backbone)} of {len(backbone)} backbone tensors loaded" in output
    after = weights(tmp_path / "ft" / "latest_epoch.bin")
    assert torch.equal(after["backbone.joints_embed.weight"], backbone["module.joints_embed.weight"])
    assert not torch.equal(after["backbone.ts_attn.0.weight"], backbone["module.ts_attn.0.weight"])


def test_resume_flag_goes_on_in_another_folder(trained, config_file, call, tmp_path):
    config = config_file(epochs=3)
    status, output, error = call(
        "--config", config, "-c", str(tmp_path / "more"), "--resume", str(trained[1] / "latest_epoch.bin")
    )
    assert status == 0, error
    assert "going on after epoch 2" in output
    assert torch.load(tmp_path / "more" / "latest_epoch.bin", weights_only=True)["epoch"] == 3


def test_dry_run_of_few_clips(config_file, call, tmp_path):
    config = config_file()
    status, output, error = call(
        "--config", config, "-c", str(tmp_path / "dry"), "--set", "limit_clips=4", "--set", "epochs=1"
    )
    assert status == 0, error
    assert re.search(r"pw3d +32 ", output)


class TestMistakes:
    def one_line(self, result, *parts: str):
        status, _, error = result
        assert status == 2
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        for part in parts:
            assert part in error

    def test_flags(self, call):
        self.one_line(call("--confg", "x"), "unrecognized arguments: --confg", "--help")
        self.one_line(call("--config", "none.yaml"), "none.yaml not found")
        self.one_line(call("--print_freq", "0"), "--print_freq 0: expected 1 or more")
        self.one_line(call("--seed", "-1"), "--seed -1: expected 0 to")
        self.one_line(call("--seed", "x"), "invalid int value: 'x'")
        self.one_line(call("--predictions_out", "x.npz"), "works with --evaluate only")
        self.one_line(call("-e", "x", "--predictions_out", "x.pkl"), "expected a name ending in .npz")

    def test_device(self, call, config_file):
        self.one_line(call("--config", config_file(), "--device", "tpu"), "expected auto, cpu, cuda or cuda:N")

    def test_config(self, call, config_file):
        self.one_line(
            call("--config", config_file(lr_backbon=1)),
            "tiny.yaml: unknown key 'lr_backbon'. Did you mean 'lr_backbone'?",
        )
        self.one_line(call("--config", config_file(), "--set", "epochs=x"), "--set epochs=x: epochs is 'x'")

    def test_no_dataset(self, call, config_file, tmp_path):
        config = config_file(dt_file_h36m=None, dt_file_coco=None, dt_file_pw3d=None, train_pw3d=False)
        self.one_line(call("--config", config, "-c", str(tmp_path / "c")), "no dataset")

    def test_files(self, call, config_file, tmp_path):
        self.one_line(call("--config", config_file(data_root=str(tmp_path))), "SMPL_NEUTRAL.pkl not found", "data_root")
        self.one_line(call("--config", config_file(dt_file_h36m="none.pkl"), "-c", str(tmp_path / "c")), "none.pkl")
        self.one_line(
            call("--config", config_file(dt_file_h36m="SMPL_NEUTRAL.pkl"), "-c", str(tmp_path / "c")),
            "SMPL_NEUTRAL.pkl",
        )
        config = config_file(finetune=True)
        self.one_line(
            call("--config", config, "-p", str(tmp_path), "-c", str(tmp_path / "c")), "latest_epoch.bin not found"
        )
        assert not (tmp_path / "c").exists()

    def test_checkpoints(self, call, trained, config_file):
        checkpoint = str(trained[1] / "best_epoch.bin")
        self.one_line(call("--config", config_file(), "-e", "none.bin"), "none.bin not found")
        self.one_line(call("--config", config_file(), "-e", config_file()), "is not a PyTorch checkpoint")
        larger = config_file(dim_feat=32)
        self.one_line(call("--config", larger, "-e", checkpoint), "does not fit", "dim_feat: 16 (config: 32)")
        self.one_line(call("--config", larger, "-c", str(trained[1])), "does not fit", "dim_feat: 16 (config: 32)")

    def test_unwritable_folder(self, call, config_file, tmp_path):
        (tmp_path / "file").write_text("")
        self.one_line(call("--config", config_file(), "-c", str(tmp_path / "file" / "run")), "cannot be written")

    def test_one_training_clip(self, call, config_file, tmp_path):
        result = call("--config", config_file(), "-c", str(tmp_path / "c"), "--set", "limit_clips=1")
        self.one_line(result, "one clip to train on")

    def test_from_a_shell_without_traceback(self, tmp_path):
        result = run_script("--config", "none.yaml")
        assert result.returncode == 2
        assert result.stderr.startswith("error: none.yaml not found")
        assert "Traceback" not in result.stderr


def test_help_shows_examples():
    result = run_script("--help")
    assert result.returncode == 0
    assert "--config configs/mesh/MB_train_pw3d.yaml --checkpoint checkpoint/mesh/MB_train_pw3d" in result.stdout
    for flag in (
        "--pretrained",
        "--resume",
        "--evaluate",
        "--print_freq",
        "--selection",
        "--seed",
        "--set",
        "--device",
    ):
        assert flag in result.stdout
