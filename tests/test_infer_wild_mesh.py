"""The script as a user runs it: keypoints in, every file out, and everything a user can get wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from kinemesh.body.skeleton import H36M_JOINT_NAMES
from kinemesh.config import load_config
from kinemesh.demo.body import BUILTIN_PATH, CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import DemoVideo, make_video
from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.infer import settings
from kinemesh.keypoints.formats import FORMATS
from kinemesh.model.building import build_model
from kinemesh.model.opening import open_checkpoint
from kinemesh.program.wild.cli import main
from kinemesh.program.wild.flags import JOINT_ORDERS, WINDOWS
from kinemesh.render.video import read_frames, video_info, video_writer

ROOT = Path(__file__).parent.parent
CONFIG = str(ROOT / "configs/mesh/MB_demo.yaml")


def run_script(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "infer_wild_mesh.py"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture
def call(capsys):
    """Runs the script's main in this process: (status, standard output, standard error)."""

    def _call(*arguments: str):
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _call


@pytest.fixture(scope="module")
def demo_video() -> DemoVideo:
    return make_video()


@pytest.fixture
def alphapose_file(demo_video, tmp_path) -> Path:
    """The demo's keypoints as AlphaPose writes Halpe-26 with tracks."""
    items = []
    people, frames = demo_video.keypoints_px.shape[:2]
    for frame in range(frames):
        for person in range(people):
            points = np.zeros((26, 3))
            for joint, sources in enumerate(FORMATS["halpe26"].sources):
                if len(sources) == 1:
                    points[sources[0]] = demo_video.keypoints_px[person, frame, joint]
            if points[:, 2].any():
                items.append({"image_id": f"{frame}.jpg", "keypoints": points.ravel().tolist(), "idx": person + 1})
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps(items))
    return path


@pytest.fixture
def model_flags(body_folder) -> list[str]:
    return ["--config", CONFIG, "--evaluate", str(CHECKPOINT_PATH), "--set", f"data_root={body_folder}"]


@pytest.fixture
def npz_file(demo_video, tmp_path) -> Path:
    path = tmp_path / "keypoints.npz"
    np.savez(path, keypoints=demo_video.keypoints_px[:, :20])
    return path


def test_round_trip_from_a_shell(alphapose_file, demo_video, model_flags, tmp_path):
    """Two people who cross before a known camera: where they are, how they stand, when they are hidden."""
    out = tmp_path / "out"
    ran = run_script(
        *model_flags, "--json_path", str(alphapose_file), "--out_path", str(out), "--image_size", "1280x720",
        "--fps", "30", "--focal", "1400", "--pixel", "--no_render",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "person 1: 120 frames" in ran.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"viewer.html", "summary.json"} | {
        f"{person}.{kind}" for person in (1, 2) for kind in ("npz", "glb", "bvh")
    }

    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 120
    assert summary["people"].keys() == {"1", "2"}
    assert {"read", "people", "network", "placing", "write_npz", "total"} <= summary["seconds"].keys()
    assert "write_mp4" not in summary["seconds"]
    for person in range(2):
        with np.load(out / f"{person + 1}.npz") as file:
            found = {name: file[name] for name in file.files}
        is_hidden = ~demo_video.keypoints_px[person, :, :, 2].any(axis=-1)
        np.testing.assert_array_equal(found["frame_ids"], np.arange(120))
        np.testing.assert_array_equal(found["interpolated"], is_hidden)
        facts = summary["people"][str(person + 1)]
        assert facts["frames_interpolated"] == is_hidden.sum()
        assert facts["gaps_interpolated"] == (1 if is_hidden.any() else 0)
        assert facts["jitter_after_m_per_s3"] < 0.3 * facts["jitter_before_m_per_s3"]
        assert facts["reprojection_error_px"] < 12
        error = np.abs(found["joints"] - demo_video.joints_m[person])
        assert error[:, 0, :2].mean() < 0.06
        assert error[:, 0, 2].mean() < 0.5  # what the body's size leaves open, at six metres
        relative = [joints - joints[:, :1] for joints in (found["joints"], demo_video.joints_m[person])]
        assert np.linalg.norm(relative[0] - relative[1], axis=-1).mean() < 0.11


