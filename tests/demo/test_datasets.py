"""The demo's data folder: complete, in the released formats, repeatable, and with test splits of their own."""

import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from kinemesh.body.assets import load_body_assets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import EVALUATED_JOINTS
from kinemesh.data.sources import load_dataset
from kinemesh.demo.datasets import BODY_FILES, DATASETS, MARKER_FILE, file_name, make_demo_data
from kinemesh.demo.splits import choose_kinds
from kinemesh.errors import UserError
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.metrics import mpjpe_mm, pa_mpjpe_mm
from kinemesh.motion.poses import HELD_OUT_KINDS
from kinemesh.structures import BodyParams
from tests.refusals import refuses

SCALE = 0.02
NAMES = [dataset.name for dataset in DATASETS]
FILES = [*BODY_FILES, *(file_name(name, flag) for name in NAMES for flag in (False, True))]


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "demo"
    assert make_demo_data(folder, SCALE)
    return folder


@pytest.fixture(scope="module")
def contents(demo_folder):
    """Every dataset file, by dataset name and whether it holds estimates."""
    return {
        (name, flag): pickle.loads((demo_folder / file_name(name, flag)).read_bytes())
        for name in NAMES
        for flag in (False, True)
    }


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_bytes_come_out_twice_and_a_complete_folder_is_left_alone(demo_folder, tmp_path):
    make_demo_data(tmp_path, SCALE)
    assert set(digests(tmp_path)) == {*FILES, MARKER_FILE}
    assert digests(tmp_path) == digests(demo_folder)
    before = {path: path.stat().st_mtime_ns for path in demo_folder.iterdir()}
    assert not make_demo_data(demo_folder, SCALE)
    assert before == {path: path.stat().st_mtime_ns for path in demo_folder.iterdir()}


@pytest.mark.parametrize("fault", ["no marker", "old version", "lost body", "cut file"])
def test_a_half_made_or_old_folder_is_made_again(demo_folder, tmp_path, fault):
    for path in demo_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    marker = tmp_path / MARKER_FILE
    if fault == "no marker":
        marker.unlink()
    elif fault == "old version":
        marker.write_text(json.dumps(json.loads(marker.read_text()) | {"version": -1}))
    elif fault == "lost body":
        (tmp_path / "SMPL_NEUTRAL.pkl").unlink()
    else:
        path = tmp_path / file_name("coco")
        path.write_bytes(path.read_bytes()[:100])
    assert make_demo_data(tmp_path, SCALE)
    assert digests(tmp_path) == digests(demo_folder)


def test_somebody_elses_body_model_is_never_replaced_and_an_unwritable_folder_named(tmp_path):
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(b"licensed")
    refuses(r"SMPL_NEUTRAL\.pkl exists and is not the stand-in body's", make_demo_data, tmp_path, SCALE)
    assert [path.name for path in tmp_path.iterdir()] == ["SMPL_NEUTRAL.pkl"]
    (tmp_path / "file").write_text("")
    with pytest.raises((UserError, OSError), match="file"):
        make_demo_data(tmp_path / "file" / "demo", SCALE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_estimates", [False, True])
def test_files_are_read_like_released_ones(demo_folder, name, with_estimates):
    dataset = load_dataset(name, demo_folder / file_name(name, with_estimates), needs_estimate=with_estimates)
    assert dataset.train.frame_count > 0 and dataset.test.frame_count > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_estimates", [False, True])
def test_arrays_have_the_released_shapes_and_ranges(contents, name, with_estimates):
    for split in contents[name, with_estimates].values():
        frame_count = len(split["source"])
        shapes = {"joint_2d": (17, 2), "confidence": (17,), "smpl_pose": (72,), "smpl_shape": (10,)}
        if with_estimates:
            shapes |= {"pred_smpl_pose": (72,), "pred_smpl_shape": (10,)}
        for key, shape in shapes.items():
            assert split[key].shape == (frame_count, *shape), key
            assert split[key].dtype == np.float32 and np.isfinite(split[key]).all(), key
        assert ("pred_smpl_pose" in split) == with_estimates
        labels = ("source", "action", "img_hw", *(("camera_name",) if name == "h36m" else ()))
        assert all(len(split[key]) == frame_count for key in labels)
        angles = np.linalg.norm(split["smpl_pose"].reshape(-1, 3), axis=-1)
        assert angles.max() <= np.pi + 1e-5
        assert np.abs(split["smpl_shape"]).max() <= 2.5
        height, width = np.array(split["img_hw"]).T
        inside = (split["joint_2d"] > 0).all(-1) & (split["joint_2d"] < np.stack([width, height], -1)[:, None]).all(-1)
        assert inside.mean() > 0.9


def test_frames_of_a_video_lie_together(contents):
    for content in contents.values():
        for split in content.values():
            source = np.array(split["source"])
            starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]])
            assert len(starts) == len(set(split["source"]))


