"""The script as it is stopped: by Ctrl-C, by a cluster, by a power cut, by a second one in the same folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from kinemesh.program.origin import say_what_changed
from tests.runs import ROOT, logged, run_python

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
# Bit for bit the same is promised on a CPU.
OPTIONS = ("--device", "cpu", "-freq", "1")


def start_and_wait_for(line: str, config: str, folder: Path) -> subprocess.Popen:
    """A training run in a process of its own, once it has printed a line that starts so."""
    command = [sys.executable, str(ROOT / "train_mesh.py"), *OPTIONS, "--config", config, "-c", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for printed in process.stdout:
        if printed.startswith(line):
            return process
    raise AssertionError(f"ended before {line!r}: {process.communicate()[1]}")


def test_a_run_that_a_cluster_stops_ends_as_one_in_another_process(config_file, succeeds, fails, tmp_path):
    config = config_file(deterministic=True, ema=0.9, limit_clips=32, batch_size_img=8, mean_pose_baseline=False)
    try:
        succeeds("--config", config, "-c", str(tmp_path / "unbroken"), *OPTIONS)
        folder = tmp_path / "stopped"
        process = start_and_wait_for("epoch 1 h36m: 1 of", config, folder)
        refused = fails("--config", config, "-c", str(folder), *OPTIONS)
        assert f"another run writes here (process {process.pid} on " in refused
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=300)
        assert process.returncode == 143
        assert error.startswith("stopped")
        holds = f"{folder}/latest_epoch.bin holds the place; the same command goes on from there: python train_mesh"
        assert holds in error
        output = succeeds("--config", config, "-c", str(folder), *OPTIONS)
        assert "going on after epoch" in output
        assert "written with" not in output  # same code, same data
    finally:
        torch.use_deterministic_algorithms(False)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    ours, theirs = (
        torch.load(tmp_path / name / "latest_epoch.bin", weights_only=True) for name in ("stopped", "unbroken")
    )
    for part in ("model", "model_in_training"):
        for name, value in theirs[part].items():
            assert torch.equal(ours[part][name], value), (part, name)
    assert (ours["best_jpe"], ours["step"]) == (theirs["best_jpe"], theirs["step"])
    ours, theirs = ([line | {"seconds": 0} for line in logged(tmp_path / name)] for name in ("stopped", "unbroken"))
    assert ours == theirs


def test_killed_at_random_times_a_run_ends_as_the_unbroken_one(config_file, tmp_path):
    config = config_file(limit_clips=24, warmup_coco=1, mean_pose_baseline=False)
    command = ["-m", "tools.kill_and_resume", "--config", config, "--folder", tmp_path / "runs"]
    options = ["--kills", "3", "--within", "2", "--set", "ema=0.9", "--set", "grad_accumulation=2"]
    result = run_python(*command, *options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3 kills survived")


def test_other_data_or_versions_are_said_on_resuming(caplog):
    now = {"seed": 1, "versions": {"torch": "2.0", "numpy": "2.0"}, "files": {"a.pkl": "12:ab", "new.pkl": "1:c"}}
    before = {"seed": 0, "versions": {"torch": "1.0", "numpy": "2.0"}, "files": {"a.pkl": "12:ff"}}
    say_what_changed(before, now, Path("x.bin"))
    # Each once, however many handlers the other tests have left.
    assert list(dict.fromkeys(record.message for record in caplog.records)) == [
        "x.bin was written with torch 1.0, now it is 2.0",
        "x.bin was written with a.pkl 12:ff, now it is 12:ab",
        "x.bin was written with seed 0, now it is 1",
    ]
    caplog.clear()
    say_what_changed(now, now, Path("x.bin"))
    say_what_changed(None, now, Path("x.bin"))  # a released checkpoint
    assert not caplog.records
