"""Each fault that a dataset or a body may have, made on purpose, is found and named; clean data raises no alarm."""

import dataclasses

import numpy as np
import pytest
import torch

from kinemesh.body.assets import load_body_assets
from kinemesh.data.sources import load_dataset
from kinemesh.program.check.values import body_findings, dataset_findings
from tests.refusals import refused


@pytest.fixture(scope="module")
def datasets(demo_folder):
    return {name: load_dataset(name, demo_folder / f"mesh_det_{name}.pkl") for name in ("h36m", "coco", "pw3d")}


@pytest.fixture
def warnings(kinematics):
    """What a dataset is warned of: (what, found) of each finding that is not ok."""

    def found(dataset) -> list[tuple[str, str]]:
        findings = dataset_findings(dataset, ("train", "test"), "x.pkl", kinematics)
        return [(each.what, each.found) for each in findings if each.state != "ok"]

    return found


@pytest.mark.parametrize("name", ["h36m", "coco", "pw3d"])
def test_clean_data_raises_no_alarm(name, datasets, warnings):
    assert warnings(datasets[name]) == []


def taken(split, rows, keys=("keypoints_px", "confidence", "smpl_pose", "smpl_shape")):
    """The split with these rows of some arrays."""
    return dataclasses.replace(
        split, **{key: getattr(split, key)[rows] for key in keys if getattr(split, key) is not None}
    )


def by_video(split, order):
    """Rows of a split with each video's frames in another order; `order` gives it for a length."""
    firsts = np.cumsum(split.video_lengths) - split.video_lengths
    return np.concatenate([first + order(length) for first, length in zip(firsts, split.video_lengths, strict=True)])


def shuffle(length):
    return np.random.default_rng(0).permutation(length)


def turn(length):
    return np.arange(length)[::-1].copy()


def of_frame(step):
    return lambda length: (np.arange(length) + step).clip(0, length - 1)


def copied(dataset):
    """A tenth of the test frames are the train split's."""
    test, train = dataset.test, dataset.train
    pose, shape = test.smpl_pose.clone(), test.smpl_shape.clone()
    pose[::10], shape[::10] = train.smpl_pose[: len(pose[::10])], train.smpl_shape[: len(pose[::10])]
    return dataset._replace(test=dataclasses.replace(test, smpl_pose=pose, smpl_shape=shape))


def renamed(dataset):
    names = [dataset.train.video_names[3], *dataset.test.video_names[1:]]
    return dataset._replace(test=dataclasses.replace(dataset.test, video_names=names))


def in_train(change):
    return lambda dataset: dataset._replace(train=change(dataset.train))


def unpadded(split):
    """Landscape pictures of 16:9 that lay in the middle of the square, put into its upper corner."""
    margin = split.image_size[1] * (1 - 9 / 16) / 2
    inside = ((split.keypoints_px[..., 1] > margin) & (split.keypoints_px[..., 1] < split.image_size[1] - margin)).all(
        -1
    )
    rows = inside.nonzero().squeeze(1)
    split = taken(split, rows)
    lengths = np.ones(len(rows), dtype=np.int64)
    moved = split.keypoints_px - torch.tensor([0.0, margin.item()])
    names = [str(row) for row in range(len(rows))]
    return dataclasses.replace(split, keypoints_px=moved, video_lengths=lengths, video_names=names)


KEYPOINTS, POSES = ("keypoints_px", "confidence"), ("smpl_pose", "smpl_shape")
FAULTS = {
    "test frames copied from train": (copied, "pw3d splits", "of the test bodies are in the train split too: test frames"),
    "names in both splits": (renamed, "pw3d splits", "1 of 6 test videos have names of the train split (pw3d_train_"),
    "frames shuffled in each video": (
        in_train(lambda split: taken(split, by_video(split, shuffle))), "pw3d train order", "bodies move from frame to frame",
    ),
    "keypoints shuffled": (
        in_train(lambda split: taken(split, by_video(split, shuffle), KEYPOINTS)), "pw3d train order", "keypoints move from",
    ),
    "frames shuffled over all videos": (
        in_train(lambda split: dataclasses.replace(
            split, video_names=[split.video_names[row % 300] for row in range(split.frame_count)],
            video_lengths=np.ones(split.frame_count, dtype=np.int64),
        )), "pw3d train videos", "a video's frames do not stand together. Were they shuffled?",
    ),
    "videos reversed": (
        in_train(lambda split: taken(split, by_video(split, turn))), "pw3d train order", "the videos look reversed",
    ),
    "keypoints reversed": (
        in_train(lambda split: taken(split, by_video(split, turn), KEYPOINTS)), "pw3d train order", "one of them is reversed",
    ),
    "frames duplicated": (
        in_train(lambda split: taken(split, by_video(split, lambda length: np.arange(length) // 2 * 2))),
        "pw3d train repeats", "50.0% of the frames are there before, one of them 2 times: frames are duplicated",
    ),
    "poses a frame early": (
        in_train(lambda split: taken(split, by_video(split, of_frame(1)), POSES)), "pw3d train order",
        "when taken from 1 frame later: poses and keypoints are shifted",
    ),
    "poses a frame late": (
        in_train(lambda split: taken(split, by_video(split, of_frame(-1)), POSES)), "pw3d train order",
        "when taken from 1 frame earlier: poses and keypoints are shifted",
    ),
    "not padded to the square": (in_train(unpadded), "pw3d train pixels", "a square whose lower half stays empty"),
    "upright, not padded": (
        in_train(lambda split: dataclasses.replace(
            unpadded(split), keypoints_px=unpadded(split).keypoints_px.flip(-1)
        )), "pw3d train pixels", "a square whose right half stays empty",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_named(fault, datasets, warnings):
    make, what, words = FAULTS[fault]
    found = warnings(make(datasets["pw3d"]))
    assert any(where == what and words in text for where, text in found), found


@pytest.mark.parametrize(("factor", "unit"), [(100, "cm"), (1000, "mm")])
def test_a_body_that_is_not_in_metres_stops_every_run(factor, unit, assets, tmp_path):
    arrays = {
        "v_template": assets.v_template * factor, "f": assets.faces, "weights": assets.skinning_weights,
        "J_regressor": assets.J_regressor, "shapedirs": assets.shapedirs, "posedirs": assets.posedirs,
        "kintree_table": np.array([assets.parents, np.arange(24)]),
    }  # fmt: skip
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **arrays)
    with refused(rf"'v_template' is \d+ m tall: it is in {unit}. Expected metres; .* by {factor},"):
        load_body_assets(tmp_path)
    squeezed = dataclasses.replace(assets, v_template=assets.v_template / 3)
    assert {each.what: each.state for each in body_findings(squeezed, "x")}["body size"] == "warning"


def test_faces_inside_out_are_found(assets):
    turned = dataclasses.replace(assets, faces=assets.faces[:, ::-1].copy())
    found = {finding.what: finding for finding in body_findings(turned, "x")}
    assert found["body faces"].state == "warning" and "all seen from inside" in found["body faces"].found
