"""The script as a user runs it: train, resume, evaluate, finetune, and everything a user can get wrong."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.infer import MeshPredictor
from tests.runs import ROOT, logged, run_python


def weights(path: Path) -> dict:
    content = torch.load(path, weights_only=True)
    in_training = content.get("model_in_training", {})
    return content["model"] | {f"training.{name}": value for name, value in in_training.items()}


def test_train_and_evaluate_from_a_shell(config_file, tmp_path):
    config, folder = config_file(), tmp_path / "run"
    trained = run_python("train_mesh.py", "--config", config, "--checkpoint", folder, "-freq", "2")
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"epoch 2/2 \| train loss [\d.]+ mpjpe\(17\) [\d.]+ \| h36m test ", trained.stdout)
    # H36M is scored right after it was trained on, as released: not what the epoch ends with.
    assert re.findall(r"h36m test \(before this epoch's coco and pw3d\) mpjpe", trained.stdout)
    assert re.findall(r"\| pw3d test mpjpe", trained.stdout)
    assert "best_epoch.bin is chosen on the pw3d test split, as released" in trained.stdout
    assert "train_mpve is sampled every 2 steps" in trained.stdout
    assert "constant mean body" in trained.stdout
    written = {"latest_epoch.bin", "best_epoch.bin", "metrics.jsonl", "logs", "log.txt", "run.lock", "tiny.yaml"}
    assert set(os.listdir(folder)) == written

    lines = logged(folder)
    assert [line["epoch"] for line in lines] == [1, 2]
    wanted = {"train_loss", "train_mpjpe", "train_mpve", "train_loss/loss_pose", "test_loss", "test_mpjpe", "test_pa_mpjpe",
              "test_mpve", "test_loss_pw3d", "test_mpjpe_pw3d", "test_pa_mpjpe_pw3d", "test_mpve_pw3d",
              "test_loss_pw3d/loss_norm"}  # fmt: skip
    assert wanted <= set(lines[0])

    metrics_file, predictions_file = tmp_path / "metrics.json", tmp_path / "predictions.npz"
    evaluated = run_python(
        "train_mesh.py", "--config", config, "--evaluate", folder / "best_epoch.bin",
        "--metrics_out", metrics_file, "--predictions_out", predictions_file,
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    metrics = json.loads(metrics_file.read_text())
    best = min(lines, key=lambda line: line["test_mpjpe_pw3d"])
    assert metrics["pw3d"]["mpjpe"] == pytest.approx(best["test_mpjpe_pw3d"], rel=1e-6)
    assert metrics["pw3d"]["mpve"] == pytest.approx(best["test_mpve_pw3d"], rel=1e-6)
    # The table after training shows the same: what best_epoch.bin scores.
    for rows in ("^pw3d .*", "^h36m .*"):
        assert re.findall(rows, trained.stdout, re.M) == re.findall(rows, evaluated.stdout, re.M)
    assert metrics["pw3d"]["protocol"] == "motionbert"
    assert metrics["pw3d"]["loss_3d_pos"] > 0
    checkpoint = torch.load(folder / "latest_epoch.bin", weights_only=True)
    for meta in (metrics["meta"], checkpoint["origin"] | {"config": checkpoint["config"]}):
        assert meta["seed"] == 0
        assert meta["config"]["dim_feat"] == 16
        assert meta["protocols"] == ["motionbert"]
        assert meta["versions"]["torch"] == torch.__version__
        assert meta["command"].startswith("python train_mesh.py --config")
        assert "git_revision" in meta
        wanted = {"SMPL_NEUTRAL.pkl", "J_regressor_h36m_correct.npy", "smpl_mean_params.npz", "mesh_det_pw3d.pkl"}
        assert wanted <= meta["files"].keys()
    assert "best_epoch.bin" in metrics["meta"]["files"]

    with np.load(predictions_file) as file:
        rows = {name: file[name] for name in file.files}
    of_pw3d = rows["dataset"] == "pw3d"
    assert rows["mpjpe_mm"][of_pw3d].mean() == pytest.approx(metrics["pw3d"]["mpjpe"], rel=1e-5)
    assert rows["poses"].shape == (len(of_pw3d), 72)
    wanted = {"video", "frame", "betas", "joints_mm", "pa_mpjpe_mm", "mpve_mm", "poses_mirrored", "betas_mirrored"}
    assert wanted <= set(rows)


def test_tensorboard_scalars(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained[1] / "logs"))
    events.Reload()
    assert [point.step for point in events.Scalars("test_mpjpe_pw3d")] == [1, 2]
    wanted = {"train_loss", "train_mpjpe", "train_mpve", "test_mpjpe", "train_loss/loss_shape"}
    assert wanted <= set(events.Tags()["scalars"])


def test_finished_run_says_so(trained, fails):
    assert "already trained for 2 of 2 epochs" in fails("--config", trained[0], "--checkpoint", trained[1])


def test_released_checkpoint_evaluates_to_the_same_numbers(trained, succeeds, tmp_path):
    config, folder = trained
    content = torch.load(folder / "best_epoch.bin", weights_only=True)
    state = {f"module.{name}": value for name, value in content["model"].items()}
    state |= {"module.head.smpl.betas": torch.zeros(64, 10), "module.head.smpl.faces_tensor": torch.zeros(5, 3).long()}
    released = {"epoch": 2, "lr": [1e-4, 1e-4], "optimizer": content["optimizer"], "model": state}
    torch.save(released | {"best_jpe": np.float64(1)}, tmp_path / "released.bin")
    results = []
    for path in (folder / "best_epoch.bin", tmp_path / "released.bin"):
        succeeds("--config", config, "--evaluate", path, "--metrics_out", tmp_path / "m.json")
        results.append(json.loads((tmp_path / "m.json").read_text())["pw3d"])
    assert [result.pop("selected_on") for result in results] == [
        "pw3d test split",
        "unknown (released checkpoints were selected on the test split)",
    ]
    assert results[0] == results[1]


def test_protocols_and_tables(trained, succeeds, tmp_path):
    config, folder = trained
    rules = {
        "motionbert": ("released", "released"), "vibe_tcmr": ("all_frames", "none"), "wham": ("all_frames", "rotations"),
        "pmce": ("all_frames", "none"), "smpl24": ("all_frames", "rotations"),
    }  # fmt: skip
    flags = [flag for name in rules for flag in ("--protocol", name)]
    out = tmp_path / "m.json"
    output = succeeds("--config", config, "-e", folder / "best_epoch.bin", "--metrics_out", out, *flags)
    assert "checkpoint selected on: pw3d test split" in output
    first = json.loads(out.read_text())["pw3d"]
    by_protocol = {"motionbert": first, **first["protocols"]}
    assert list(by_protocol) == list(rules)
    for name, found in by_protocol.items():
        assert f"protocol {name}: " in output
        assert (found["protocol"], found["selected_on"]) == (name, "pw3d test split")
        assert (found["clips"], found["flip"]) == rules[name]
        assert 0 < found["coverage"] <= 1
        assert found["accel_error_m_s2"] == pytest.approx(found["accel_error"] * 30**2 / 1000)
        low, high = found["intervals"]["mpjpe"]
        assert low <= found["mpjpe"] <= high
        assert sum(row["frames"] for row in found["by_video"]) == found["frames"]
        weighted = sum(row["frames"] * row["mpve"] for row in found["by_video"]) / found["frames"]
        assert weighted == pytest.approx(found["mpve"], rel=1e-9)
        assert sum(row["frames"] for row in found["by_action"].values()) == found["frames"]
        assert len(found["by_joint"]["mpjpe"]) == (24 if name == "smpl24" else 17)
        assert len(found["by_joint"]["joint_angle_error"]) == 24
    assert len({(found["mpjpe"], found["mpve"], found["accel_error"]) for found in by_protocol.values()}) == len(rules)


def test_fitted_bodies_are_scored_beside_unfitted_ones(demo_folder, succeeds, tmp_path):
    """Under every protocol asked for, in table, JSON and report; all other figures are those without --fit."""
    flags = [
        "--config", ROOT / "configs/mesh/MB_demo.yaml", "--set", f"data_root={demo_folder}", "--set", "dt_file_h36m=null",
        "-e", CHECKPOINT_PATH, "--protocol", "motionbert", "--protocol", "pmce", "--metrics_out", tmp_path / "m.json",
    ]  # fmt: skip
    found = {}
    for fit, more, row_count in (("none", (), 0), ("keypoints", ("--report", tmp_path), 4)):
        output = succeeds(*flags, "--fit", fit, *more)
        found[fit] = json.loads((tmp_path / "m.json").read_text())["pw3d"]
        assert len(re.findall("^pw3d, (?:fitted|difference of the fit)", output, re.M)) == row_count
    assert "fitted to keypoints" in (tmp_path / "report.html").read_text()
    first, expected = found["keypoints"], found["none"]
    for figures in (first, first["protocols"]["pmce"]):
        fitted = figures.pop("fitted")
        assert fitted["pa_mpjpe"] < 0.9 * figures["pa_mpjpe"]
        assert fitted["reprojection_error_after_px"] < 0.7 * fitted["reprojection_error_before_px"]
        mean, low, high = fitted["difference"]["mpve"]
        assert low <= mean <= high
        assert mean == pytest.approx(fitted["mpve"] - figures["mpve"])
        assert fitted["frames"] == figures["frames"] == sum(row["frames"] for row in fitted["by_video"])
    assert first == expected


def test_best_epoch_can_be_chosen_on_held_out_training_videos(config_file, succeeds, fails, tmp_path):
    run = ("--config", config_file(val_split=0.25, epochs=1), "--checkpoint", tmp_path)
    output = succeeds(*run)
    assert re.search(r"pw3d: \d+ of \d+ training videos held out \(val_split 0.25\)", output)
    assert "best_epoch.bin is chosen on the pw3d held-out training videos;" in output
    assert re.search(r"epoch 1/1 .* h36m test .* pw3d val mpjpe", output)
    assert "checkpoint selected on: pw3d held-out training videos" in output
    assert re.search(r"^pw3d +96 ", output, re.M)  # the table at the end is of the test split
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    content = torch.load(tmp_path / "best_epoch.bin", weights_only=True)
    assert content["best_jpe"] == pytest.approx(line["val_mpjpe_pw3d"])
    assert content["selected_on"] == "pw3d held-out training videos"
    error = fails(*run, "--set", "val_split=0", "--set", "epochs=2")
    assert "chosen on the pw3d held-out training videos" in error and "Set val_split and the datasets" in error


def test_finetune_reads_the_pretrained_backbone(trained, config_file, succeeds, tmp_path):
    whole = torch.load(trained[1] / "best_epoch.bin", weights_only=True)["model"]
    backbone = {name.replace("backbone.", "module."): whole[name] for name in whole if name.startswith("backbone.")}
    torch.save({"epoch": 0, "model_pos": backbone}, tmp_path / "latest_epoch.bin")
    config = config_file(finetune=True, epochs=1, partial_train=["ts_attn"])
    output = succeeds("--config", config, "-c", tmp_path / "ft", "--pretrained", tmp_path)
    assert f"{len(backbone)} of {len(backbone)} backbone tensors loaded" in output
    after = weights(tmp_path / "ft" / "latest_epoch.bin")
    assert torch.equal(after["backbone.joints_embed.weight"], backbone["module.joints_embed.weight"])
    assert not torch.equal(after["backbone.ts_attn.0.weight"], backbone["module.ts_attn.0.weight"])


def test_finetune_takes_a_whole_model_and_infers_as_one_of_its_own_clips(trained, config_file, succeeds, tmp_path):
    config = config_file(finetune=True, epochs=1)
    source = ("--pretrained", str(trained[1]), "--selection", "best_epoch.bin")
    output = succeeds("--config", config, "-c", str(tmp_path / "ft"), *source, "--set", "lr_head=0")
    assert "backbone tensors loaded" in output and "head tensors loaded" in output
    before, after = (weights(folder / "best_epoch.bin") for folder in (trained[1], tmp_path / "ft"))
    assert torch.equal(after["head.head_pose.weight"], before["head.head_pose.weight"])
    assert not torch.equal(after["backbone.pos_embed"], before["backbone.pos_embed"])
    # Not of 243 frames, as after MotionBERT's pretraining: places in time that no clip had mean nothing.
    predictor = MeshPredictor.load(tmp_path / "ft" / "best_epoch.bin", device="cpu")
    assert predictor.default_clip_len == predictor.config.clip_len


def test_resume_flag_goes_on_in_another_folder(trained, config_file, succeeds, tmp_path):
    run = ("--config", config_file(epochs=3), "-c", tmp_path / "more", "--resume", trained[1] / "latest_epoch.bin")
    assert "going on after epoch 2" in succeeds(*run)
    assert torch.load(tmp_path / "more" / "latest_epoch.bin", weights_only=True)["epoch"] == 3


def test_a_run_whose_test_figures_go_wrong_ends_and_keeps_its_last_finite_checkpoint(
    config_file, succeeds, fails, tmp_path
):
    """One step an epoch, which is taken before anything tells: its loss is that of the weights before."""
    own = {"opt": "adamw", "lr_schedule": "exponential", "warmup_steps": 0, "ema": 0, "warmup_h36m": 0}
    run = ("--config", config_file(limit_clips=4, warmup_coco=0, **own), "-c", tmp_path)
    assert re.search(r"pw3d +32 ", succeeds(*run, "--set", "epochs=1"))  # frames of the few clips
    before = {name: (tmp_path / name).read_bytes() for name in ("latest_epoch.bin", "metrics.jsonl")}
    error = fails(*run, "--set", "lr_head=1e12")
    assert "error: epoch 2 pw3d test: mpjpe is nan, by protocol motionbert. " in error
    kept = f"{tmp_path / 'latest_epoch.bin'} is the last finite checkpoint and is kept; lower the learning rates"
    assert kept in error
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1e38, "h36m test: mpjpe is nan, by protocol motionbert. Give the"),
        (float("nan"), "'model.head.head_pose.weight' holds nan or infinity"),
    ],
)
def test_a_checkpoint_that_gives_no_finite_figure_is_an_error(value, told, trained, fails, tmp_path):
    content = torch.load(trained[1] / "best_epoch.bin", weights_only=True)
    content["model"]["head.head_pose.weight"].fill_(value)
    torch.save(content, tmp_path / "x.bin")
    assert told in fails("--config", trained[0], "-e", tmp_path / "x.bin", "--metrics_out", tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


@pytest.mark.parametrize(
    ("changes", "arguments", "told"),
    [
        ({}, ("--confg", "x"), "unrecognized arguments: --confg.*--help"),
        ({}, ("--config", "none.yaml"), "none.yaml not found"),
        ({}, ("--print_freq", "0"), "--print_freq 0: expected 1 or more"),
        ({}, ("--seed", "-1"), "--seed -1: expected 0 to"),
        ({}, ("--seed", "x"), "invalid int value: 'x'"),
        ({}, ("--predictions_out", "x.npz"), "works with --evaluate only"),
        ({}, ("-e", "x", "--predictions_out", "x.pkl"), "expected a name ending in .npz"),
        ({}, ("--fit", "keypoints"), "^error: --fit keypoints works with --evaluate only. Train first, then evaluate best_epoch.bin.$"),
        ({}, ("--device", "tpu"), "expected auto, cpu, cuda or cuda:N"),
        ({"lr_backbon": 1}, (), r"tiny.yaml: unknown key 'lr_backbon'. Did you mean 'lr_backbone'\?"),
        ({}, ("--set", "epochs=x"), "--set epochs=x: epochs is 'x'"),
        ({"dt_file_h36m": None, "dt_file_coco": None, "dt_file_pw3d": None, "train_pw3d": False}, (), "no dataset"),
        ({"data_root": "."}, (), "SMPL_NEUTRAL.pkl not found.*data_root"),
        ({"dt_file_h36m": "none.pkl"}, (), "none.pkl"),
        ({"dt_file_h36m": "SMPL_NEUTRAL.pkl"}, (), "SMPL_NEUTRAL.pkl"),
        ({"finetune": True}, ("-p", "."), "latest_epoch.bin not found"),
        ({}, ("-e", "none.bin"), "none.bin not found"),
        ({}, ("-e", "tiny.yaml"), "is not a PyTorch checkpoint"),
        ({}, ("-c", "tiny.yaml/run"), "cannot be written"),
    ],
)  # fmt: skip
def test_what_a_user_gets_wrong_is_one_line_and_leaves_nothing(
    changes, arguments, told, config_file, fails, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    error = fails("--config", config_file(**changes), "-c", "run", *arguments)
    assert re.search(told, error)
    assert os.listdir() == ["tiny.yaml"]


@pytest.mark.parametrize("more", [("-e", "run/best_epoch.bin"), ("-c", "run")])
def test_a_checkpoint_of_another_size_is_told_with_what_differs(more, trained, config_file, fails, monkeypatch):
    monkeypatch.chdir(trained[1].parent)
    assert re.search(r"does not fit.*dim_feat: 16 \(config: 32\)", fails("--config", config_file(dim_feat=32), *more))


def test_one_training_clip_is_too_few(config_file, fails, tmp_path):
    error = fails("--config", config_file(), "-c", tmp_path / "c", "--set", "limit_clips=1")
    assert "one clip to train on" in error


def test_from_a_shell_a_mistake_has_no_traceback():
    result = run_python("train_mesh.py", "--config", "none.yaml")
    assert result.returncode == 2
    assert result.stderr.startswith("error: none.yaml not found")
    assert "Traceback" not in result.stderr


def test_help_shows_examples():
    result = run_python("train_mesh.py", "--help")
    assert result.returncode == 0
    assert "--config configs/mesh/MB_train_pw3d.yaml --checkpoint checkpoint/mesh/MB_train_pw3d" in result.stdout
    for flag in ("pretrained", "resume", "evaluate", "print_freq", "selection", "seed", "set", "device"):
        assert f"--{flag}" in result.stdout