@pytest.mark.parametrize(
    ("flags", "focal_px"),
    [((), 1468.6), (("--focal", "900"), 900.0), (("--fov", "90"), 640.0), (("--focal_35mm", "43.2666"), 1468.6)],
)
def test_the_focal_length_is_given_in_any_of_three_ways(flags, focal_px, npz_file, model_flags, call, tmp_path):
    out = tmp_path / "out"
    basic = ("--json_path", str(npz_file), "--image_size", "1280x720", "--formats", "npz", "--out_path", str(out))
    status, _, error = call(*model_flags, *basic, *flags)
    assert status == 0, error
    assert json.loads((out / "summary.json").read_text())["focal_px"] == pytest.approx(focal_px, abs=0.1)


def test_a_fit_is_summed_up_and_can_be_left_out(npz_file, model_flags, call, tmp_path):
    summaries = {}
    for fit in ("keypoints", "none"):
        out = tmp_path / fit
        basic = ("--json_path", str(npz_file), "--image_size", "1280x720", "--formats", "npz", "--out_path", str(out))
        status, _, error = call(*model_flags, *basic, "--pixel", "--focal", "1400", "--fit", fit)
        assert status == 0, error
        summaries[fit] = json.loads((out / "summary.json").read_text())
    assert summaries["keypoints"]["settings"]["fit"] == "keypoints"
    for name, facts in summaries["keypoints"]["people"].items():
        plain, fit = summaries["none"]["people"][name], facts["fit"]
        assert "fit" not in plain
        assert fit["reprojection_error_before_px"] == pytest.approx(plain["reprojection_error_px"], rel=0.01)
        assert fit["reprojection_error_after_px"] == pytest.approx(facts["reprojection_error_px"], rel=0.01)
        assert facts["reprojection_error_px"] < 0.8 * plain["reprojection_error_px"]
        assert fit["frames_kept"] == fit["frames_sides_exchanged"] == 0


def test_demo_needs_no_file(tmp_path):
    formats = "npz,html,bvh,amass"
    ran = run_script("--demo", "--formats", formats, "--axes", "z_up", "--bvh_names", "mixamo", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "the body is a stand-in, not SMPL" in ran.stdout
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    owned = {f"{person}{ending}" for person in (0, 1) for ending in (".npz", ".bvh", "_amass.npz")}
    assert names == {f"out/demo/{name}" for name in (*owned, "viewer.html", "summary.json")}
    summary = json.loads((tmp_path / "out/demo/summary.json").read_text())
    assert set(summary["files"]) == owned | {"viewer.html"} and summary["written"]["axes"] == "z_up"
    assert "ROOT mixamorig:Hips" in (tmp_path / "out/demo/0.bvh").read_text()
    rows = (tmp_path / "out/demo/1.bvh").read_text().split("Frame Time:")[1].split("\n")[1:-1]
    assert all(3 < float(row.split()[1]) < 9 for row in rows)  # before the camera, which looks along +y


@pytest.mark.parametrize(
    ("path", "config_path"), [(CHECKPOINT_PATH, CONFIG), (BUILTIN_PATH, "configs/mesh/MB_builtin.yaml")]
)
def test_shipped_checkpoints_are_of_their_configs(path, config_path):
    content = load_checkpoint(path)
    config = load_config(config_path)
    written = open_checkpoint(path).config
    open_checkpoint(path, config).build_model(StandIn().assets)  # raises where sizes differ
    assert written.clip_len == config.clip_len
    assert "NOT for SMPL" in content["note"]
    assert path.stat().st_size <= 4 << 20


def test_a_video_gives_size_rate_and_frames(npz_file, model_flags, call, tmp_path):
    video = tmp_path / "walk.mp4"
    with video_writer(video, (128, 72), 24.0) as add_frame:
        for _ in range(24):
            add_frame(np.zeros((72, 128, 3), dtype=np.uint8))
    flags = [*model_flags, "--vid_path", str(video), "--json_path", str(npz_file), "--formats", "npz"]
    status, output, error = call(*flags, "--out_path", str(tmp_path / "out"))
    assert status == 0, error
    assert "keypoints lie outside the picture of 128x72" in output
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["image_size"], summary["fps"], summary["frames"]) == ([128, 72], 24.0, 24)
    status, _, error = call(*flags, "--out_path", str(tmp_path / "out"), "--image_size", "1280x720")
    assert status == 2
    assert f"--image_size 1280x720: {video} is 128x72" in error
    late = np.random.default_rng(0).uniform(0, 70, (60, 17, 3))
    np.savez(npz_file, keypoints=late)
    status, _, error = call(*flags, "--out_path", str(tmp_path / "out"))
    assert status == 2
    assert "has 24 frames, but there are keypoints of frame 59" in error


