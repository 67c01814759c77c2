"""Datasets that the config lists: trained on in turn and mixed, selected on, scored, refined and gone on with."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.data.folders import read_content, write_folder
from kinemesh.machine.stopping import StopRequest
from kinemesh.program.cli import main
from kinemesh.program.console import main as console
from kinemesh.program.flags.training import REFINER
from tests.runs import logged

ROOT = Path(__file__).parent.parent


@pytest.fixture
def own(config_file, demo_folder, tmp_path):
    """A config with a folder of videos and one of images that are mixed, and a pickle that selects, and none released."""

    def write(write_it=config_file, **changes) -> str:
        paths = {}
        for name in ("pw3d_w_hybrik_pred", "coco_w_hybrik_pred"):
            paths[name] = tmp_path / name
            if not paths[name].exists():
                content, _ = read_content(demo_folder / f"mesh_det_{name}.pkl", "a dataset")
                write_folder(paths[name], content, {})
        videos, images = map(str, paths.values())
        entries = [
            {"name": "walks", "file": videos, "fps": 30, "weight": 2},
            {"name": "photos", "file": images, "weight": 1, "batch_size": 16},
            {"name": "again", "file": "mesh_det_pw3d_w_hybrik_pred.pkl", "fps": 15, "train_epochs": 1, "selects": True},
        ]
        values = {"dt_file_h36m": None, "dt_file_coco": None, "dt_file_pw3d": None, "train_pw3d": False, "epochs": 2}
        return write_it(**values | {"datasets": entries, "opt": "adamw", "dropout": 0.1, "limit_clips": 48} | changes)

    return write


def videos_of(split: dict, count: int) -> dict:
    """Videos as the example of docs/data.md has them, of a split of the demo."""
    found = {}
    for name in dict.fromkeys(split["source"][: 16 * count]):
        rows = np.array(split["source"]) == name
        keypoints = np.concatenate([split["joint_2d"][rows], split["confidence"][rows, :, None]], axis=-1)
        found[name] = split["smpl_pose"][rows], split["smpl_shape"][rows][0], keypoints, (1920, 1920)
    return found


def test_the_example_that_writes_a_dataset_runs_as_printed(demo_folder, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/data.md").read_text(), re.M | re.S)
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(code, {"train_videos": videos_of(content["train"], 24), "test_videos": videos_of(content["test"], 6)})
    assert console(["check", "studio", "--data_root", str(demo_folder)]) == 0
    output = capsys.readouterr().out
    assert "384 train frames in 24 videos, 96 test frames in 6 videos" in output and "warning" not in output
    for key in ("joint_2d", "confidence", "smpl_pose", "smpl_shape"):
        written = np.load(tmp_path / f"studio/train.{key}.npy")
        np.testing.assert_array_equal(written, content["train"][key][:384])


def test_a_run_trains_on_scores_and_reports_them_by_name(own, succeeds, tmp_path):
    config, folder, out = own(), tmp_path / "run", tmp_path / "metrics.json"
    output = succeeds("--config", config, "--checkpoint", str(folder), "--metrics_out", str(out))
    assert "best_epoch.bin is chosen on the again test split" in output
    first, last = logged(folder)
    assert {"test_mpjpe_walks", "test_mpjpe_again"} <= first.keys() and "test_mpjpe_photos" not in first
    # Half of the pw3d file's: 15 frames a second instead of 30 halves accelerations' unit.
    metrics = json.loads(out.read_text())
    assert metrics["again"]["fps"] == 15 and metrics["walks"]["fps"] == 30
    assert metrics["again"]["mpjpe"] == metrics["walks"]["mpjpe"] and first["train_loss"] > last["train_loss"]
    config = own(val_split=0.2)
    succeeds("--config", config, "--evaluate", str(folder / "best_epoch.bin"), "--report", str(tmp_path / "report"))
    assert "walks format (walks)" in (tmp_path / "report" / "report.html").read_text()


def test_a_run_that_was_stopped_inside_the_mix_ends_as_the_unbroken_one(own, call, tmp_path, monkeypatch):
    config = own()
    assert call("--config", config, "--checkpoint", str(tmp_path / "whole"))[0] == 0
    asked = iter(range(1000))

    def at_the_fifth_step(request: StopRequest) -> bool:
        request.signal_number = 15 if next(asked) == 4 else None
        return request.signal_number is not None

    with monkeypatch.context() as patched:
        patched.setattr(StopRequest, "agree_to_stop", at_the_fifth_step)
        assert call("--config", config, "--checkpoint", str(tmp_path / "stopped"))[0] == 143
    progress = torch.load(tmp_path / "stopped" / "latest_epoch.bin", weights_only=True)["progress"]
    assert progress["dataset"] == "mix of walks 2, photos 1" and progress["batches"] == 5
    assert call("--config", config, "--checkpoint", str(tmp_path / "stopped"))[0] == 0
    one, other = (torch.load(tmp_path / name / "latest_epoch.bin", weights_only=True) for name in ("whole", "stopped"))
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())


def test_the_refiner_takes_them(own, refiner_config_file, capsys, tmp_path):
    config = own(refiner_config_file, epochs=1, val_split=0.2)
    assert main(REFINER, ["--config", config, "--checkpoint", str(tmp_path / "run")]) == 0
    output = capsys.readouterr().out
    assert "best_epoch.bin is chosen on the again held-out training videos" in output
    assert "again: 8 of 38 training videos held out" in output and "walks, input estimator" in output


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file": "none.pkl"}, "none.pkl not found. Put it there, or correct the file of 'mine' under datasets"),
        ({"file": "mesh_det_pw3d.pkl"}, "'source' names videos of up to 16 frames. Expected fps of 'mine' under datasets"),
        ({"file": "{}/test_only.pkl", "fps": 9}, "has no 'train' frames. Expected some; add them, or set train_epochs: 0"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(entry, message, own, fails, demo_folder, tmp_path):
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    (tmp_path / "test_only.pkl").write_bytes(pickle.dumps({"test": content["test"]}))
    config = own(datasets=[{"name": "mine"} | entry | {"file": entry["file"].format(tmp_path)}])
    assert message in fails("--config", config, "--checkpoint", tmp_path / "run")
