"""Two processes, started by torchrun, against one: the same numbers, files and messages."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.machine.processes import Processes
from tests.runs import logged

ROOT = Path(__file__).parent.parent
# float32 sums in another order; rates below are high, so that differences would grow.
WEIGHTS_WITHIN, METRICS_WITHIN = 2e-4, 1e-3


def start(*arguments: str) -> subprocess.Popen:
    """Start train_mesh.py by torchrun; one thread a process, as one process has here, so that sums are alike."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "train_mesh.py", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(*arguments: str) -> str:
    """Standard output of a run that has to succeed."""
    process = start(*arguments)
    output, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    return output


@pytest.fixture
def config(config_file) -> str:
    # 66 clips in batches of 8, the last of two: a batch that three processes could not all have a part of.
    return config_file(
        epochs=2, warmup_h36m=0, warmup_coco=1, limit_clips=66, batch_size=8, batch_size_img=13, dropout=0.0, flip=True,
        checkpoint_frequency=1, grad_accumulation=2, clip_grad_norm=100,
    )  # fmt: skip


def assert_same_weights(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        # Their true gradient is 0, for batch norm takes the mean away: AdamW makes steps of rounding alone.
        if not name.endswith(("head.fc1.bias", "head.fc2.bias", "running_mean")):
            torch.testing.assert_close(found[name], value, atol=WEIGHTS_WITHIN, rtol=WEIGHTS_WITHIN, msg=name)


def assert_same_run(found: Path, expected: Path) -> None:
    for line, other in zip(logged(found), logged(expected), strict=True):
        assert line.keys() == other.keys()
        for name in line.keys() - {"seconds"}:
            assert line[name] == pytest.approx(other[name], rel=METRICS_WITHIN, abs=METRICS_WITHIN), name
    files = [load_checkpoint(folder / "latest_epoch.bin") for folder in (found, expected)]
    assert files[0].keys() == files[1].keys()
    assert_same_weights(files[0]["model"], files[1]["model"])
    groups = [content["optimizer"]["param_groups"] for content in files]
    assert [group["params"] for group in groups[0]] == [group["params"] for group in groups[1]]


def test_same_run_as_one_process_and_goes_on_as_any_number(config, call, tmp_path):
    one, two, mixed = (tmp_path / name for name in ("one", "two", "mixed"))
    assert call("--config", config, "--checkpoint", str(one))[0] == 0
    output = run("--config", config, "--checkpoint", str(two))
    assert_same_run(two, one)
    # One writer, one voice.
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert output.count("epoch 1/2 |") == 1
    assert "2 processes of 1 threads" in output

    # The first epoch by one process, the second by two.
    mixed.mkdir()
    (mixed / "latest_epoch.bin").write_bytes((one / "epoch_0.bin").read_bytes())
    run("--config", config, "--checkpoint", str(mixed))
    assert_same_weights(*(load_checkpoint(folder / "latest_epoch.bin")["model"] for folder in (mixed, one)))

    # Scoring, with all rows kept.
    scores, rows = [], []
    for count in (1, 2):
        figures, predictions = tmp_path / f"{count}.json", tmp_path / f"{count}.npz"
        flags = ("--metrics_out", str(figures), "--predictions_out", str(predictions), "--fit", "keypoints")
        scored = ("--config", config, "--evaluate", str(one / "best_epoch.bin"), *flags)
        if count == 1:
            assert call(*scored)[0] == 0
        else:
            run(*scored)
        scores.append(json.loads(figures.read_text())["pw3d"])
        rows.append(dict(np.load(predictions)))
    # Who is fitted beside whom differs.
    fitted = [figures.pop("fitted") for figures in scores]
    assert_close(*reversed(fitted), within=1e-3)
    assert_close(scores[1], scores[0])
    for name, values in rows[0].items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(rows[1][name], values, rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            assert (rows[1][name] == values).all(), name


def assert_close(found, expected, within=1e-6) -> None:
    """Figures of JSON, however nested, equal but for the rounding of sums."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_close(found[key], expected[key], within)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, within)
    else:
        assert found == (pytest.approx(expected, rel=within, abs=within) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("what", ["stopped", "failed"])
def test_all_processes_end_together(what, config_file, tmp_path):
    config = config_file(epochs=1000, warmup_h36m=0, warmup_coco=0, mean_pose_baseline=False)
    process = start("--config", config, "--checkpoint", str(tmp_path / "run"))
    for line in process.stdout:
        if line.startswith("epoch 1/"):
            break
    if what == "stopped":
        process.send_signal(signal.SIGTERM)
    else:
        workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
        os.kill(int(workers.split()[-1]), signal.SIGKILL)
    _, error = process.communicate(timeout=100)
    assert process.returncode != 0
    if what == "stopped":
        assert error.count("latest_epoch.bin holds the place; the same command goes on from there") == 1
    else:
        assert "lost another one, which has failed" in error
    assert load_checkpoint(tmp_path / "run" / "latest_epoch.bin")["epoch"] >= 1


class TestShare:
    @pytest.mark.parametrize("count", [1, 2, 3, 8])
    @pytest.mark.parametrize("size", [0, 1, 5, 16])
    def test_shares_tile_the_batch(self, count, size):
        shares = [Processes(rank, count).share(10, 10 + size) for rank in range(count)]
        assert shares[0][0] == 10
        assert shares[-1][1] == 10 + size
        assert all(before[1] == after[0] for before, after in itertools.pairwise(shares))
        sizes = [stop - start for start, stop in shares]
        assert max(sizes) - min(sizes) <= 1
