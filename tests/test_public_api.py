"""The public names: frozen, importable one by one, callable as documented, and installed under the same ranges."""

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import kinemesh
from kinemesh.body import load_body
from kinemesh.demo.video import make_video
from kinemesh.errors import PACKAGES
from kinemesh.structures import BodyParams
from tests.refusals import refused, refuses

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).parent.parent


def modules() -> list[str]:
    return [module.name for module in pkgutil.walk_packages(kinemesh.__path__, "kinemesh.")]


def test_the_names_are_these():
    """Adding one is a decision, taking one away a broken promise."""
    assert kinemesh.__all__ == [
        "Config", "build_model", "evaluate", "load", "load_config", "load_dataset", "predict", "save",
        "train",
    ]  # fmt: skip
    for name in kinemesh.__all__:
        assert callable(getattr(kinemesh, name)), name
    with pytest.raises(AttributeError, match="module 'kinemesh' has no attribute 'nothing'"):
        _ = kinemesh.nothing


def test_every_module_imports_and_no_name_is_both_function_and_room():
    rooms = {name.split(".")[1] for name in modules()}
    assert not rooms & set(kinemesh.__all__)
    for name in modules():
        if not name.endswith("__main__"):
            importlib.import_module(name)
    for name in kinemesh.__all__:
        assert callable(getattr(kinemesh, name)), name


def test_load_predict_and_save(tmp_path):
    predictor = kinemesh.load("builtin", device="cpu")
    video = make_video()
    tracks = predictor.predict(video.keypoints_px[:, :20], image_size=video.camera.image_size, fps=30)
    assert [track.poses.shape for track in tracks] == [(20, 72), (20, 72)]
    kinemesh.save(tracks, tmp_path / "out", formats=("npz", "glb"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"0.npz", "0.glb", "1.npz", "1.glb"}
    with np.load(tmp_path / "out" / "0.npz") as file:
        np.testing.assert_array_equal(file["poses"], tracks[0].poses)
    kinemesh.save(tracks, tmp_path / "one", formats="bvh", axes="z_up", bvh_names="mixamo")
    kinemesh.save(tracks, tmp_path / "two", formats="npz, amass")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"0.bvh", "1.bvh"}
    names = {"0.npz", "1.npz", "0_amass.npz", "1_amass.npz"}
    assert {path.name for path in (tmp_path / "two").iterdir()} == names
    with refused("--formats html2: no such format. Expected some of npz"):
        kinemesh.save(tracks, tmp_path / "out", formats="html2")
    refuses("0.npz: cannot be written", kinemesh.save, tracks, tmp_path / "out" / "0.npz")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fit": "typo"}, "fit 'typo': expected 'keypoints' or 'none'."),
        ({"windows": None}, "windows None: expected 'overlap' or 'released'."),
        ({"windows": "released", "fit": "keypoints"}, "fit 'keypoints' does not go with windows 'released'"),
        ({"smooth_s": -1.0}, "smooth_s -1.0: expected a number from 0 on."),
        ({"longest_gap": -1}, "longest_gap -1: expected a number from 0 on."),
        ({"focal_px": float("nan")}, "focal_px nan: expected a number from 0.001 on."),
        ({"focal_px": -5.0}, "focal_px -5.0: expected"),
        ({"clip_len": 0}, "clip_len 0: expected 1 to"),
        ({"image_size": (0, 720)}, r"image_size \(0, 720\): expected the picture's width and height"),
        ({"image_size": (1280,)}, "image_size"),
        ({"image_size": "1280x720"}, "image_size '1280x720': expected the picture's width and height"),
        ({"image_size": ("1280", "720")}, "image_size"),
        ({"image_size": None}, "image_size None: expected"),
        ({"fps": float("nan")}, "fps nan: expected frames a second"),
        ({"fps": None}, "fps None: expected frames a second"),
        ({"fps": "30"}, "fps '30': expected frames a second"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(settings, told):
    predictor, video = kinemesh.load("builtin", device="cpu"), make_video()
    given = {"image_size": video.camera.image_size, "fps": 30} | settings
    refuses(told, predictor.predict, video.keypoints_px[:, :4], **given)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda config: kinemesh.train(config, "run", kind="typo"), "kind 'typo': expected 'regressor' or 'refiner'."),
        (lambda config: kinemesh.build_model("typo", None, None), "kind 'typo': expected"),
        (lambda config: kinemesh.train(config, "run", seed=-1), "--seed -1: expected 0 to"),
        (lambda config: kinemesh.train(config, "run", print_freq=0), "--print_freq 0: expected 1 or more"),
        (lambda config: kinemesh.train(config, "run", report="r"), "--report works with --evaluate only"),
        (lambda config: kinemesh.train(config, "run", device="tpu"), "--device tpu: expected auto, cpu"),
        (lambda config: kinemesh.evaluate("x.bin", config, predictions_out="p.txt"), "p.txt: expected a name ending in"),
        (lambda config: kinemesh.evaluate("x.bin", config, protocols=("typo",)), "--protocol typo: expected one of"),
        (lambda config: kinemesh.load("builtin", device="tpu"), "--device tpu: expected auto, cpu"),
        (lambda config: kinemesh.load("builtin", device=7.5), "--device 7.5: expected auto, cpu"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_meant_is_refused(call, told, config_file, tmp_path, monkeypatch):
    config = config_file()
    monkeypatch.chdir(tmp_path)
    refuses(told, call, config)
    assert not (tmp_path / "run").exists()


def test_a_body_poses_joints_and_mesh_alike(body_folder, assets):
    body = load_body(body_folder)
    rotations, betas = np.broadcast_to(np.eye(3, dtype="f"), (2, 24, 3, 3)), np.zeros((2, 10), "f")
    import torch

    params = BodyParams(torch.tensor(rotations), torch.tensor(betas))
    torch.testing.assert_close(body.joints(params), body.mesh(params).joints_mm, atol=1e-2, rtol=0)
    assert len(body.assets.faces) == len(assets.faces)


def test_train_evaluate_and_the_parts_of_a_run(config_file, tmp_path, demo_folder, assets):
    path, folder = config_file(epochs=1, warmup_h36m=0, warmup_coco=0, dt_file_h36m=None), tmp_path / "run"
    trained = kinemesh.train(path, folder, device="cpu")
    scored = kinemesh.evaluate(folder / "best_epoch.bin", path, device="cpu", protocols=("motionbert", "wham"))
    assert scored["pw3d"]["mpjpe"] == pytest.approx(trained["pw3d"]["mpjpe"])
    assert scored["pw3d"]["protocols"]["wham"]["mpjpe"] > 0
    with refused("fit 'mesh': expected 'keypoints' or 'none'"):
        kinemesh.evaluate(folder / "best_epoch.bin", path, fit="mesh")
    config = kinemesh.load_config(path)
    assert isinstance(config, kinemesh.Config)
    model = kinemesh.build_model("regressor", config, assets)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    assert kinemesh.load_dataset("pw3d", demo_folder / "mesh_det_pw3d.pkl").test.frame_count > 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib")
def test_the_package_installs_the_ranges_of_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert all("#" in line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.match(r"\w", line))
    # A detector's runtime comes with --install_detector.
    extras = [name for key, extra in project["optional-dependencies"].items() if key != "detect" for name in extra]
    assert sorted(filter(None, listed)) == sorted(project["dependencies"] + extras)
    names = [re.split("[><=]", package)[0] for package in project["dependencies"]]
    assert {{"pyyaml": "yaml", "pillow": "PIL"}.get(name, name) for name in names} == set(PACKAGES)