def test_a_folder_of_videos_a_part_of_each(demo_video, model_flags, call, tmp_path):
    """One at the video's rate, one at half of it; what is written begins at --start, and keeps the video's numbers."""
    for name in ("videos", "keypoints"):
        (tmp_path / name).mkdir()
    for name, frames, step in (("walk", 40, 1), ("run", 40, 2)):
        with video_writer(tmp_path / f"videos/{name}.mp4", (64, 36), 20.0) as add_frame:
            for number in range(frames):
                add_frame(np.full((36, 64, 3), 5 * number, dtype=np.uint8))
        np.savez(tmp_path / f"keypoints/{name}.npz", keypoints=demo_video.keypoints_px[:1, :frames:step])
    flags = [
        *model_flags, "--vid_path", str(tmp_path / "videos"), "--json_path", str(tmp_path / "keypoints"),
        "--out_path", str(tmp_path / "out"), "--formats", "npz,mp4", "--start", "0.5", "--end", "1",
    ]  # fmt: skip
    status, output, error = call(*flags)
    assert status == 2
    assert "1 of 2 videos failed (run.mp4); the others are written" in error
    assert "has 40 frames, 20 a second, but the keypoints end with frame 19" in output
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["videos"]["walk.mp4"]["frames"], summary["videos"]["walk.mp4"]["first_frame"]) == (10, 10)
    assert "--keypoint_fps 10" in summary["videos"]["run.mp4"]["error"]
    with np.load(tmp_path / "out/walk/0.npz") as file:
        np.testing.assert_array_equal(file["frame_ids"], np.arange(10, 20))
        np.testing.assert_allclose(file["time_s"], np.arange(10, 20) / 20)
    assert video_info(tmp_path / "out/walk/mesh.mp4")[:4] == (64, 36, 10, 20.0)
    assert next(read_frames(tmp_path / "out/walk/mesh.mp4"))[:4].mean() == pytest.approx(50, abs=4)

    one = [*flags[:-4], "--keypoint_fps", "10"]
    one[one.index("--vid_path") + 1] += "/run.mp4"
    one[one.index("--json_path") + 1] += "/run.npz"
    status, _, error = call(*one)
    assert status == 2
    assert "holds the results of" in error and "--overwrite" in error
    one[one.index("--out_path") + 1] += "/run"
    status, _, error = call(*one)
    assert status == 0, error
    info = video_info(tmp_path / "out/run/mesh.mp4")
    assert info[:4] == (64, 36, 20, 10.0)
    found = [frame[:4].mean() for frame in read_frames(tmp_path / "out/run/mesh.mp4")]
    np.testing.assert_allclose(found, 10 * np.arange(20), atol=5)  # every second picture
    one[one.index("--vid_path") + 1] = str(tmp_path / "videos/walk.mp4")
    status, _, error = call(*one)
    assert status == 2
    assert f"--out_path {tmp_path / 'out/run'}: holds the results of {tmp_path / 'videos/run.mp4'}" in error


def as_coco_results(demo_video, frames, image=int) -> list[dict]:
    """The demo's first person, H36M's 17 joints in a layout whose 17 are COCO's."""
    points = demo_video.keypoints_px[0]
    return [{"image_id": image(frame), "keypoints": points[frame].ravel().tolist()} for frame in frames]


