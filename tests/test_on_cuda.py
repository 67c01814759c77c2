"""The scripts on a GPU: the CPU's numbers, and the same run again bit for bit. Skipped where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.video import CAMERA, FPS, make_video
from kinemesh.infer import MeshPredictor
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REFINER, REGRESSOR

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

ROOT = Path(__file__).parent.parent
# Flips and dropout are drawn on the device, so only without them do CPU and GPU see the same steps.
UNDRAWN = {"flip": False, "dropout": 0.0, "limit_clips": 48, "mean_pose_baseline": False}
MILLIMETRES = ("mpjpe", "pa_mpjpe", "mpve", "pa_mpve")


@pytest.fixture
def run(capsys):
    """Runs a script on a device; asserts that it ends well."""

    def _run(device: str, *arguments, script=REGRESSOR) -> None:
        status = main(script, [*map(str, arguments), "--device", device])
        assert status == 0, capsys.readouterr().err

    return _run


@pytest.fixture
def train_on_both(run, tmp_path):
    """Trains by a config on the CPU and on the GPU; the last records of both."""

    def _train(config: str, script=REGRESSOR) -> tuple[dict, dict]:
        for device in ("cpu", "cuda"):
            run(device, "--config", config, "-c", tmp_path / device, script=script)
        return last_record(tmp_path / "cpu"), last_record(tmp_path / "cuda")

    return _train


def tensors_of(folder) -> dict:
    return torch.load(folder / "latest_epoch.bin", weights_only=True, map_location="cpu")["model"]


def assert_equal_runs(ours, theirs) -> None:
    ours, theirs = tensors_of(ours), tensors_of(theirs)
    different = [name for name, value in theirs.items() if not torch.equal(ours[name], value)]
    assert not different


def last_record(folder) -> dict:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("opt", ["adamw", "muon"])
def test_training_goes_the_way_it_goes_on_the_cpu(train_on_both, config_file, opt):
    cpu, cuda = train_on_both(config_file(opt=opt, epochs=1, **UNDRAWN))
    for name in cpu.keys() - {"seconds"}:
        # Muon's iteration turns rounding of small singular values into other directions.
        assert cuda[name] == pytest.approx(cpu[name], rel=2e-2 if opt == "muon" else 1e-2, abs=1e-6), name


def test_the_refiner_trains_the_same_way(train_on_both, refiner_config_file):
    cpu, cuda = train_on_both(refiner_config_file(**UNDRAWN), REFINER)
    names = [name for name, value in cpu.items() if isinstance(value, float) and name != "seconds"]
    assert names
    for name in names:
        assert cuda[name] == pytest.approx(cpu[name], rel=2e-3), name


def test_evaluation_gives_the_numbers_of_the_cpu(run, trained, tmp_path):
    config, folder = trained
    for device in ("cpu", "cuda"):
        options = ("--metrics_out", tmp_path / f"{device}.json", "--predictions_out", tmp_path / f"{device}.npz")
        run(device, "--config", config, "-e", folder / "best_epoch.bin", *options)
    cpu, cuda = (json.loads((tmp_path / f"{device}.json").read_text()) for device in ("cpu", "cuda"))
    for dataset in ("h36m", "pw3d"):
        for metric in MILLIMETRES:
            assert cuda[dataset][metric] == pytest.approx(cpu[dataset][metric], abs=2e-3), (dataset, metric)
    with np.load(tmp_path / "cpu.npz") as cpu, np.load(tmp_path / "cuda.npz") as cuda:
        assert sorted(cpu) == sorted(cuda)
        for name in cpu:
            assert cpu[name].shape == cuda[name].shape, name


@pytest.mark.parametrize("opt", ["adamw", "muon"])
def test_a_deterministic_run_repeats_and_resumes_bit_for_bit(config_file, tmp_path, opt):
    config = config_file(
        opt=opt, deterministic=True, ema=0.9, limit_clips=48, mean_pose_baseline=False, checkpoint_frequency=1
    )
    # In processes of their own: cuBLAS must be told before it starts.
    command = [sys.executable, str(ROOT / "train_mesh.py"), "--config", config, "--device", "cuda"]
    for name in ("once", "again"):
        subprocess.run([*command, "-c", str(tmp_path / name)], cwd=ROOT, check=True)
    assert_equal_runs(tmp_path / "again", tmp_path / "once")
    resumed = [*command, "-c", str(tmp_path / "resumed"), "-r", str(tmp_path / "once" / "epoch_0.bin")]
    subprocess.run(resumed, cwd=ROOT, check=True)
    assert_equal_runs(tmp_path / "resumed", tmp_path / "once")


def test_where_the_data_lie_changes_nothing(run, config_file, tmp_path):
    config, found = config_file(epochs=1, **UNDRAWN), {}
    for home in ("auto", "cpu", "cuda"):
        run("cuda", "--config", config, "-c", tmp_path / home, "--set", f"data_device={home}")
        found[home] = last_record(tmp_path / home)["test_mpjpe"]
    for home in ("cpu", "cuda"):
        assert found[home] == pytest.approx(found["auto"], rel=2e-3), home


def test_half_precision_and_compiling(run, config_file, tmp_path):
    config = config_file(epochs=1, **UNDRAWN)
    run("cuda", "--config", config, "-c", tmp_path / "plain")
    run("cuda", "--config", config, "-c", tmp_path / "fast", "--set", "precision=bf16", "--set", "compile=True")
    plain, fast = last_record(tmp_path / "plain"), last_record(tmp_path / "fast")
    assert fast["train_loss"] == pytest.approx(plain["train_loss"], rel=5e-2)


def test_a_step_that_is_not_finite_is_found(capsys, config_file, tmp_path):
    rates = dict.fromkeys(("lr_backbone", "lr_head", "lr_matrix"), 1e15)
    config = config_file(**rates, lr_schedule="exponential", warmup_steps=0, **UNDRAWN)
    status = main(REGRESSOR, ["--config", config, "-c", str(tmp_path / "run"), "--device", "cuda"])
    error = capsys.readouterr().err
    assert status == 2
    assert "is not finite at step" in error


def test_inference_gives_the_bodies_of_the_cpu(assets):
    found = {}
    for device in ("cpu", "cuda"):
        predictor = MeshPredictor.load(CHECKPOINT_PATH, device=device, assets=assets)
        found[device] = predictor.predict(make_video().keypoints_px, image_size=CAMERA.image_size, fps=FPS)
    for cpu, cuda in zip(found["cpu"], found["cuda"], strict=True):
        np.testing.assert_array_equal(cuda.frame_ids, cpu.frame_ids)
        matrices = [rotations_from_axis_angle(torch.from_numpy(each.poses).double()) for each in (cpu, cuda)]
        torch.testing.assert_close(matrices[1], matrices[0], atol=2e-3, rtol=0)
        np.testing.assert_allclose(cuda.betas, cpu.betas, atol=2e-3)


def test_fitted_bodies_score_as_on_the_cpu(run, demo_folder, tmp_path):
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.json"
        flags = ("--set", f"data_root={demo_folder}", "--evaluate", CHECKPOINT_PATH, "--fit", "keypoints")
        run(device, "--config", ROOT / "configs/mesh/MB_demo.yaml", *flags, "--metrics_out", out)
    ours, theirs = (
        json.loads((tmp_path / f"{device}.json").read_text())["pw3d"]["fitted"] for device in ("cuda", "cpu")
    )
    for name in MILLIMETRES:
        assert ours[name] == pytest.approx(theirs[name], abs=0.2), name
