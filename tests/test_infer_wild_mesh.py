"""The script as a user runs it: keypoints in, every file out, and everything a user can get wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

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
from tests.conftest import write_tiny_config
from tests.keypoints.alphapose import write_alphapose
from tests.runs import ROOT, run_python

CONFIG = str(ROOT / "configs/mesh/MB_demo.yaml")
RELEASED = ("--windows", "released")
BASIC = ("--json_path", "k.npz", "--out_path", "out", "--image_size", "1280x720")


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return main


def summary_of(folder: Path | str) -> dict:
    return json.loads(Path(folder, "summary.json").read_text())


@pytest.fixture(scope="module")
def demo_video() -> DemoVideo:
    return make_video()


@pytest.fixture
def model_flags(body_folder) -> list:
    return ["--config", CONFIG, "--evaluate", str(CHECKPOINT_PATH), "--set", f"data_root={body_folder}"]


@pytest.fixture
def walk(model_flags, demo_video, tmp_path) -> list:
    """The flags that make npz files of k.npz, 20 frames of the demo's two people."""
    np.savez(tmp_path / "k.npz", keypoints=demo_video.keypoints_px[:, :20])
    return [*model_flags, *BASIC, "--formats", "npz"]


def test_round_trip_from_a_shell(demo_video, model_flags, tmp_path):
    """Two people who cross before a known camera: where they are, how they stand, when they are hidden."""
    out = tmp_path / "out"
    keypoints = write_alphapose(tmp_path / "alphapose-results.json", demo_video.keypoints_px)
    ran = run_python(
        "infer_wild_mesh.py", *model_flags, "--json_path", keypoints, "--out_path", out, "--image_size", "1280x720",
        "--fps", "30", "--focal", "1400", "--pixel", "--no_render",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "person 1: 120 frames" in ran.stdout
    written = {f"{person}.{kind}" for person in (1, 2) for kind in ("npz", "glb", "bvh")}
    assert set(os.listdir(out)) == {"viewer.html", "summary.json"} | written
    summary = summary_of(out)
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
def test_the_focal_length_is_given_in_any_of_three_ways(flags, focal_px, walk, succeeds):
    succeeds(*walk, *flags)
    assert summary_of("out")["focal_px"] == pytest.approx(focal_px, abs=0.1)


def test_a_fit_is_summed_up_and_can_be_left_out(walk, succeeds):
    for fit in ("keypoints", "none"):
        succeeds(*walk, "--pixel", "--focal", "1400", "--fit", fit, "--out_path", fit)
    fitted, unfitted = summary_of("keypoints"), summary_of("none")
    assert fitted["settings"]["fit"] == "keypoints"
    for name, facts in fitted["people"].items():
        plain, fit = unfitted["people"][name], facts["fit"]
        assert "fit" not in plain
        assert fit["reprojection_error_before_px"] == pytest.approx(plain["reprojection_error_px"], rel=0.01)
        assert fit["reprojection_error_after_px"] == pytest.approx(facts["reprojection_error_px"], rel=0.01)
        assert facts["reprojection_error_px"] < 0.8 * plain["reprojection_error_px"]
        assert fit["frames_kept"] == fit["frames_sides_exchanged"] == 0


def test_demo_needs_no_file(tmp_path):
    formats = "npz,html,bvh,amass"
    ran = run_python(
        ROOT / "infer_wild_mesh.py",
        "--demo",
        "--formats",
        formats,
        "--axes",
        "z_up",
        "--bvh_names",
        "mixamo",
        folder=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert "the body is a stand-in, not SMPL" in ran.stdout
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    owned = {f"{person}{ending}" for person in (0, 1) for ending in (".npz", ".bvh", "_amass.npz")}
    assert names == {f"out/demo/{name}" for name in (*owned, "viewer.html", "summary.json")}
    summary = summary_of(tmp_path / "out/demo")
    assert set(summary["files"]) == owned | {"viewer.html"} and summary["written"]["axes"] == "z_up"
    assert "ROOT mixamorig:Hips" in (tmp_path / "out/demo/0.bvh").read_text()
    rows = (tmp_path / "out/demo/1.bvh").read_text().split("Frame Time:")[1].split("\n")[1:-1]
    assert all(3 < float(row.split()[1]) < 9 for row in rows)  # before the camera, which looks along +y


@pytest.mark.parametrize(("path", "name"), [(CHECKPOINT_PATH, "MB_demo"), (BUILTIN_PATH, "MB_builtin")])
def test_shipped_checkpoints_are_of_their_configs(path, name):
    config = load_config(ROOT / f"configs/mesh/{name}.yaml")
    open_checkpoint(path, config).build_model(StandIn().assets)  # raises where sizes differ
    assert open_checkpoint(path).config.clip_len == config.clip_len
    assert "NOT for SMPL" in load_checkpoint(path)["note"]
    assert path.stat().st_size <= 4 << 20


def write_video(path, frame_count: int, rate: float) -> None:
    """A video whose pictures tell their number by brightness."""
    with video_writer(Path(path), (128, 72), rate) as add_frame:
        for number in range(frame_count):
            add_frame(np.full((72, 128, 3), 5 * number, dtype=np.uint8))


def test_a_video_gives_size_rate_and_frames(walk, model_flags, succeeds, fails):
    write_video("walk.mp4", 24, 24.0)
    flags = [*model_flags, "--vid_path", "walk.mp4", "--json_path", "k.npz", "--formats", "npz", "--out_path", "out"]
    assert "keypoints lie outside the picture of 128x72" in succeeds(*flags)
    summary = summary_of("out")
    assert (summary["image_size"], summary["fps"], summary["frames"]) == ([128, 72], 24.0, 24)
    assert "--image_size 1280x720: walk.mp4 is 128x72" in fails(*flags, "--image_size", "1280x720")
    np.savez("k.npz", keypoints=np.random.default_rng(0).uniform(0, 70, (60, 17, 3)))
    assert "has 24 frames, but there are keypoints of frame 59" in fails(*flags)


def test_a_folder_of_videos_a_part_of_each(demo_video, model_flags, call, succeeds, fails):
    """One at the video's rate, one at half of it; what is written begins at --start, and keeps the video's numbers."""
    for name, step in (("walk", 1), ("run", 2)):
        Path("videos").mkdir(exist_ok=True), Path("keypoints").mkdir(exist_ok=True)
        write_video(f"videos/{name}.mp4", 40, 20.0)
        np.savez(f"keypoints/{name}.npz", keypoints=demo_video.keypoints_px[:1, :40:step])
    flags = [*model_flags, "--formats", "npz,mp4"]
    both = ("--vid_path", "videos", "--json_path", "keypoints", "--out_path", "out")
    status, output, error = call(*flags, *both, "--start", "0.5", "--end", "1")
    assert status == 2
    assert "1 of 2 videos failed (run.mp4); the others are written" in error
    assert "has 40 frames, 20 a second, but the keypoints end with frame 19" in output
    videos = summary_of("out")["videos"]
    assert (videos["walk.mp4"]["frames"], videos["walk.mp4"]["first_frame"]) == (10, 10)
    assert "--keypoint_fps 10" in videos["run.mp4"]["error"]
    with np.load("out/walk/0.npz") as file:
        np.testing.assert_array_equal(file["frame_ids"], np.arange(10, 20))
        np.testing.assert_allclose(file["time_s"], np.arange(10, 20) / 20)
    assert video_info(Path("out/walk/mesh.mp4"))[:4] == (128, 72, 10, 20.0)
    assert next(read_frames(Path("out/walk/mesh.mp4")))[:4].mean() == pytest.approx(50, abs=4)

    one = [*flags, "--keypoint_fps", "10", "--json_path", "keypoints/run.npz"]
    error = fails(*one, "--vid_path", "videos/run.mp4", "--out_path", "out")
    assert "holds the results of" in error and "--overwrite" in error
    succeeds(*one, "--vid_path", "videos/run.mp4", "--out_path", "out/run")
    assert video_info(Path("out/run/mesh.mp4"))[:4] == (128, 72, 20, 10.0)
    found = [frame[:4].mean() for frame in read_frames(Path("out/run/mesh.mp4"))]
    np.testing.assert_allclose(found, 10 * np.arange(20), atol=5)  # every second picture
    error = fails(*one, "--vid_path", "videos/walk.mp4", "--out_path", "out/run")
    assert f"--out_path out/run: holds the results of {Path('videos/run.mp4').resolve()}" in error


def write_as_coco(demo_video, frames, image=int, guessed=()) -> None:
    """k.json: the demo's first person, H36M's 17 joints in a layout whose 17 are COCO's; no right wrist in some."""
    points = demo_video.keypoints_px[0]
    items = [{"image_id": image(frame), "keypoints": points[frame].ravel().tolist()} for frame in frames]
    for frame in guessed:
        items[frame]["keypoints"][3 * 16] = None
    Path("k.json").write_text(json.dumps(items))


OF_COCO = ("--json_path", "k.json", "--image_size", "1280x720", "--out_path", "out")
IN_ORDER = ("--keypoint_format", "h36m17")


def test_joints_read_in_a_wrong_order_are_told_with_the_flag_that_mends_it(demo_video, model_flags, succeeds):
    write_as_coco(demo_video, range(20))
    output = succeeds(*model_flags, *OF_COCO, "--formats", "npz")
    assert "of the person's size" in output
    assert "likely cause: the joints are in the order of H36M-17: --keypoint_format h36m17" in output
    assert "warning" not in succeeds(*model_flags, *OF_COCO, "--formats", "npz", *IN_ORDER)
    assert summary_of("out")["people"]["0"]["reprojection_error_of_size"] < 0.05


def test_what_is_a_guess_is_written_down(demo_video, model_flags, succeeds):
    write_as_coco(demo_video, range(20), guessed=range(5))
    succeeds(*model_flags, *OF_COCO, "--formats", "npz", *IN_ORDER)
    facts = summary_of("out")["people"]["0"]
    is_seen = demo_video.keypoints_px[0, :20, :, 2] > 0
    is_seen[:5, 16] = False
    guessed = dict(zip(H36M_JOINT_NAMES, (~is_seen).mean(axis=0).tolist(), strict=True))
    assert facts["joints_guessed"] == {name: share for name, share in guessed.items() if share}
    assert facts["joints_guessed"]["right_wrist"] == 0.25
    with np.load("out/0.npz") as file:
        np.testing.assert_array_equal(file["joint_seen"], is_seen)
        assert file["reprojection_error_px"].shape == (20,)
        assert 0 < file["reprojection_error_px"].max() < 30


def test_separate_pictures_give_bodies_and_nothing_in_time(demo_video, model_flags, succeeds):
    """Nothing that is written grows with the number of an image."""
    write_as_coco(demo_video, range(2), image=lambda frame: (139, 10**14)[frame])
    output = succeeds(*model_flags, *OF_COCO, *IN_ORDER)
    assert "separate pictures have no time: mp4, sheet, html, glb, bvh left out" in output
    assert sorted(os.listdir("out")) == [f"{10**14}.npz", "139.npz", "summary.json"]
    assert sum(path.stat().st_size for path in Path("out").iterdir()) < 40_000
    assert summary_of("out")["frames"] == 2
    with np.load("out/139.npz") as file:
        assert file["frame_ids"].tolist() == [139]


def test_refines_another_estimators_bodies(demo_video, walk, body_folder, assets, succeeds):
    config_file = write_tiny_config(Path("refine.yaml"), body_folder, "MB_demo_refine_hybrik.yaml", {})
    config = load_config(config_file)
    model = build_model("refiner", config, assets)
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, "refiner.bin")
    betas = np.repeat(demo_video.betas[:1], 20, axis=0)
    columns = {"video": np.full(20, "walk"), "frame": np.arange(20), "poses": demo_video.poses[0, :20], "betas": betas}
    np.savez("theirs.npz", **columns)
    flags = ("--config", config_file, "--evaluate", "refiner.bin", "--predictions", "theirs.npz", "--formats", "npz")
    assert "not predicted, and so left out: 1" in succeeds(*flags, *BASIC, "--focal", "1400", "--fit", "none")
    with np.load("out/0.npz") as file:
        np.testing.assert_allclose(file["betas"], demo_video.betas[0], atol=1e-4)
        assert np.linalg.norm(file["joints"] - demo_video.joints_m[0, :20], axis=-1).mean() < 0.2


def test_without_a_network_an_estimators_bodies_are_placed_and_fitted(demo_video, walk, body_folder, succeeds):
    """No config and no checkpoint is opened; people are paired by whose body fits whose keypoints."""
    turned = np.radians(9.0) * np.random.default_rng(0).standard_normal((2, 1, 72)) * (np.arange(72) < 60)
    poses = (demo_video.poses[:, :20] + turned).astype(np.float32)
    columns = {"video": np.full(40, "walk"), "person": np.repeat(["b", "a"], 20), "frame": np.tile(np.arange(20), 2)}
    np.savez("theirs.npz", poses=poses[::-1].reshape(40, 72), betas=np.repeat(demo_video.betas[::-1], 20, 0), **columns)
    flags = (
        *BASIC, "--evaluate", "none", "--predictions", "theirs.npz", "--set", f"data_root={body_folder}",
        "--focal", "1400", "--no_render", "--device", "cpu",
    )  # fmt: skip
    errors_mm = {}
    for fit in ("none", "keypoints"):
        output = succeeds(*flags, "--fit", fit, "--out_path", fit)
        assert "b of theirs.npz is 1" in output
        assert "windows" not in output
        assert {"0.npz", "1.glb", "0.bvh", "viewer.html"} < set(os.listdir(fit))
        summary = summary_of(fit)
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
def test_without_a_network_what_is_wrong_is_said_in_one_line(arguments, told, walk, fails):
    assert told in fails(*BASIC, "--evaluate", "none", *arguments)


def test_reference_motion(demo_video, walk, succeeds, fails):
    np.save("reference.npy", demo_video.joints_m[0, :20] * 2.0)
    succeeds(*walk, "--ref_3d_motion_path", "reference.npy", "--focus", "0")
    assert summary_of("out")["people"]["0"]["reference_scale_m"] == pytest.approx(0.5, rel=0.2)
    error = fails(*walk, "--ref_3d_motion_path", "reference.npy")
    assert "--ref_3d_motion_path is of one person, but there are 2. Give --focus" in error


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
def test_what_a_user_gets_wrong_is_said_in_one_line(arguments, told, model_flags, walk, fails):
    Path("text").write_text("text")
    Path("empty").mkdir()
    np.save("flat.npy", np.zeros((5, 3)))
    np.save("nan.npy", np.full((5, 17, 3), np.nan))
    Path("cut.npy").write_bytes(Path("nan.npy").read_bytes()[:-9])
    assert told in fails(*model_flags, *arguments)


@pytest.mark.parametrize(
    "flag", [("--json_path", "k.npz"), ("--evaluate", "x.bin"), ("--set", "depth=3"), ("--fps", "25")]
)
def test_demo_takes_no_other_input(flag, fails):
    assert fails("--demo", *flag).startswith(f"error: {flag[0]} does not go with --demo")


def test_flags_name_what_there_is():
    assert ("auto", *FORMATS) == JOINT_ORDERS
    assert settings.WINDOWS == WINDOWS


def test_help_is_instant():
    code = "import sys; from kinemesh.program.wild.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    ran = run_python("-c", code, folder=ROOT / "lib")
    assert ran.returncode == 0, ran.stderr
    assert "--ref_3d_motion_path" in ran.stdout