@pytest.mark.parametrize("name", NAMES)
def test_test_people_and_videos_never_occur_in_training(contents, name):
    train, test = contents[name, False]["train"], contents[name, False]["test"]
    assert not set(train["source"]) & set(test["source"])
    shapes = [{row.tobytes() for row in split["smpl_shape"]} for split in (train, test)]
    assert not shapes[0] & shapes[1]
    roots = [{row.tobytes() for row in split["smpl_pose"][:, :3]} for split in (train, test)]
    assert not roots[0] & roots[1]


def test_no_train_split_shows_the_held_out_kinds_of_motion():
    """On the full plan, whose kinds are drawn without making the data."""
    for dataset in DATASETS:
        train = choose_kinds(np.random.default_rng(0), dataset.train)
        assert not set(train) & set(HELD_OUT_KINDS)
        test = choose_kinds(np.random.default_rng(0), dataset.test)
        if dataset.name == "h36m":
            assert set(test) >= set(HELD_OUT_KINDS) and 10 <= sum(kind in HELD_OUT_KINDS for kind in test) < len(test)
        if dataset.name == "pw3d":
            assert len(test) >= 60 and not set(test) & set(HELD_OUT_KINDS)


def test_videos_are_named_by_kind_and_camera(contents):
    split = contents["h36m", False]["test"]
    for source, action, camera in zip(split["source"], split["action"], split["camera_name"], strict=True):
        assert action in source and source.endswith(camera)


def test_keypoints_are_the_projected_joints(demo_folder, contents):
    """The H36M-like focal length is known: the true joints, moved in front of the camera, must meet the keypoints."""
    split = contents["h36m", False]["test"]
    rows = np.arange(0, len(split["source"]), 97)
    kinematics = JointKinematics(load_body_assets(demo_folder), torch.float64)
    rotations = rotations_from_axis_angle(torch.from_numpy(split["smpl_pose"][rows].astype(np.float64)))
    joints = (
        kinematics(BodyParams(rotations, torch.from_numpy(split["smpl_shape"][rows].astype(np.float64)))).numpy() / 1e3
    )
    seen = (split["joint_2d"][rows] - 500.0) / 1145.0
    weight = split["confidence"][rows, :, None] ** 2 + 1e-3
    for x, uv, w in zip(joints, seen, weight, strict=True):
        # u (z + tz) = x + tx: linear in the translation t.
        lines = np.concatenate(
            [
                np.stack([np.ones(17), np.zeros(17), -uv[:, 0]], -1) * w,
                np.stack([np.zeros(17), np.ones(17), -uv[:, 1]], -1) * w,
            ]
        )
        right = np.concatenate([(uv[:, :1] * x[:, 2:] - x[:, :1]) * w, (uv[:, 1:] * x[:, 2:] - x[:, 1:2]) * w])[:, 0]
        translation = np.linalg.lstsq(lines, right, rcond=None)[0]
        moved = x + translation
        assert 1.0 < translation[2] < 12.0
        assert np.median(np.abs(moved[:, :2] / moved[:, 2:] - uv)) * 1145.0 < 12.0


def test_estimates_are_as_wrong_as_such_systems_are(demo_folder, contents):
    kinematics = JointKinematics(load_body_assets(demo_folder))
    split = contents["h36m", True]["test"]

    def joints(pose: str, shape: str):
        rotations = rotations_from_axis_angle(torch.from_numpy(split[pose]))
        return kinematics(BodyParams(rotations, torch.from_numpy(split[shape])))

    pred, target = joints("pred_smpl_pose", "pred_smpl_shape"), joints("smpl_pose", "smpl_shape")
    assert 40.0 < pa_mpjpe_mm(pred, target).mean() < 70.0
    assert 60.0 < mpjpe_mm(pred, target).mean() < 120.0
    bends = [(x[2:] - 2 * x[1:-1] + x[:-2])[:, list(EVALUATED_JOINTS)].norm(dim=-1).median() for x in (pred, target)]
    assert bends[0] > 3.0 * bends[1]


def test_mean_pose_is_that_of_the_training_people(demo_folder, contents):
    """Arms hang and knees are a little bent on average; the root faces the camera upright."""
    mean = load_body_assets(demo_folder).mean_pose_6d.reshape(24, 3, 2)
    np.testing.assert_allclose(mean[0], [[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]], atol=1e-6)
    matrices = axis_angle_to_matrix(
        torch.cat([torch.from_numpy(contents[name, False]["train"]["smpl_pose"]) for name in NAMES]).view(-1, 24, 3)
    ).mean(dim=0)
    for joint in (4, 16, 18):
        left, _, right = np.linalg.svd(matrices[joint].numpy())
        np.testing.assert_allclose(mean[joint], (left @ right)[:, :2], atol=0.05)
