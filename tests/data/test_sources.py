import logging

import numpy as np
import pytest

from kinemesh.data.sources import RELEASED, load_dataset
from tests.refusals import refused, refuses


@pytest.mark.parametrize("dataset", ["h36m", "coco", "pw3d"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_are_those_of_the_file(dataset, protocol, make_content, write_pickle):
    content = make_content(dataset)
    loaded = load_dataset(dataset, write_pickle(content, protocol), needs_estimate=True)
    for split, arrays in ((loaded.train, content["train"]), (loaded.test, content["test"])):
        assert split.dataset == dataset
        np.testing.assert_array_equal(split.keypoints_px, arrays["joint_2d"])
        np.testing.assert_array_equal(split.smpl_pose, arrays["smpl_pose"])
        np.testing.assert_array_equal(split.smpl_shape, arrays["smpl_shape"])
        np.testing.assert_array_equal(split.estimate_pose, arrays["pred_smpl_pose"])
        np.testing.assert_array_equal(split.estimate_betas, arrays["pred_smpl_shape"])
        if dataset == "h36m":
            assert split.confidence is None
        else:
            np.testing.assert_array_equal(split.confidence, arrays["confidence"][..., 0])


def test_videos_are_runs_of_one_name_and_a_name_that_comes_back_is_another(make_content, write_pickle, caplog):
    split = load_dataset("pw3d", write_pickle(make_content("pw3d"))).train
    assert split.video_names == ["video_0", "video_1", "video_2", "video_3"]
    assert split.video_lengths.tolist() == [40, 9, 16, 33]
    np.testing.assert_array_equal(split.video_index, np.repeat([0, 1, 2, 3], [40, 9, 16, 33]))
    names, frames = split.locate(np.array([0, 39, 40, 97]))
    assert names.tolist() == ["video_0", "video_0", "video_1", "video_3"] and frames.tolist() == [0, 39, 0, 32]
    content = make_content("pw3d")
    content["train"]["source"][49:65] = ["video_0"] * 16
    split = load_dataset("pw3d", write_pickle(content)).train
    assert split.video_names == ["video_0", "video_1", "video_0", "video_3"]
    assert split.video_lengths.tolist() == [40, 9, 16, 33]
    assert "'source' comes back" in caplog.text


def test_images_need_no_video_names(make_content, write_pickle):
    content = make_content("coco")
    for split in content.values():
        del split["source"]
    loaded = load_dataset("coco", write_pickle(content))
    assert loaded.train.video_lengths.tolist() == [1] * 98
    assert loaded.describe() == "COCO: 98 train frames, 49 test frames"


def test_describe_counts_frames_and_videos(make_content, write_pickle, caplog):
    caplog.set_level(logging.INFO)
    path = write_pickle(make_content("h36m", train=(2000,)))
    assert load_dataset("h36m", path).describe() == "H36M: 2,000 train frames in 1 video, 49 test frames in 3 videos"
    assert "2,000 train frames" in caplog.text


@pytest.mark.parametrize(
    "as_text", [np.array, lambda names: np.array(names, "S"), lambda names: np.array(names, object), tuple]
)
def test_names_may_be_a_list_or_an_array(as_text, make_content, write_pickle):
    content = make_content("h36m")
    expected = load_dataset("h36m", write_pickle(content)).train
    for key in ("source", "camera_name"):
        content["train"][key] = as_text(content["train"][key])
    split = load_dataset("h36m", write_pickle(content)).train
    assert split.video_names == expected.video_names
    np.testing.assert_array_equal(split.video_lengths, expected.video_lengths)
    np.testing.assert_array_equal(split.image_size, expected.image_size)


def test_image_size_by_camera(make_content, write_pickle):
    size = load_dataset("h36m", write_pickle(make_content("h36m"))).train.image_size
    heights = {0: 1002, 40: 1000, 49: 1000, 65: 1002}
    assert size.shape == (98, 2) and (size[:, 0] == 1000).all()
    assert {row: int(size[row, 1]) for row in heights} == heights
    assert load_dataset("coco", write_pickle(make_content("coco"))).train.image_size.tolist() == [640, 640]
    assert load_dataset("pw3d", write_pickle(make_content("pw3d"))).train.image_size.tolist() == [1920, 1920]


@pytest.mark.parametrize("stride", [2, 7, 20])
def test_sample_stride_keeps_the_same_frames_of_every_array(stride, make_content, write_pickle):
    content = make_content("h36m")
    path = write_pickle(content)
    whole = load_dataset("h36m", path, needs_estimate=True).train
    strided = load_dataset("h36m", path, needs_estimate=True, sample_stride=stride).train
    for name in ("keypoints_px", "image_size", "smpl_pose", "smpl_shape", "estimate_pose", "estimate_betas"):
        np.testing.assert_array_equal(getattr(strided, name), getattr(whole, name)[::stride])
    names, frames = whole.locate(np.arange(98)[::stride])
    assert sum(strided.video_lengths) == strided.frame_count == len(names)
    kept_names, kept_frames = strided.locate(np.arange(strided.frame_count))
    np.testing.assert_array_equal(kept_names, names)
    np.testing.assert_array_equal(kept_frames, frames)


def test_a_video_that_striding_skips_is_left_out(make_content, write_pickle):
    split = load_dataset("pw3d", write_pickle(make_content("pw3d", train=(8, 3, 9))), sample_stride=12).train
    assert split.video_names == ["video_0", "video_2"] and split.video_lengths.tolist() == [1, 1]
    names, frames = split.locate(np.array([1]))
    assert names.tolist() == ["video_2"] and frames.tolist() == [1]


def test_other_number_types_and_channels_are_converted(make_content, write_pickle):
    content = make_content("pw3d")
    expected = load_dataset("pw3d", write_pickle(content)).train
    train = content["train"]
    train["joint_2d"] = np.concatenate([train["joint_2d"], train["confidence"]], axis=-1).astype("f8")
    train["confidence"] = train["confidence"][..., 0].astype("f8")
    train["smpl_pose"] = np.asfortranarray(train["smpl_pose"])
    train["smpl_shape"] = list(train["smpl_shape"])
    split = load_dataset("pw3d", write_pickle(content)).train
    for name in ("keypoints_px", "confidence", "smpl_pose", "smpl_shape"):
        value = getattr(split, name)
        assert value.is_contiguous() and value.dtype == expected.keypoints_px.dtype
        np.testing.assert_array_equal(value, getattr(expected, name))
    train["joint_2d"] = np.round(train["joint_2d"]).astype("i4")
    assert load_dataset("pw3d", write_pickle(content)).train.keypoints_px.dtype == expected.keypoints_px.dtype


def test_an_estimate_is_read_only_where_it_is_needed_and_where_it_may_come_from_is_said(make_content, write_pickle):
    content = make_content("pw3d")
    del content["test"]["pred_smpl_pose"]
    path = write_pickle(content)
    assert load_dataset("pw3d", path).train.estimate_pose is None
    with refused(r"test 'pred_smpl_pose' is missing. Expected another estimator's bodies to refine"):
        load_dataset("pw3d", path, needs_estimate=True)
    for name, advice in (("pw3d", r"or --predictions; fix"), ("coco", r"or no images: --set dt_file_coco=null; fix")):
        content = make_content(name)
        del content["train"]["pred_smpl_pose"]
        refuses(advice, load_dataset, name, write_pickle(content), needs_estimate=True)


def test_confidence_of_an_h36m_file_is_used_if_there_is_one(make_content, write_pickle):
    content = make_content("h36m")
    content["train"]["confidence"] = np.full((98, 17), 0.5)
    loaded = load_dataset("h36m", write_pickle(content))
    assert (loaded.train.confidence == 0.5).all() and loaded.test.confidence is None


def set_value(key, row, value):
    def change(split):
        split[key][row] = value

    return change


def put(key, make):
    def change(split):
        split[key] = make(split.get(key))

    return change


FAULTS = {
    "no key": (lambda split: split.pop("smpl_pose"), r"'smpl_pose' is missing. Expected the arrays of a released"),
    "no confidence": (lambda split: split.pop("confidence"), r"'confidence' is missing"),
    "nan": (set_value("joint_2d", (7, 3, 1), np.nan), r"'joint_2d' row 7 holds nan or infinity. Expected finite"),
    "beyond pixels": (set_value("joint_2d", (7, 3, 1), 1e30), r"'joint_2d' row 7 holds 1e\+30. Expected pixels"),
    "beyond betas": (set_value("smpl_shape", (5, 0), 1e30), r"'smpl_shape' row 5 holds 1e\+30. Expected betas"),
    "infinity": (set_value("smpl_shape", (5, 0), -np.inf), r"'smpl_shape' row 5 holds nan or infinity"),
    "beyond float32": (put("smpl_shape", lambda a: a.astype("f8") * 1e300), r"'smpl_shape' row 0 holds nan or infinity"),
    "confidence nan": (set_value("confidence", (97, 16, 0), np.nan), r"'confidence' row 97 holds nan"),
    "degrees": (set_value("smpl_pose", (9, 4), -90.0), r"'smpl_pose' row 9 holds 90. Expected axis-angle in radians"),
    "normalised": (put("joint_2d", lambda a: a / 400), r"'joint_2d' lies between .* Expected pixels, not normalised"),
    "joints": (put("joint_2d", lambda a: a[:, :16]), r"'joint_2d' has shape \(98, 16, 2\). Expected numbers of shape \(frames, 17, 2\)"),
    "one channel": (put("joint_2d", lambda a: a[..., :1]), r"'joint_2d' has shape \(98, 17, 1\)"),
    "pose shape": (put("smpl_pose", lambda a: a[:, :69]), r"'smpl_pose' has shape \(98, 69\). Expected .*\(frames, 72\)"),
    "confidence shape": (put("confidence", lambda a: a[:, :, [0, 0]]), r"'confidence' has shape \(98, 17, 2\)"),
    "rows": (put("smpl_shape", lambda a: a[:-1]), r"'smpl_shape' has 97 rows. Expected as many as 'joint_2d', 98"),
    "text rows": (put("source", lambda a: a[:-2]), r"'source' has 96 rows. Expected as many as 'joint_2d', 98"),
    "no frames": (put("joint_2d", lambda a: a[:0]), r"'joint_2d' has no frames. Expected at least one"),
    "bool": (put("confidence", lambda a: a > 0), r"'confidence' is an array of bool. Expected numbers"),
    "text": (put("smpl_pose", lambda a: a.astype(str)), r"'smpl_pose' is an array of <U32. Expected numbers"),
    "none": (put("smpl_pose", lambda _: None), r"'smpl_pose' is a NoneType. Expected numbers"),
    "unequal rows": (put("smpl_pose", lambda _: [[1.0], [1.0, 2.0]]), r"'smpl_pose' is a list of unequal rows"),
    "source numbers": (put("source", lambda a: np.arange(len(a))), r"'source' is an array of int64 of shape \(98,\)"),
    "source number": (set_value("source", 3, 3), r"'source' row 3 is of type int. Expected a list or an array of text"),
    "source dict": (put("source", lambda _: {}), r"'source' is a dict. Expected a list or an array of text"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_fault_is_named_with_file_split_key_and_row(fault, split, make_content, write_pickle):
    content = make_content("pw3d", train=(40, 58), test=(40, 58))
    change, message = FAULTS[fault]
    change(content[split])
    path = write_pickle(content)
    with refused(message) as caught:
        load_dataset("pw3d", path)
    assert str(caught.value).startswith(f"{path}: {split} '")
    assert str(caught.value).endswith("fix the file, or name another as dt_file_pw3d in the config.")


def test_the_row_is_the_row_of_the_file_when_striding(make_content, write_pickle):
    content = make_content("pw3d")
    content["train"]["smpl_pose"][14, 0] = np.nan
    path = write_pickle(content)
    refuses(r"'smpl_pose' row 14 ", load_dataset, "pw3d", path, sample_stride=7)


@pytest.mark.parametrize("as_text", [list, np.array])
def test_an_unknown_camera_is_named(as_text, make_content, write_pickle):
    content = make_content("h36m")
    content["test"]["camera_name"][11] = "12345678"
    content["test"]["camera_name"] = as_text(content["test"]["camera_name"])
    path = write_pickle(content)
    message = r"test 'camera_name' row 11 is '12345678'. Expected one of 54138969, 60457274, 55011271, 58860488"
    refuses(message, load_dataset, "h36m", path)


def test_a_missing_camera_is_explained(make_content, write_pickle):
    path = write_pickle(make_content("pw3d"))
    refuses(r"'camera_name' is missing. Expected the camera of each frame", load_dataset, "h36m", path)


def test_what_is_not_a_dataset_is_refused(make_content, write_pickle, tmp_path):
    with refused(r"holds a list. Expected the H36M dataset pickle \(dt_file_h36m in the config\)"):
        load_dataset("h36m", write_pickle([1, 2]))
    content = make_content("h36m")
    del content["test"]
    refuses(r"'test' is missing. Expected the H36M dataset pickle", load_dataset, "h36m", write_pickle(content))
    with refused(r"'train' is a list. Expected the H36M dataset pickle"):
        load_dataset("h36m", write_pickle({"train": [], "test": {}}))
    with refused(r"nowhere.pkl not found. Expected the 3DPW dataset pickle"):
        load_dataset("pw3d", tmp_path / "nowhere.pkl")


def test_every_source_names_its_config_keys():
    keys = {source.name: (source.file_key, source.fps_key, source.is_video) for source in RELEASED.values()}
    assert keys == {
        "h36m": ("dt_file_h36m", "fps_h36m", True),
        "coco": ("dt_file_coco", "", False),
        "pw3d": ("dt_file_pw3d", "fps_pw3d", True),
    }


@pytest.mark.parametrize("stride", [1, 7])
def test_the_frames_of_each_video_in_the_file_are_known(stride, make_content, write_pickle):
    split = load_dataset("pw3d", write_pickle(make_content("pw3d")), sample_stride=stride).train
    assert split.video_file_lengths.tolist() == [40, 9, 16, 33]