def test_joints_read_in_a_wrong_order_are_told_with_the_flag_that_mends_it(demo_video, model_flags, call, tmp_path):
    (tmp_path / "k.json").write_text(json.dumps(as_coco_results(demo_video, range(20))))
    flags = [
        *model_flags, "--json_path", str(tmp_path / "k.json"), "--image_size", "1280x720", "--formats", "npz",
        "--out_path", str(tmp_path / "out"),
    ]  # fmt: skip
    status, output, error = call(*flags)
    assert status == 0, error
    assert "of the person's size" in output
    assert "likely cause: the joints are in the order of H36M-17: --keypoint_format h36m17" in output
    status, output, error = call(*flags, "--keypoint_format", "h36m17")
    assert status == 0, error
    assert "warning" not in output
    facts = json.loads((tmp_path / "out/summary.json").read_text())["people"]["0"]
    assert facts["reprojection_error_of_size"] < 0.05


def test_what_is_a_guess_is_written_down(demo_video, model_flags, call, tmp_path):
    items = as_coco_results(demo_video, range(20))
    for item in items[:5]:
        item["keypoints"][3 * 16] = None  # right wrist
    (tmp_path / "k.json").write_text(json.dumps(items))
    status, _, error = call(
        *model_flags, "--json_path", str(tmp_path / "k.json"), "--image_size", "1280x720", "--formats", "npz",
        "--out_path", str(tmp_path / "out"), "--keypoint_format", "h36m17",
    )  # fmt: skip
    assert status == 0, error
    facts = json.loads((tmp_path / "out/summary.json").read_text())["people"]["0"]
    is_seen = demo_video.keypoints_px[0, :20, :, 2] > 0
    is_seen[:5, 16] = False
    guessed = dict(zip(H36M_JOINT_NAMES, (~is_seen).mean(axis=0).tolist(), strict=True))
    assert facts["joints_guessed"] == {name: share for name, share in guessed.items() if share}
    assert facts["joints_guessed"]["right_wrist"] == 0.25
    with np.load(tmp_path / "out/0.npz") as file:
        np.testing.assert_array_equal(file["joint_seen"], is_seen)
        assert file["reprojection_error_px"].shape == (20,)
        assert 0 < file["reprojection_error_px"].max() < 30


def test_separate_pictures_give_bodies_and_nothing_in_time(demo_video, model_flags, call, tmp_path):
    """Nothing that is written grows with the number of an image."""
    items = as_coco_results(demo_video, range(2), image=lambda frame: (139, 10**14)[frame])
    (tmp_path / "k.json").write_text(json.dumps(items))
    out = tmp_path / "out"
    status, output, error = call(
        *model_flags, "--json_path", str(tmp_path / "k.json"), "--image_size", "1280x720", "--out_path", str(out),
        "--keypoint_format", "h36m17",
    )  # fmt: skip
    assert status == 0, error
    assert "separate pictures have no time: mp4, sheet, html, glb, bvh left out" in output
    assert sorted(path.name for path in out.iterdir()) == [f"{10**14}.npz", "139.npz", "summary.json"]
    assert sum(path.stat().st_size for path in out.iterdir()) < 40_000
    assert json.loads((out / "summary.json").read_text())["frames"] == 2
    with np.load(out / "139.npz") as file:
        assert file["frame_ids"].tolist() == [139]


