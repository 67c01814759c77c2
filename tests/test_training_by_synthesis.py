"""Motion without keypoints trains, is scored and checked: a motion folder, a file of one's own, and any by `synthesis: train`."""

import pickle

import numpy as np
import pytest

from kinemesh.demo.splits import StandIn, axis_angles
from kinemesh.files.array_folder.writing import TEXT, Column, writing_folder
from kinemesh.motion.motion import make_motion
from kinemesh.motion.recorded import FRAME_ARRAYS, KIND, SEQUENCE_ARRAYS, TEXTS
from tests.runs import logged

RATES = (30.0, 60.0)


def link_body_files(data_root, folder) -> None:
    for path in data_root.glob("[SJs]*"):
        (folder / path.name).symlink_to(path)


@pytest.fixture
def motion_folder(demo_folder, tmp_path):
    """A data_root with the body's files and a folder of recorded motion of two rates, the last quarter of it to test on."""
    link_body_files(demo_folder, tmp_path)
    rng, body, sequences = np.random.default_rng(0), StandIn(), 16
    columns = {name: Column(np.dtype(kind), row) for name, (kind, row) in {**FRAME_ARRAYS, **SEQUENCE_ARRAYS}.items()}
    columns |= dict.fromkeys(TEXTS, TEXT)
    betas = rng.normal(0, 1, (sequences, 10)).astype("<f4")
    parts = {"pose": [], "trans": []}
    for number in range(sequences):
        fps = RATES[number % 2]
        motion = make_motion(rng, ["walk"], round(fps), fps, body.shaped_rest_joints_m(betas[number : number + 1]))
        parts["pose"].append(axis_angles(motion.rotations)[0].astype("<f4"))
        parts["trans"].append(motion.root_m[0].astype("<f4"))
    arrays = {name: np.concatenate(some) for name, some in parts.items()} | {
        "betas": betas, "length": np.array([len(one) for one in parts["pose"]], "<i8"),
        "fps": np.array(RATES * (sequences // 2)),
    }  # fmt: skip
    splits = ["train"] * 12 + ["test"] * 4
    with writing_folder(tmp_path / "mocap", KIND, columns, provenance={"body_model": "stand-in"}) as writer:
        writer.append(arrays)
        for name in TEXTS:
            texts = splits if name == "split" else [f"{name}_{number}" for number in range(sequences)]
            writer.append_text(name, texts)
    return tmp_path


OWN = dict.fromkeys(("dt_file_h36m", "dt_file_coco", "dt_file_pw3d")) | {
    "train_pw3d": False,
    "mean_pose_baseline": False,
}
MOCAP = {"name": "mocap", "file": "mocap", "fps": 30}


def test_a_motion_folder_trains_and_is_scored(motion_folder, config_file, succeeds, tmp_path):
    own = OWN | {
        "data_root": str(motion_folder), "datasets": [MOCAP], "dropout": 0.0, "warmup_steps": 0, "data_stride": 4,
        "lr_schedule": "exponential",
    }  # fmt: skip
    config = config_file(**own, epochs=4)
    output = succeeds("--config", config, "--checkpoint", tmp_path / "run")
    assert "mocap: 360 train frames in 12 videos, 120 test frames in 4 videos" in output
    assert "best_epoch.bin is chosen on the mocap test split" in output
    found = logged(tmp_path / "run")
    assert found[-1]["train_loss"] < 0.95 * found[0]["train_loss"]
    # In two pieces every epoch sees what it saw before.
    for epochs in (2, 4):
        config = config_file(**own, epochs=epochs)
        succeeds("--config", config, "--checkpoint", str(tmp_path / "again"))
    for name in ("train_loss", "test_mpjpe_mocap"):
        assert [line[name] for line in logged(tmp_path / "again")] == [line[name] for line in found]
    output = succeeds("--config", config, "--evaluate", tmp_path / "run/best_epoch.bin")
    best = min(line["test_mpjpe_mocap"] for line in logged(tmp_path / "run"))
    assert f"{best:.2f}" in output


def test_a_motion_folder_needs_a_rate_and_is_checked(motion_folder, config_file, succeeds, fails, tmp_path):
    entry = {key: value for key, value in MOCAP.items() if key != "fps"}
    config = config_file(**OWN, data_root=str(motion_folder), datasets=[entry])
    error = fails("--config", config, "--checkpoint", tmp_path / "run")
    assert "holds motion. Expected fps: frames a second to train at" in error
    config = config_file(**OWN, data_root=str(motion_folder), datasets=[MOCAP])
    output = succeeds("--config", config, "--checkpoint", str(tmp_path / "run"), "--check")
    assert "('joint_2d')" in output and "this run would start" in output


def test_a_file_without_keypoints_trains(demo_folder, config_file, succeeds, tmp_path):
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    for split in content.values():
        for key in ("joint_2d", "confidence", "img_hw"):
            del split[key]
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(content))
    link_body_files(demo_folder, tmp_path)
    entry = {"name": "mine", "file": "mine.pkl", "fps": 30}
    config = config_file(**OWN, data_root=str(tmp_path), datasets=[entry], epochs=1, limit_clips=64)
    succeeds("--config", config, "--checkpoint", str(tmp_path / "run"))
    (line,) = logged(tmp_path / "run")
    assert 0 < line["test_mpjpe_mine"] < 1000


def test_files_with_keypoints_train_on_made_ones_and_are_scored_on_their_own(config_file, succeeds, tmp_path):
    scored, trained = {}, {}
    for name, changes in {"read": {}, "made": {"synthesis": "train", "fill_missing": "interpolate"}}.items():
        config = config_file(
            epochs=1, limit_clips=64, **changes, lr_backbone=0.0, lr_head=0.0, lr_matrix=0.0, warmup_steps=0
        )
        succeeds("--config", config, "--checkpoint", str(tmp_path / name))
        (line,) = logged(tmp_path / name)
        scored[name], trained[name] = line["test_mpjpe_pw3d"], line["train_loss"]
    assert trained["made"] != pytest.approx(trained["read"], rel=1e-3)
    assert np.isfinite(scored["made"])


def test_missing_keypoints_are_filled_for_training_scoring_and_the_check(demo_folder, config_file, succeeds, tmp_path):
    content = pickle.loads((demo_folder / "mesh_det_pw3d.pkl").read_bytes())
    for split in content.values():
        is_lost = np.random.default_rng(0).random(split["confidence"].shape) < 0.1
        split["joint_2d"][is_lost], split["confidence"][is_lost] = 0, 0
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(content))
    link_body_files(demo_folder, tmp_path)
    found = {}
    for fill in ("released", "interpolate"):
        config = config_file(
            **OWN, data_root=str(tmp_path), datasets=[{"name": "mine", "file": "mine.pkl", "fps": 30}], epochs=1,
            limit_clips=64, fill_missing=fill,
        )  # fmt: skip
        output = succeeds("--config", config, "--checkpoint", str(tmp_path / fill), "--check")
        assert ("misleads" in output) == (fill == "released")
        succeeds("--config", config, "--checkpoint", str(tmp_path / fill))
        (found[fill],) = logged(tmp_path / fill)
    assert found["interpolate"]["train_loss"] != found["released"]["train_loss"]
    assert found["interpolate"]["test_mpjpe_mine"] != found["released"]["test_mpjpe_mine"]


def test_a_recipe_changes_what_is_trained_on_and_nothing_that_is_scored(
    motion_folder, config_file, succeeds, fails, tmp_path
):
    own = OWN | {"data_root": str(motion_folder), "datasets": [MOCAP], "dropout": 0.0, "lr_backbone": 0, "lr_head": 0}
    figures = []
    for name, recipe in (("usual", {}), ("level", {"camera": {"pitch_deg": [0, 0]}})):
        succeeds("--config", config_file(**own, epochs=1, recipe=recipe), "--checkpoint", tmp_path / name)
        figures.append(logged(tmp_path / name)[-1])
    usual, level = figures
    error = fails("--config", config_file(**own, recipe={"sped": 1}), "--checkpoint", tmp_path / "wrong")
    assert "recipe: unknown name 'sped'. Did you mean 'speed'?" in error
    assert usual["train_loss"] != pytest.approx(level["train_loss"], rel=1e-3)
    # The weights stand still, only the averages of the head's normalisation move.
    assert usual["test_mpjpe_mocap"] == pytest.approx(level["test_mpjpe_mocap"], rel=1e-4)
