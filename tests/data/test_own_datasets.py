"""A dataset of one's own: any picture size, several detections of a frame, one split alone, and what is missing named."""

import numpy as np
import pytest
import torch

from kinemesh.data.clips import image_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import load_dataset
from tests.refusals import refused, refuses


@pytest.fixture
def load(make_content, write_pickle):
    """Loads a small dataset with changed keys of its train split; keyword arguments are load_dataset's."""

    def load_it(changes: dict, fps: float | None = 25, **options):
        content = make_content("pw3d")
        for key, value in changes.items():
            if value is None:
                content["train"].pop(key)
            else:
                content["train"][key] = value
        return load_dataset("mine", write_pickle(content), fps=fps, **options)

    return load_it


LENGTHS = [40, 9, 16, 33]
BY_VIDEO = np.array([[720, 1280], [1280, 720], [480, 640], [720, 1280]])


@pytest.mark.parametrize(
    ("img_hw", "expected"),
    [
        ((720, 1280), [1280, 720]),
        (np.array([720, 1280]), [1280, 720]),
        (np.full((98, 2), [720.0, 1280.0]), [1280, 720]),
        ([(720, 1280)] * 4, [1280, 720]),
        (BY_VIDEO, np.repeat(BY_VIDEO[:, ::-1], LENGTHS, axis=0).tolist()),
        (np.repeat(BY_VIDEO, LENGTHS, axis=0), np.repeat(BY_VIDEO[:, ::-1], LENGTHS, axis=0).tolist()),
    ],
)
def test_pictures_of_any_size_by_split_video_or_frame(img_hw, expected, load):
    assert load({"img_hw": img_hw}).train.image_size.tolist() == expected
    strided = load({"img_hw": img_hw}, sample_stride=3).train.image_size
    assert strided.tolist() == (expected if strided.ndim == 1 else expected[::3])


def test_cameras_are_kept_where_they_are_known(load):
    matrix = np.array([[900, 0, 320], [0, 910, 240], [0, 0, 1.0]])
    by_video = matrix * np.array([1, 2, 1, 1])[:, None, None]
    by_video[:, 2] = [0, 0, 1]
    assert load({}).train.camera_matrix is None
    assert load({"K": matrix}).train.camera_matrix.tolist() == matrix.tolist()
    found = load({"K": by_video}, sample_stride=7).train
    assert found.camera_matrix.shape == (14, 3, 3) and found.camera_matrix[6, 0, 0] == 1800
    (batch,) = ClipLoader(found, image_clips(14), batch_size=14).batches()
    assert batch.inputs.keypoints.shape == (14, 1, 17, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": np.eye(3) * 900}, r"'K' holds no camera matrices. Expected \[\[fx, skew, cx\]"),
        ({"K": np.zeros((3, 2))}, r"'K' has shape \(3, 2\)"),
        ({"img_hw": None}, "train 'img_hw' is missing. Expected height and width of the pictures in pixels"),
        (
            {"img_hw": np.array([[1, 2]] * 4 + [[3, 4]])},
            r"'img_hw' has 5 rows. Expected one a frame, 98, or a video, 4",
        ),
        ({"img_hw": (0, 640)}, "'img_hw' holds no sizes"),
        ({"img_hw": (1e39, 640.0)}, "'img_hw' holds no sizes. Expected heights and widths of one pixel to a million"),
        ({"img_hw": 640}, "'img_hw' is a int"),
        ({"smpl_pose": None}, "'smpl_pose' is missing. Expected the arrays that docs/data.md lists"),
        ({"joint_2d": np.zeros((98, 0, 17, 2))}, r"'joint_2d' has shape \(98, 0, 17, 2\)"),
        ({"confidence": np.zeros((98, 3, 17))}, r"'confidence' has shape \(98, 3, 17\). Expected .*\(frames, 17\)"),
    ],
)
def test_a_fault_is_one_line_that_names_the_entry(changes, message, load):
    with refused(message) as caught:
        load(changes)
    assert "file of 'mine' under datasets in the config" in str(caught.value)


def test_videos_without_a_frame_rate_are_not_taken_for_images(load):
    refuses(r"'source' names videos of up to 40 frames. Expected fps of 'mine' under datasets", load, {}, fps=None)
    assert load({}, fps=0).train.video_lengths.tolist() == [1] * 98


def test_confidence_may_be_missing_and_a_split_too(make_content, write_pickle):
    content = make_content("pw3d")
    del content["test"], content["train"]["confidence"]
    dataset = load_dataset("mine", write_pickle(content), fps=25)
    assert dataset.train.confidence is None and dataset.test.frame_count == 0
    assert dataset.describe() == "mine: 98 train frames in 4 videos, 0 test frames in 0 videos"


def test_one_of_several_detections_is_drawn_for_each_clip_and_epoch_and_the_first_is_evaluated(load):
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 640, (98, 3, 17, 2)).astype("f4")
    confidence = rng.uniform(0, 1, (98, 3, 17)).astype("f4")
    split = load({"joint_2d": joints, "confidence": confidence, "img_hw": (640, 640)}, fps=0).train
    loader = ClipLoader(split, image_clips(98), batch_size=98, training=True)
    (batch,) = loader.batches()
    np.testing.assert_allclose(batch.inputs.keypoints[:, 0, :, :2] * 320 + 320, joints[:, 0], atol=1e-3)
    seen = np.zeros((98, 3), bool)
    for epoch in range(12):
        (batch,) = loader.training_batches(loader.training_order(0, epoch))
        again = next(iter(loader.training_batches(loader.training_order(0, epoch))))
        assert torch.equal(batch.inputs.keypoints, again.inputs.keypoints)
        rows = batch.frames[:, 0].numpy()
        assert sorted(rows) == list(range(98))
        matches = np.isclose(batch.inputs.keypoints[:, 0, None, :, 2].numpy(), confidence[rows]).all(-1)
        assert (matches.sum(1) == 1).all()
        seen[rows] |= matches
    assert seen.all(1).mean() > 0.9
    part, ids = loader.clips_of_batch(loader.training_order(0, 0), 0)
    assert part is loader and sorted(ids.tolist()) == list(range(98))


def test_a_dataset_without_keypoints_is_refused_where_they_would_be_made(load):
    split = load({"joint_2d": None, "confidence": None}).train
    assert split.keypoints_px is None and split.frame_count == 98
    with refused(r"mine train: has no keypoints \('joint_2d'\). Expected detected ones, or what makes them"):
        ClipLoader(split, image_clips(98), batch_size=4)