def test_refines_another_estimators_bodies(demo_video, npz_file, body_folder, assets, call, tmp_path):
    values = yaml.safe_load((ROOT / "configs/mesh/MB_demo_refine_hybrik.yaml").read_text())
    values |= {
        "data_root": str(body_folder),
        "dim_feat": 16,
        "dim_rep": 16,
        "depth": 1,
        "num_heads": 2,
        "hidden_dim": 24,
    }
    (tmp_path / "refine.yaml").write_text(yaml.safe_dump(values))
    config = load_config(tmp_path / "refine.yaml")
    model = build_model("refiner", config, assets)
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, tmp_path / "refiner.bin")
    poses = demo_video.poses[0, :20]
    np.savez(
        tmp_path / "theirs.npz", video=np.full(20, "walk"), frame=np.arange(20), poses=poses,
        betas=np.repeat(demo_video.betas[:1], 20, axis=0),
    )  # fmt: skip
    status, output, error = call(
        "--config", str(tmp_path / "refine.yaml"), "--evaluate", str(tmp_path / "refiner.bin"), "--formats", "npz",
        "--predictions", str(tmp_path / "theirs.npz"), "--json_path", str(npz_file), "--image_size", "1280x720",
        "--out_path", str(tmp_path / "out"), "--focal", "1400", "--fit", "none",
    )  # fmt: skip
    assert status == 0, error
    assert "not predicted, and so left out: 1" in output
    with np.load(tmp_path / "out/0.npz") as file:
        np.testing.assert_allclose(file["betas"], demo_video.betas[0], atol=1e-4)
        assert np.linalg.norm(file["joints"] - demo_video.joints_m[0, :20], axis=-1).mean() < 0.2


