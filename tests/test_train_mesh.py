"""The script as a user runs it: train, resume, evaluate, finetune, and everything a user can get wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.infer import MeshPredictor

ROOT = Path(__file__).parent.parent


def run_script(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train_mesh.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder or ROOT, capture_output=True, text=True, env=environment, check=False)


def weights(path: Path) -> dict:
    content = torch.load(path, weights_only=True)
    return content["model"] | {
        f"training.{name}": value for name, value in content.get("model_in_training", {}).items()
    }


def test_train_and_evaluate_from_a_shell(config_file, tmp_path):
    config, folder = config_file(), tmp_path / "run"
    trained = run_script("--config", config, "--checkpoint", str(folder), "-freq", "2")
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"epoch 2/2 \| train loss [\d.]+ mpjpe\(17\) [\d.]+ \| h36m test ", trained.stdout)
    # H36M is scored right after it was trained on, as released: not what the epoch ends with.
    assert re.findall(r"h36m test \(before this epoch's coco and pw3d\) mpjpe", trained.stdout)
    assert re.findall(r"\| pw3d test mpjpe", trained.stdout)
    assert "best_epoch.bin is chosen on the pw3d test split, as released" in trained.stdout
    assert "train_mpve is sampled every 2 steps" in trained.stdout
    assert "constant mean body" in trained.stdout
    names = {path.name for path in folder.iterdir()}
    written = {"latest_epoch.bin", "best_epoch.bin", "metrics.jsonl", "logs", "log.txt", "run.lock", "tiny.yaml"}
    assert names == written

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
    assert [result.pop("selected_on") for result in results] == [
        "pw3d test split",
        "unknown (released checkpoints were selected on the test split)",
    ]
    assert results[0] == results[1]


def test_protocols_and_tables(trained, call, tmp_path):
    config, folder = trained
    names = ["motionbert", "vibe_tcmr", "wham", "pmce", "smpl24"]
    flags = [flag for name in names for flag in ("--protocol", name)]
    out = tmp_path / "m.json"
    checkpoint = str(folder / "best_epoch.bin")
    status, output, error = call("--config", config, "-e", checkpoint, "--metrics_out", str(out), *flags)
    assert status == 0, error
    assert "checkpoint selected on: pw3d test split" in output
    for name in names:
        assert f"protocol {name}: " in output
    first = json.loads(out.read_text())["pw3d"]
    assert list(first["protocols"]) == names[1:]
    for name, found in {"motionbert": first, **first["protocols"]}.items():
        assert found["protocol"] == name
        assert found["selected_on"] == "pw3d test split"
        assert (found["clips"], found["flip"]) == (
            ("released", "released")
            if name == "motionbert"
            else ("all_frames", "rotations" if name in ("wham", "smpl24") else "none")
        )
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
    figures = [(found["mpjpe"], found["mpve"], found["accel_error"]) for found in (first, *first["protocols"].values())]
    assert len(set(figures)) == len(figures)


def test_fitted_bodies_are_scored_beside_unfitted_ones(demo_folder, call, tmp_path):
    """Under every protocol asked for, in table, JSON and report; all other figures are those without --fit."""
    flags = ["--config", str(ROOT / "configs/mesh/MB_demo.yaml"), "--set", f"data_root={demo_folder}"]
    flags += [
        "--set",
        "dt_file_h36m=null",
        "-e",
        str(CHECKPOINT_PATH),
        "--protocol",
        "motionbert",
        "--protocol",
        "pmce",
    ]
    found = {}
    for fit, more in (("none", ()), ("keypoints", ("--report", str(tmp_path)))):
        out = tmp_path / f"{fit}.json"
        status, output, error = call(*flags, "--fit", fit, "--metrics_out", str(out), *more)
        assert status == 0, error
        found[fit] = json.loads(out.read_text())["pw3d"]
        rows = [
            line for line in output.splitlines() if line.startswith(("pw3d, fitted", "pw3d, difference of the fit"))
        ]
        assert len(rows) == (4 if fit == "keypoints" else 0)
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


def test_only_what_is_evaluated_is_fitted(config_file, call):
    status, _, error = call("--config", config_file(), "--fit", "keypoints")
    assert status == 2
    assert error == "error: --fit keypoints works with --evaluate only. Train first, then evaluate best_epoch.bin.\n"


def test_best_epoch_can_be_chosen_on_held_out_training_videos(config_file, call, tmp_path):
    config, folder = config_file(val_split=0.25, epochs=1), tmp_path / "run"
    status, output, error = call("--config", config, "--checkpoint", str(folder))
    assert status == 0, error
    assert re.search(r"pw3d: \d+ of \d+ training videos held out \(val_split 0.25\)", output)
    assert "best_epoch.bin is chosen on the pw3d held-out training videos;" in output
    assert re.search(r"epoch 1/1 .* h36m test .* pw3d val mpjpe", output)
    assert "checkpoint selected on: pw3d held-out training videos" in output
    assert re.search(r"^pw3d +96 ", output, re.M)  # the table at the end is of the test split
    line = json.loads((folder / "metrics.jsonl").read_text())
    content = torch.load(folder / "best_epoch.bin", weights_only=True)
    assert content["best_jpe"] == pytest.approx(line["val_mpjpe_pw3d"])
    assert content["selected_on"] == "pw3d held-out training videos"
    resumed = call("--config", config, "--checkpoint", str(folder), "--set", "val_split=0", "--set", "epochs=2")
    TestMistakes().one_line(resumed, "chosen on the pw3d held-out training videos", "Set val_split and the datasets")


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


def test_finetune_takes_a_whole_model_and_infers_as_one_of_its_own_clips(trained, config_file, call, tmp_path):
    config = config_file(finetune=True, epochs=1)
    source = ("--pretrained", str(trained[1]), "--selection", "best_epoch.bin")
    status, output, error = call("--config", config, "-c", str(tmp_path / "ft"), *source, "--set", "lr_head=0")
    assert status == 0, error
    assert "backbone tensors loaded" in output and "head tensors loaded" in output
    before, after = (weights(folder / "best_epoch.bin") for folder in (trained[1], tmp_path / "ft"))
    assert torch.equal(after["head.head_pose.weight"], before["head.head_pose.weight"])
    assert not torch.equal(after["backbone.pos_embed"], before["backbone.pos_embed"])
    # Not of 243 frames, as after MotionBERT's pretraining: places in time that no clip had mean nothing.
    predictor = MeshPredictor.load(tmp_path / "ft" / "best_epoch.bin", device="cpu")
    assert predictor.default_clip_len == predictor.config.clip_len


def test_resume_flag_goes_on_in_another_folder(trained, config_file, call, tmp_path):
    config = config_file(epochs=3)
    status, output, error = call(
        "--config", config, "-c", str(tmp_path / "more"), "--resume", str(trained[1] / "latest_epoch.bin")
    )
    assert status == 0, error
    assert "going on after epoch 2" in output
    assert torch.load(tmp_path / "more" / "latest_epoch.bin", weights_only=True)["epoch"] == 3


def test_a_run_whose_test_figures_go_wrong_ends_and_keeps_its_last_finite_checkpoint(config_file, call, tmp_path):
    """One step an epoch, which is taken before anything tells: its loss is that of the weights before."""
    folder = tmp_path / "run"
    own = {
        "opt": "adamw",
        "lr_schedule": "exponential",
        "warmup_steps": 0,
        "ema": 0,
        "warmup_h36m": 0,
        "warmup_coco": 0,
    }
    config = config_file(limit_clips=4, **own)
    assert call("--config", config, "-c", str(folder), "--set", "epochs=1")[0] == 0
    before = {name: (folder / name).read_bytes() for name in ("latest_epoch.bin", "metrics.jsonl")}
    result = call("--config", config, "-c", str(folder), "--set", "lr_head=1e12")
    kept = f"{folder / 'latest_epoch.bin'} is the last finite checkpoint and is kept; lower the learning rates"
    TestMistakes().one_line(result, "error: epoch 2 pw3d test: mpjpe is nan, by protocol motionbert. ", kept)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_checkpoint_that_gives_no_finite_figure_is_an_error(trained, call, tmp_path):
    content = torch.load(trained[1] / "best_epoch.bin", weights_only=True)
    out = tmp_path / "m.json"
    for value, expected in (
        (1e38, "h36m test: mpjpe is nan, by protocol motionbert. Give the"),
        (float("nan"), "'model.head.head_pose.weight' holds nan or infinity"),
    ):
        content["model"]["head.head_pose.weight"].fill_(value)
        torch.save(content, tmp_path / "x.bin")
        result = call("--config", trained[0], "-e", str(tmp_path / "x.bin"), "--metrics_out", str(out))
        TestMistakes().one_line(result, expected)
        assert not out.exists()


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
