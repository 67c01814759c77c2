"""The refiner's script as a user runs it: three rows an evaluation, any estimator's file, both rotation encodings."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.data.sources import load_dataset
from kinemesh.program.flags.training import REFINER

ROOT = Path(__file__).parent.parent


# As MB_demo_refine_any.yaml.
CAREFUL = {"refine_trust": "auto", "refine_feedback": True, "refine_augment": True}


@pytest.fixture
def config_file(refiner_config_file):
    return refiner_config_file


@pytest.fixture
def task():
    return REFINER


@pytest.fixture
def untrained(config_file, call, tmp_path):
    """Config and checkpoint of a refiner that has learnt nothing: it was trained with rates of 0."""
    config = config_file(lr_backbone=0, lr_head=0, weight_decay=0)
    status, _, error = call("--config", config, "-c", str(tmp_path / "run"), "--set", "limit_clips=8")
    assert status == 0, error
    return config, tmp_path / "run" / "best_epoch.bin"


def evaluate(call, tmp_path, config, checkpoint, *more) -> dict:
    out = tmp_path / "metrics.json"
    status, output, error = call("--config", config, "-e", str(checkpoint), "--metrics_out", str(out), *more)
    assert status == 0, error
    return json.loads(out.read_text()) | {"printed": output}


def test_untrained_refiner_returns_its_input_which_can_be_fitted(untrained, call, tmp_path):
    metrics = evaluate(call, tmp_path, *untrained, "--set", "flip=False", "--fit", "keypoints")
    for name in ("h36m", "pw3d"):
        rows = metrics[name]
        assert rows["refined"] == {key: rows[key] for key in rows["refined"]}
        for metric in ("mpjpe", "pa_mpjpe", "mpve", "accel_error"):
            assert rows["refined"][metric] == pytest.approx(rows["input"][metric], abs=0.02), (name, metric)
            mean, low, high = rows["difference"][metric]
            assert low <= mean <= high
            assert mean == pytest.approx(rows["refined"][metric] - rows["input"][metric], abs=1e-6)
        assert rows["fitted"]["pa_mpjpe"] < 0.9 * rows["input"]["pa_mpjpe"]
        assert f"{name}, fitted to keypoints" in metrics["printed"]


def test_training_prints_and_stores_three_rows(config_file, call, tmp_path):
    status, output, error = call("--config", config_file(), "-c", str(tmp_path / "run"))
    assert status == 0, error
    for row in ("input estimator", "refined", "difference"):
        assert output.count(f"pw3d, {row}") == 2  # after the epoch, and at the end
    assert re.search(r"pw3d, difference .*\[[+-][\d.]+, [+-][\d.]+\]", output)
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert set(line["refinement_pw3d"]) == {"input", "refined", "difference"}


def test_a_refiner_that_harms_says_so(config_file, call, tmp_path, untrained):
    content = torch.load(untrained[1], weights_only=True)
    content["model"]["head.head_pose.bias"] += 0.3
    torch.save(content, tmp_path / "worse.bin")
    metrics = evaluate(call, tmp_path, untrained[0], tmp_path / "worse.bin")
    assert metrics["pw3d"]["difference"]["mpjpe"][1] > 0
    assert re.search(r"warning: pw3d: refining makes the estimate worse: MPJPE [\d.]+ instead of", metrics["printed"])


def test_released_checkpoint_is_run_with_rows(untrained, call, tmp_path):
    content = torch.load(untrained[1], weights_only=True)
    state = {f"module.{name}": value for name, value in content["model"].items()}
    torch.save({"epoch": 1, "lr": [0, 0], "optimizer": {}, "model": state, "best_jpe": 1.0}, tmp_path / "released.bin")
    metrics = evaluate(call, tmp_path, untrained[0], tmp_path / "released.bin")
    assert "refine_rotation rows, as released checkpoints are, since it records none" in metrics["printed"]
    # Rows read as columns are another rotation altogether.
    assert metrics["pw3d"]["difference"]["pa_mpjpe"][0] > 50
    assert metrics["meta"]["config"]["refine_rotation"] == "rows"


def test_a_refiner_that_learnt_nothing_good_returns_its_input(config_file, call, tmp_path):
    """One epoch at rates that spoil it: epoch 0, the input, stays the best, chosen on training videos."""
    folder = tmp_path / "run"
    config = config_file(lr_backbone=0.3, lr_head=0.3, warmup_h36m=0, warmup_coco=0, **CAREFUL)
    status, output, error = call("--config", config, "-c", str(folder), "--set", "lr_schedule=exponential")
    assert status == 0, error
    assert "chosen on the pw3d held-out training videos" in output
    best = torch.load(folder / "best_epoch.bin", weights_only=True)
    assert best["epoch"] == 0
    assert not best["model"]["trust_percent"].any()
    metrics = evaluate(call, tmp_path, config, folder / "best_epoch.bin", "--set", "flip=False")
    for metric in ("mpjpe", "pa_mpjpe", "mpve", "accel_error"):
        assert metrics["pw3d"]["refined"][metric] == pytest.approx(metrics["pw3d"]["input"][metric], abs=0.02)


def test_two_epochs_from_scratch_on_small_files_do_not_harm(config_file, call, tmp_path):
    folder = tmp_path / "run"
    config = config_file(epochs=2, warmup_h36m=0, warmup_coco=0, **CAREFUL)
    status, _, error = call("--config", config, "-c", str(folder))
    assert status == 0, error
    metrics = evaluate(call, tmp_path, config, folder / "best_epoch.bin")
    for metric in ("mpjpe", "pa_mpjpe"):
        assert metrics["pw3d"]["refined"][metric] <= metrics["pw3d"]["input"][metric] + 0.02, metric


def truth_of(demo_folder, *splits: str) -> list[np.ndarray]:
    """Ground truth as predictions, an input without error: video, frame, poses, betas."""
    tables = []
    for name in ("h36m", "pw3d"):
        dataset = load_dataset(name, demo_folder / f"mesh_det_{name}.pkl")
        for split in (getattr(dataset, name) for name in splits):
            video, frame = split.locate(np.arange(split.frame_count))
            tables.append((video, frame, split.smpl_pose.numpy(), split.smpl_shape.numpy()))
    return [np.concatenate(column) for column in zip(*tables, strict=True)]


def test_predictions_file_serves_training_too(config_file, call, tmp_path, demo_folder):
    names = ("video", "frame", "poses", "betas")
    np.savez(tmp_path / "truth.npz", **dict(zip(names, truth_of(demo_folder, "train", "test"), strict=True)))
    # Files without an estimator's output of their own, and none for images.
    config = config_file(dt_file_h36m="mesh_det_h36m.pkl", dt_file_pw3d="mesh_det_pw3d.pkl", dt_file_coco=None)
    arguments = ("--config", config, "-c", str(tmp_path / "run"), "--predictions", str(tmp_path / "truth.npz"))
    status, output, error = call(*arguments, "--set", "limit_clips=8")
    assert status == 0, error
    row = re.search(r"pw3d, input estimator +64 +([\d.]+)", output)
    assert float(row[1]) < 0.1


def test_a_resumed_run_equals_an_unbroken_one(config_file, call, tmp_path):
    config = config_file(lr_schedule="exponential", warmup_h36m=2, warmup_coco=0)
    for folder, epochs in (("unbroken", 2), ("resumed", 1), ("resumed", 2)):
        more = ("--set", "limit_clips=16", "--set", f"epochs={epochs}")
        # Bit for bit is promised on a CPU.
        status, _, error = call("--config", config, "-c", str(tmp_path / folder), "--device", "cpu", *more)
        assert status == 0, error
    found, expected = (
        torch.load(tmp_path / name / "latest_epoch.bin", weights_only=True)["model"] for name in ("resumed", "unbroken")
    )
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_predictions_file_replaces_the_estimate(untrained, call, tmp_path, demo_folder):
    config, checkpoint = untrained
    video, frame, poses, betas = truth_of(demo_folder, "test")
    np.savez(tmp_path / "truth.npz", video=video, frame=frame, poses=poses, betas=betas)
    metrics = evaluate(
        call, tmp_path, config, checkpoint, "--predictions", str(tmp_path / "truth.npz"), "--set", "flip=False"
    )
    assert metrics["pw3d"]["input"]["mpve"] < 0.1
    assert metrics["pw3d"]["refined"]["mpjpe"] < 0.1

    # Every second frame of the first video left out: borrowed from a neighbour and not scored.
    kept = ~((video == video[-1]) & (frame % 2 == 1))
    np.savez(tmp_path / "part.npz", video=video[kept], frame=frame[kept], poses=poses[kept], betas=betas[kept])
    fewer = evaluate(call, tmp_path, config, checkpoint, "--predictions", str(tmp_path / "part.npz"))
    assert 0 < fewer["pw3d"]["frames"] < metrics["pw3d"]["frames"]


def test_own_predictions_can_be_refined(untrained, call, tmp_path):
    config, checkpoint = untrained
    out = tmp_path / "predictions.npz"
    first = evaluate(call, tmp_path, config, checkpoint, "--set", "flip=False", "--predictions_out", str(out))
    again = evaluate(call, tmp_path, config, checkpoint, "--set", "flip=False", "--predictions", str(out))
    assert again["pw3d"]["input"]["mpjpe"] == pytest.approx(first["pw3d"]["refined"]["mpjpe"], abs=0.02)


class TestMistakes:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"poses": lambda poses: poses * 57.3}, "radians"),
            ({"poses": lambda poses: poses * np.nan}, "finite"),
            ({"betas": lambda betas: betas[:-1]}, "betas"),
            ({"video": lambda video: np.char.add(video, "x")}, "video"),
            ({"fps": lambda _: 12.5}, "12.5"),
        ],
    )
    def test_wrong_predictions(self, untrained, call, tmp_path, change, message):
        config, checkpoint = untrained
        out = tmp_path / "predictions.npz"
        evaluate(call, tmp_path, config, checkpoint, "--set", "limit_clips=4", "--predictions_out", str(out))
        with np.load(out) as file:
            arrays = {name: file[name] for name in ("video", "frame", "poses", "betas", "dataset")}
        for name, edit in change.items():
            arrays[name] = edit(arrays.get(name))
        np.savez(out, **arrays)
        status, _, error = call("--config", config, "-e", str(checkpoint), "--predictions", str(out))
        assert status == 2
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert message in error.lower()

    def test_regressor_checkpoint(self, config_file, call, tmp_path):
        torch.save({"model": {"head.head_shape.weight": torch.zeros(1)}}, tmp_path / "x.bin")
        status, _, error = call("--config", config_file(), "-e", str(tmp_path / "x.bin"))
        assert status == 2
        assert "holds a regressor, expected a refiner. Use train_mesh.py" in error
