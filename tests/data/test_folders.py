"""A dataset as a folder: the same dict as the pickle's both ways, and the same numbers in training, unloaded."""

import json
import logging
import pickle

import numpy as np
import pytest
import torch

from kinemesh.data.clips import cut_clips
from kinemesh.data.folders import content_of_folder, read_content, write_folder
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import load_dataset
from kinemesh.files.pickles import load_pickle
from tests.refusals import refuses


def same(one, other) -> bool:
    """Whether two values are equal in type, shape and every bit."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        same_bits = one.tolist() == other.tolist() if one.dtype.hasobject else one.tobytes() == other.tobytes()
        return (one.dtype, one.shape) == (other.dtype, other.shape) and same_bits
    return one == other


@pytest.fixture
def content(make_content):
    """A dataset's dict in which every form of value occurs that a released file may have."""
    content = make_content("h36m")
    train = content["train"]
    count = len(train["joint_2d"])
    train["joint_2d"] = np.asfortranarray(train["joint_2d"])
    train["confidence"] = np.linspace(0, 1, count * 17).reshape(count, 17, 1)
    train["smpl_shape"][3, 0] = -0.0
    train["camera_name"] = np.array(train["camera_name"])
    train["action"] = np.array(train["source"], dtype=object)
    train["bytes"] = np.array(train["source"], "S")
    train["img_hw"] = [(1000, 1002)] * count
    train["rates"] = tuple(np.arange(count) / 3)
    train["halves"] = (np.arange(count) / 2).tolist()
    train["pred_smpl_shape"] = list(train["pred_smpl_shape"])
    train["is_kept"] = np.arange(count) % 2 == 0
    train["empty"] = np.zeros((count, 0), "f4")
    train |= {"fps": 50.0, "note": "läuft", "nothing": None}
    content["version"] = 3
    return content


def test_a_dict_comes_back_to_the_bit_from_a_folder_and_from_its_pickle(content, tmp_path, write_pickle):
    read = load_pickle(write_pickle(content), what="a dataset", encoding="latin1")
    write_folder(tmp_path / "folder", read, {"sources": ["mesh_det.pkl"]})
    back = content_of_folder(tmp_path / "folder", "a dataset")
    assert same(read, content) and same(back, content)
    assert same(pickle.loads(pickle.dumps(back, protocol=4)), content)


@pytest.mark.parametrize("dataset", ["h36m", "coco", "pw3d"])
def test_training_reads_the_same_numbers_from_a_folder_and_loads_none(dataset, make_content, write_pickle, tmp_path):
    content = make_content(dataset)
    whole = load_dataset(dataset, write_pickle(content), needs_estimate=True)
    write_folder(tmp_path / "folder", content, {})
    mapped = load_dataset(dataset, tmp_path / "folder", needs_estimate=True)
    assert mapped.describe() == whole.describe()
    for one, other in ((mapped.train, whole.train), (mapped.test, whole.test)):
        assert one.video_names == other.video_names and torch.equal(one.image_size, other.image_size)
        clips, _ = cut_clips(one.video_lengths, one.video_lengths, 1 if dataset == "coco" else 16, 8)
        batches = [ClipLoader(split, clips, batch_size=5, with_estimate=True).batches() for split in (one, other)]
        for batch, expected in zip(*batches, strict=True):
            torch.testing.assert_close(batch, expected, rtol=0, atol=0)
    address = np.load(tmp_path / "folder/train.smpl_pose.npy", mmap_mode="r")
    assert not np.shares_memory(mapped.train.smpl_pose.numpy(), address)  # another map of the same file
    assert not mapped.train.smpl_pose.numpy().flags.owndata
    assert len(load_dataset(dataset, tmp_path / "folder", sample_stride=7).train.smpl_pose) == -(-98 // 7)


def test_what_a_folder_cannot_hold_is_named(make_content, tmp_path):
    for key, value, message in (
        ("a/b", np.zeros(98), "train key 'a/b' has no name for a file"),
        ("x", {"a": 1}, "'train.x' is a dict, which a folder cannot hold"),
        ("x", np.zeros(98, complex), r"'train.x' is complex128 of shape \(98,\)"),
        ("x", [[1], [1, 2]], "'train.x' is a list of unequal rows"),
        ("x", float("nan"), "'train.x' is a float"),
        ("x", ["a", 1], "'train.x' is"),
    ):
        content = make_content("pw3d")
        content["train"][key] = value
        refuses(message, write_folder, tmp_path / "folder", content, {})
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_names_that_are_none_are_refused(make_content, tmp_path):
    write_folder(tmp_path / "folder", make_content("pw3d"), {})
    path = tmp_path / "folder/train.source.npy"
    codes = np.load(path)
    codes[7] = 99
    np.save(path, codes)
    refuses(r"'train.source' has a number beyond its 4 names", load_dataset, "pw3d", tmp_path / "folder")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"forms": {"train.source": "<U999999"}}, "makes 391999608 bytes"),
        ({"forms": {"train.source": "O8,O8"}}, "the form 'O8,O8' in its manifest is none"),
        ({"forms": {"train.source": 3}}, "the form '3' in its manifest is none"),
        ({"forms": []}, "'forms' in its manifest is a list"),
        ({"values": {"version": 1, "version.x": 2}}, "'version.x' in its manifest is within a value"),
        ({"order": {"": "ab", "train": [["x"], "none", 3]}}, ""),
    ],
)
def test_a_manifest_that_says_nonsense_is_one_line(told, message, make_content, tmp_path):
    content = make_content("pw3d")
    write_folder(tmp_path / "folder", content, {})
    path = tmp_path / "folder/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"] |= told
    path.write_text(json.dumps(manifest))
    if not message:
        assert content_of_folder(tmp_path / "folder", "a dataset").keys() == content.keys()
        return
    refuses(message, content_of_folder, tmp_path / "folder", "a dataset")


@pytest.mark.parametrize(
    ("splits", "tested", "is_val_left_out"),
    [(["train", "val", "test"], "name 2", True), (["train", "val", ""], "name 1", False)],
)
def test_motion_of_val_is_tested_on_or_said_to_be_left_out(write_motions, caplog, splits, tested, is_val_left_out):
    path, _ = write_motions(split=splits, length=np.array([7, 4, 9]))
    with caplog.at_level(logging.INFO, "kinemesh"):
        content, _ = read_content(path, "a dataset", 30.0)
    tested_on, trained_on = (set(content[split]["source"].names) for split in ("test", "train"))
    assert tested_on == {tested} and "name 1" not in trained_on and "name 0" in trained_on
    said = "1 sequences of split val are left out, since there are those of test"
    assert any(said in line for line in caplog.messages) == is_val_left_out