def test_without_a_network_an_estimators_bodies_are_placed_and_fitted(
    demo_video, npz_file, body_folder, call, tmp_path, monkeypatch
):
    """No config and no checkpoint is opened; people are paired by whose body fits whose keypoints."""
    monkeypatch.chdir(tmp_path)
    turned = np.radians(9.0) * np.random.default_rng(0).standard_normal((2, 1, 72)) * (np.arange(72) < 60)
    poses = (demo_video.poses[:, :20] + turned).astype(np.float32)
    columns = {"video": np.full(40, "walk"), "person": np.repeat(["b", "a"], 20), "frame": np.tile(np.arange(20), 2)}
    np.savez("theirs.npz", poses=poses[::-1].reshape(40, 72), betas=np.repeat(demo_video.betas[::-1], 20, 0), **columns)
    flags = (
        "--evaluate", "none", "--predictions", "theirs.npz", "--set", f"data_root={body_folder}", "--json_path",
        str(npz_file), "--image_size", "1280x720", "--focal", "1400", "--no_render", "--device", "cpu",
    )  # fmt: skip
    errors_mm = {}
    for fit in ("none", "keypoints"):
        status, output, error = call(*flags, "--fit", fit, "--out_path", fit)
        assert status == 0, error
        assert "b of theirs.npz is 1" in output
        assert "windows" not in output
        assert {"0.npz", "1.glb", "0.bvh", "viewer.html"} < {path.name for path in Path(fit).iterdir()}
        summary = json.loads(Path(fit, "summary.json").read_text())
        assert (summary["checkpoint"], summary["predictions"]) == (None, "theirs.npz")
        assert summary["predictions_notes"] == []
        for person in range(2):
            with np.load(f"{fit}/{person}.npz") as file:
                error = file["joints"] - demo_video.joints_m[person, :20]
                relative = error - error[:, :1]
                errors_mm[fit, person] = 1000 * np.linalg.norm(relative, axis=-1).mean()
                if fit == "none":
                    np.testing.assert_allclose(file["poses"], poses[person], atol=1e-4)
                    np.testing.assert_allclose(file["betas"], demo_video.betas[person], atol=1e-5)
                    assert np.linalg.norm(error, axis=-1).mean() < 0.4
    for person in range(2):
        assert errors_mm["keypoints", person] < 0.7 * errors_mm["none", person]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--predictions is missing: with --evaluate none bodies are another estimator's. Give them."),
        (("--predictions", "p.npz", "--config", "c.yaml"), "--config does not go with --evaluate none, which has no"),
        (("--predictions", "p.npz", "--pixel"), "--pixel does not go with --evaluate none"),
        (("--predictions", "p.npz", "--clip_len", "9"), "--clip_len does not go with --evaluate none"),
        (("--predictions", "p.npz", "--tta", "none"), "--tta does not go with --evaluate none"),
        (("--windows", "released"), "--windows does not go with --evaluate none"),
        (("--predictions", "p.npz", "--set", "depth=3"), "--set depth=3: --evaluate none has no config. Expected data_"),
        (("--predictions", "p.npz", "--set", "data_root=3"), "--set data_root: is '3'. Expected a folder"),
        (("--predictions", "p.npz", "--set", "data_root=void"), "void"),
    ],
)  # fmt: skip
def test_without_a_network_what_is_wrong_is_said_in_one_line(arguments, told, npz_file, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = "--json_path", str(npz_file), "--image_size", "1280x720", "--out_path", "out", "--evaluate", "none"
    status, _, error = call(*given, *arguments)
    assert status == 2
    assert told in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_reference_motion(demo_video, npz_file, model_flags, call, tmp_path):
    np.save(tmp_path / "reference.npy", demo_video.joints_m[0, :20] * 2.0)
    flags = [
        *model_flags, "--json_path", str(npz_file), "--image_size", "1280x720", "--formats", "npz",
        "--out_path", str(tmp_path / "out"), "--ref_3d_motion_path", str(tmp_path / "reference.npy"),
    ]  # fmt: skip
    status, _, error = call(*flags, "--focus", "0")
    assert status == 0, error
    facts = json.loads((tmp_path / "out/summary.json").read_text())["people"]["0"]
    assert facts["reference_scale_m"] == pytest.approx(0.5, rel=0.2)
    status, _, error = call(*flags)
    assert status == 2
    assert "--ref_3d_motion_path is of one person, but there are 2. Give --focus" in error


RELEASED = ("--windows", "released")
BASIC = ("--json_path", "k.npz", "--out_path", "out", "--image_size", "1280x720")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--vid_path is missing"),
        (("--json_path", "k.npz", "--out_path", "out"), "the picture's size is not known"),
        ((*BASIC, "--imagesize", "3"), "unrecognized arguments: --imagesize"),
        ((*BASIC, "--image_size", "1280"), "expected WIDTHxHEIGHT"),
        ((*BASIC, "--image_size", "0x5"), "expected WIDTHxHEIGHT"),
        ((*BASIC, "--fps", "0"), "'0': expected a number above 0"),
        ((*BASIC, "--fps", "nan"), "'nan': expected a number above 0"),
        ((*BASIC, "--fps", "90000"), "--fps 90000: expected frames a second, above 0 and at most 1000"),
        ((*BASIC, "--least_score", "-1"), "expected a number from 0 on"),
        ((*BASIC, "--first_frame", "2"), "invalid choice"),
        ((*BASIC, "--smooth", "x"), "'x': expected a number above 0"),
        ((*BASIC, "--keypoint_fps", "15"), "--keypoint_fps is for keypoints of a part of a video's frames"),
        ((*BASIC, "--predictions_fps", "15"), "--predictions_fps is the rate of another estimator's bodies"),
        ((*BASIC, "--start", "-1"), "'-1': expected a number"),
        ((*BASIC, "--start", "3", "--end", "3"), "--end 3: expected seconds after --start 3"),
        ((*BASIC, "--start", "9"), "--start 9: no frame from there; the last is at 0.633 s"),
        ((*BASIC, "--vid_path", "empty"), "--vid_path empty: holds neither videos nor images"),
        ((*BASIC, "--max_gap", "-1"), "argument --max_gap"),
        ((*BASIC, "--clip_len", "0"), "'0': expected a whole number from 1 on"),
        ((*BASIC, "--windows", "none"), "invalid choice"),
        ((*BASIC, *RELEASED, "--smooth"), "--smooth does not go with --windows released"),
        ((*BASIC, *RELEASED, "--axes", "camera"), "--axes does not go with --windows released"),
        ((*BASIC, "--axes", "z_up", "--formats", "glb"), "--axes z_up is the bvh's alone, which --formats leaves out"),
        ((*BASIC, "--bvh_names", "mixamo", "--formats", "glb"), "--bvh_names is the bvh's alone"),
        ((*BASIC, *RELEASED, "--fit", "keypoints"), "--fit keypoints does not go with --windows released"),
        ((*BASIC, *RELEASED, "--max_gap", "3"), "--max_gap does not go with --windows released"),
        ((*BASIC, *RELEASED, "--predictions", "p.npz"), "--predictions does not go with --windows released"),
        ((*BASIC, *RELEASED, "--ref_3d_motion_path", "r.npy"), "--ref_3d_motion_path does not go with --windows rel"),
        ((*BASIC, *RELEASED, "--formats", "npy,npz"), "--formats npz does not go with --windows released, whose mean"),
        ((*BASIC, *RELEASED, "--formats", "html"), "--formats html does not go with --windows released"),
        ((*BASIC, "--formats", "npy"), "--formats npy does not go with --windows overlap. Expected npz,mp4,sheet,html"),
        (("--demo", *RELEASED, "--smooth"), "--smooth does not go with --windows released"),
        ((*BASIC, "--formats", "npz,obj"), "'npz,obj': expected some of npz,mp4,sheet,html,glb,bvh"),
        ((*BASIC, "--tta", "rotate"), "invalid choice"),
        ((*BASIC, "--fit", "mesh"), "invalid choice"),
        ((*BASIC, "--fov", "180"), "'180': expected degrees, from 1 to below 179"),
        ((*BASIC, "--fov", "60", "--focal", "900"), "not allowed with argument --fov"),
        ((*BASIC, "--keypoint_format", "coco"), "invalid choice"),
        ((*BASIC, "--keypoint_format", "body25"), "holds 17 joints a person. Expected 25, as --keypoint_format says"),
        ((*BASIC, "--focus", "9"), "--focus 9: there is nobody of that number. Expected one of 0, 1."),
        ((*BASIC, "--device", "tpu"), "--device tpu: expected auto, cpu"),
        ((*BASIC, "--json_path", "none.json"), "none.json not found. Expected AlphaPose"),
        ((*BASIC, "--vid_path", "none.mp4"), "--vid_path none.mp4 not found"),
        ((*BASIC, "--evaluate", "none.bin"), "none.bin not found"),
        ((*BASIC, "--config", "none.yaml"), "none.yaml not found"),
        ((*BASIC, "--predictions", "none.npz"), "--predictions none.npz not found"),
        ((*BASIC, "--ref_3d_motion_path", "none.npy"), "--ref_3d_motion_path none.npy not found"),
        ((*BASIC, "--ref_3d_motion_path", "k.npz"), "error: k.npz "),
        ((*BASIC, "--ref_3d_motion_path", "text"), "error: text "),
        ((*BASIC, "--ref_3d_motion_path", "nan.npy"), "nan.npy: holds nan or infinity"),
        ((*BASIC, "--ref_3d_motion_path", "cut.npy"), "cut.npy ends early"),
        ((*BASIC, "--ref_3d_motion_path", "flat.npy"), "flat.npy: holds float64 (5, 3)"),
        ((*BASIC, "--out_path", "text/out"), "--out_path text/out: cannot be made"),
    ],
)  # fmt: skip
def test_what_a_user_gets_wrong_is_said_in_one_line(
    arguments, told, model_flags, npz_file, call, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    npz_file.rename("k.npz")
    Path("text").write_text("text")
    Path("empty").mkdir()
    np.save("flat.npy", np.zeros((5, 3)))
    np.save("nan.npy", np.full((5, 17, 3), np.nan))
    Path("cut.npy").write_bytes(Path("nan.npy").read_bytes()[:-9])
    status, _, error = call(*model_flags, *arguments)
    assert status == 2
    assert told in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "flag", [("--json_path", "k.npz"), ("--evaluate", "x.bin"), ("--set", "depth=3"), ("--fps", "25")]
)
def test_demo_takes_no_other_input(flag, call):
    status, _, error = call("--demo", *flag)
    assert status == 2
    assert error.startswith(f"error: {flag[0]} does not go with --demo")


def test_flags_name_what_there_is():
    assert ("auto", *FORMATS) == JOINT_ORDERS
    assert settings.WINDOWS == WINDOWS


def test_help_is_instant():
    code = "import sys; from kinemesh.program.wild.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "lib", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "--ref_3d_motion_path" in ran.stdout
