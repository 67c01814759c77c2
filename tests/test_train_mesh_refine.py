"""The refiner's script as a user runs it: three rows an evaluation, any estimator's file, both rotation encodings."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.data.sources import load_dataset
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REFINER
from tests.conftest import TINY_REFINER, write_tiny_config

ROOT = Path(__file__).parent.parent


# As MB_demo_refine_any.yaml.
CAREFUL = {"refine_trust": "auto", "refine_feedback": True, "refine_augment": True}


@pytest.fixture
def config_file(refiner_config_file):
    return refiner_config_file


@pytest.fixture
def program():
    return functools.partial(main, REFINER)


@pytest.fixture(scope="module")
def untrained(demo_folder, tmp_path_factory):
    """Config and checkpoint of a refiner that has learnt nothing: it was trained with rates of 0, once."""
    folder = tmp_path_factory.mktemp("untrained")
    changes = TINY_REFINER | {"lr_backbone": 0, "lr_head": 0, "weight_decay": 0}
    config = write_tiny_config(folder / "tiny.yaml", demo_folder, "MB_demo_refine_hybrik.yaml", changes)
    assert main(REFINER, ["--config", config, "-c", str(folder / "run"), "--set", "limit_clips=8"]) == 0
    return config, folder / "run" / "best_epoch.bin"


@pytest.fixture
def evaluate(succeeds, tmp_path):
    """The metrics of a checkpoint, and what was `printed`."""

    def run(config, checkpoint, *more) -> dict:
        out = tmp_path / "metrics.json"
        output = succeeds("--config", config, "-e", checkpoint, "--metrics_out", out, *more)
        return json.loads(out.read_text()) | {"printed": output}

    return run


def test_untrained_refiner_returns_its_input_which_can_be_fitted(untrained, evaluate):
    metrics = evaluate(*untrained, "--set", "flip=False", "--fit", "keypoints")
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


def test_training_prints_and_stores_three_rows(config_file, succeeds, tmp_path):
    output = succeeds("--config", config_file(), "-c", tmp_path)
    for row in ("input estimator", "refined", "difference"):
        assert output.count(f"pw3d, {row}") == 2  # after the epoch, and at the end
    assert re.search(r"pw3d, difference .*\[[+-][\d.]+, [+-][\d.]+\]", output)
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert set(line["refinement_pw3d"]) == {"input", "refined", "difference"}


def test_a_refiner_that_harms_says_so(evaluate, tmp_path, untrained):
    content = torch.load(untrained[1], weights_only=True)
    content["model"]["head.head_pose.bias"] += 0.3
    torch.save(content, tmp_path / "worse.bin")
    metrics = evaluate(untrained[0], tmp_path / "worse.bin")
    assert metrics["pw3d"]["difference"]["mpjpe"][1] > 0
    assert re.search(r"warning: pw3d: refining makes the estimate worse: MPJPE [\d.]+ instead of", metrics["printed"])


def test_released_checkpoint_is_run_with_rows(untrained, evaluate, tmp_path):
    content = torch.load(untrained[1], weights_only=True)
    state = {f"module.{name}": value for name, value in content["model"].items()}
    torch.save({"epoch": 1, "lr": [0, 0], "optimizer": {}, "model": state, "best_jpe": 1.0}, tmp_path / "released.bin")
    metrics = evaluate(untrained[0], tmp_path / "released.bin")
    assert "refine_rotation rows, as released checkpoints are, since it records none" in metrics["printed"]
    # Rows read as columns are another rotation altogether.
    assert metrics["pw3d"]["difference"]["pa_mpjpe"][0] > 50
    assert metrics["meta"]["config"]["refine_rotation"] == "rows"


def test_a_refiner_that_learnt_nothing_good_returns_its_input(config_file, succeeds, evaluate, tmp_path):
    """One epoch at rates that spoil it: epoch 0, the input, stays the best, chosen on training videos."""
    config = config_file(lr_backbone=0.3, lr_head=0.3, warmup_h36m=0, warmup_coco=0, **CAREFUL)
    output = succeeds("--config", config, "-c", tmp_path / "run", "--set", "lr_schedule=exponential")
    assert "chosen on the pw3d held-out training videos" in output
    best = torch.load(tmp_path / "run/best_epoch.bin", weights_only=True)
    assert best["epoch"] == 0
    assert not best["model"]["trust_percent"].any()
    rows = evaluate(config, tmp_path / "run/best_epoch.bin", "--set", "flip=False")["pw3d"]
    for metric in ("mpjpe", "pa_mpjpe", "mpve", "accel_error"):
        assert rows["refined"][metric] == pytest.approx(rows["input"][metric], abs=0.02)


def test_two_epochs_from_scratch_on_small_files_do_not_harm(config_file, succeeds, evaluate, tmp_path):
    config = config_file(epochs=2, warmup_h36m=0, warmup_coco=0, **CAREFUL)
    succeeds("--config", config, "-c", tmp_path / "run")
    rows = evaluate(config, tmp_path / "run/best_epoch.bin")["pw3d"]
    for metric in ("mpjpe", "pa_mpjpe"):
        assert rows["refined"][metric] <= rows["input"][metric] + 0.02, metric


def truth_of(demo_folder, *splits: str) -> dict[str, np.ndarray]:
    """Ground truth as predictions, an input without error."""
    tables = []
    for name in ("h36m", "pw3d"):
        dataset = load_dataset(name, demo_folder / f"mesh_det_{name}.pkl")
        for split in (getattr(dataset, name) for name in splits):
            video, frame = split.locate(np.arange(split.frame_count))
            tables.append((video, frame, split.smpl_pose.numpy(), split.smpl_shape.numpy()))
    columns = (np.concatenate(column) for column in zip(*tables, strict=True))
    return dict(zip(("video", "frame", "poses", "betas"), columns, strict=True))


def test_predictions_file_serves_training_too(config_file, succeeds, tmp_path, demo_folder):
    np.savez(tmp_path / "truth.npz", **truth_of(demo_folder, "train", "test"))
    # Files without an estimator's output of their own, and none for images.
    config = config_file(dt_file_h36m="mesh_det_h36m.pkl", dt_file_pw3d="mesh_det_pw3d.pkl", dt_file_coco=None)
    arguments = ("--config", config, "-c", tmp_path / "run", "--predictions", tmp_path / "truth.npz")
    output = succeeds(*arguments, "--set", "limit_clips=8")
    assert float(re.search(r"pw3d, input estimator +64 +([\d.]+)", output)[1]) < 0.1


def test_a_resumed_run_equals_an_unbroken_one(config_file, succeeds, tmp_path):
    config = config_file(lr_schedule="exponential", warmup_h36m=2, warmup_coco=0, limit_clips=16)
    for folder, epochs in (("unbroken", 2), ("resumed", 1), ("resumed", 2)):
        # Bit for bit is promised on a CPU.
        succeeds("--config", config, "-c", tmp_path / folder, "--device", "cpu", "--set", f"epochs={epochs}")
    found, expected = (
        torch.load(tmp_path / name / "latest_epoch.bin", weights_only=True)["model"] for name in ("resumed", "unbroken")
    )
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_predictions_file_replaces_the_estimate(untrained, evaluate, tmp_path, demo_folder):
    truth = truth_of(demo_folder, "test")
    np.savez(tmp_path / "truth.npz", **truth)
    metrics = evaluate(*untrained, "--predictions", tmp_path / "truth.npz", "--set", "flip=False")
    assert metrics["pw3d"]["input"]["mpve"] < 0.1
    assert metrics["pw3d"]["refined"]["mpjpe"] < 0.1

    # Every second frame of the last video left out: borrowed from a neighbour and not scored.
    kept = ~((truth["video"] == truth["video"][-1]) & (truth["frame"] % 2 == 1))
    np.savez(tmp_path / "part.npz", **{name: values[kept] for name, values in truth.items()})
    fewer = evaluate(*untrained, "--predictions", tmp_path / "part.npz")
    assert 0 < fewer["pw3d"]["frames"] < metrics["pw3d"]["frames"]


def test_own_predictions_can_be_refined(untrained, evaluate, tmp_path):
    out = tmp_path / "predictions.npz"
    first = evaluate(*untrained, "--set", "flip=False", "--predictions_out", out)
    again = evaluate(*untrained, "--set", "flip=False", "--predictions", out)
    assert again["pw3d"]["input"]["mpjpe"] == pytest.approx(first["pw3d"]["refined"]["mpjpe"], abs=0.02)


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("poses", lambda poses: poses * 57.3, "radians"),
        ("poses", lambda poses: poses * np.nan, "finite"),
        ("betas", lambda betas: betas[:-1], "betas"),
        ("video", lambda video: np.char.add(video, "x"), "video"),
        ("fps", lambda _: 12.5, "12.5"),
    ],
)
def test_wrong_predictions_are_one_line(untrained, fails, demo_folder, tmp_path, name, edit, message):
    config, checkpoint = untrained
    truth = truth_of(demo_folder, "test")
    np.savez(tmp_path / "wrong.npz", **truth | {name: edit(truth.get(name))})
    error = fails("--config", config, "-e", checkpoint, "--predictions", tmp_path / "wrong.npz")
    assert message in error.lower().replace(str(tmp_path), "")


def test_a_regressors_checkpoint_is_told_from_a_refiners(config_file, fails, tmp_path):
    torch.save({"model": {"head.head_shape.weight": torch.zeros(1)}}, tmp_path / "x.bin")
    error = fails("--config", config_file(), "-e", tmp_path / "x.bin")
    assert "holds a regressor, expected a refiner. Use train_mesh.py" in error
