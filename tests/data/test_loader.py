import threading

import numpy as np
import pytest
import torch

from kinemesh.data.clips import Clips, batch_bounds, cut_clips, first_clips, image_clips, training_order
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import load_dataset
from kinemesh.data.split import place_split
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.structures import BodyParams, MeshInputs, RefineInputs
from tests.refusals import refused, refuses


@pytest.fixture
def open_split(make_content, write_pickle):
    """A dataset's train split, its file's arrays and its clips."""

    def open_it(dataset, clip_len=16):
        content = make_content(dataset)
        loaded = load_dataset(dataset, write_pickle(content), needs_estimate=True)
        if dataset == "coco":
            clips = image_clips(loaded.train.frame_count)
        else:
            clips, _ = cut_clips(loaded.train.video_lengths, loaded.test.video_lengths, clip_len, 8)
        return loaded.train, content["train"], clips

    return open_it


def expected_keypoints(dataset, arrays, frames):
    """Behaviour contract section 1, frame by frame."""
    rows = []
    for frame in frames.flatten():
        if dataset == "h36m":
            width, height = 1000, 1002 if arrays["camera_name"][frame] in ("54138969", "60457274") else 1000
            confidence = np.ones((17, 1))
        else:
            width = height = {"coco": 640, "pw3d": 1920}[dataset]
            confidence = np.clip(arrays["confidence"][frame], 0, 1)
        xy = arrays["joint_2d"][frame].astype("f8") / width * 2 - [1, height / width]
        rows.append(np.concatenate([xy, confidence], axis=-1))
    return np.stack(rows).reshape(*frames.shape, 17, 3)


@pytest.mark.parametrize("dataset", ["h36m", "coco", "pw3d"])
def test_a_batch_holds_the_normalised_keypoints_and_the_body_of_its_frames(dataset, open_split):
    split, arrays, clips = open_split(dataset)
    batch = ClipLoader(split, clips, batch_size=4).gather(torch.tensor([3, 0]))
    frames = clips.frames[[3, 0]]
    assert isinstance(batch.inputs, MeshInputs)
    np.testing.assert_array_equal(batch.frames, frames)
    assert batch.counted.all() and batch.counted.shape == frames.shape
    np.testing.assert_allclose(batch.inputs.keypoints, expected_keypoints(dataset, arrays, frames), atol=1e-6)
    pose = torch.from_numpy(arrays["smpl_pose"][frames]).unflatten(-1, (24, 3))
    torch.testing.assert_close(batch.target.rotations, axis_angle_to_matrix(pose))
    np.testing.assert_array_equal(batch.target.betas, arrays["smpl_shape"][frames])


def test_a_batch_with_an_estimate(open_split):
    split, arrays, clips = open_split("pw3d")
    batch = ClipLoader(split, clips, batch_size=4, with_estimate=True).gather(torch.tensor([1, 2]))
    frames = clips.frames[[1, 2]]
    assert isinstance(batch.inputs, RefineInputs) and isinstance(batch.inputs.estimate, BodyParams)
    pose = torch.from_numpy(arrays["pred_smpl_pose"][frames]).unflatten(-1, (24, 3))
    torch.testing.assert_close(batch.inputs.estimate.rotations, axis_angle_to_matrix(pose))
    np.testing.assert_array_equal(batch.inputs.estimate.betas, arrays["pred_smpl_shape"][frames])


@pytest.mark.parametrize("is_transferred", [False, True])
def test_batches_give_every_clip_once_in_order(is_transferred, open_split):
    split, _, clips = open_split("pw3d")
    loader = ClipLoader(split, clips, batch_size=3)
    loader.needs_transfer = is_transferred
    order = loader.training_order(seed=1, epoch=2)
    batches = list(loader.batches(order))
    assert len(loader) == len(batches) == -(-len(clips.frames) // 3)
    np.testing.assert_array_equal(torch.cat([batch.frames for batch in batches]), clips.frames[order])
    np.testing.assert_array_equal(torch.cat([batch.frames for batch in loader.batches()]), clips.frames)
    whole = loader.gather(order)
    torch.testing.assert_close(torch.cat([batch.inputs.keypoints for batch in batches]), whole.inputs.keypoints)
    torch.testing.assert_close(torch.cat([batch.target.rotations for batch in batches]), whole.target.rotations)


def test_the_gathering_thread_ends_with_an_abandoned_epoch(open_split):
    split, _, clips = open_split("pw3d")
    loader = ClipLoader(split, clips, batch_size=2)
    loader.needs_transfer = True
    batches = loader.batches()
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]


def test_uncounted_frames_are_marked(open_split):
    split, _, _ = open_split("pw3d")
    clips = Clips(np.array([[0, 1], [1, 2]]), np.array([[True, True], [False, True]]))
    batch = ClipLoader(split, clips, batch_size=2).gather(torch.tensor([1, 0]))
    assert batch.counted.tolist() == [[False, True], [True, True]]


def test_the_training_order_follows_from_its_arguments_alone():
    order = training_order(1000, 0, 3, "h36m")
    assert sorted(order.tolist()) == list(range(1000))
    torch.rand(5)
    assert torch.equal(order, training_order(1000, 0, 3, "h36m"))
    for other in ((1000, 1, 3, "h36m"), (1000, 0, 4, "h36m"), (1000, 0, 3, "pw3d")):
        assert not torch.equal(order, training_order(*other))
    # Python's own hash of text changes from run to run; this order must not.
    assert training_order(8, 0, 0, "h36m").tolist()[:6] == [3, 5, 1, 7, 4, 0]


@pytest.mark.parametrize(
    ("clip_count", "batch_size", "training", "expected"),
    [
        (6, 3, True, [(0, 3), (3, 6)]),
        (8, 3, True, [(0, 3), (3, 6), (6, 8)]),
        (7, 3, True, [(0, 3), (3, 7)]),
        (7, 3, False, [(0, 3), (3, 6), (6, 7)]),
        (2, 3, True, [(0, 2)]),
        (1, 3, False, [(0, 1)]),
        (3, 1, False, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_batch_bounds(clip_count, batch_size, training, expected):
    assert batch_bounds(clip_count, batch_size, training=training) == expected


def test_training_needs_two_clips_in_a_batch(open_split):
    split, _, clips = open_split("pw3d")
    one = first_clips(clips, 1)
    assert len(ClipLoader(split, one, batch_size=4)) == 1
    with refused(r"pw3d train: one clip to train on, and batch norm needs two.*lower data_stride"):
        ClipLoader(split, one, batch_size=4, training=True)
    with refused(r"pw3d train: batch_size 1 to train on.*raise batch_size"):
        ClipLoader(split, clips, batch_size=1, training=True)


def test_no_clips_and_a_missing_estimate_are_explained(open_split, make_content, write_pickle):
    split, _, _ = open_split("pw3d")
    none = Clips(np.zeros((0, 16), dtype=np.int64), np.zeros((0, 16), dtype=bool))
    with refused(r"pw3d train: no clips. Expected a video of at least clip_len 16 frames"):
        ClipLoader(split, none, batch_size=4)
    split = load_dataset("pw3d", write_pickle(make_content("pw3d"))).train
    refuses(r"pw3d train: no estimate to refine", ClipLoader, split, image_clips(4), batch_size=4, with_estimate=True)


def test_arrays_stay_where_they_are_on_a_cpu(open_split):
    split, _, _ = open_split("pw3d")
    cpu = torch.device("cpu")
    assert place_split(split, cpu, "auto") is split and place_split(split, cpu, "cpu") is split
    refuses(r"data_device is cuda, but the run is on cpu. Set data_device: auto", place_split, split, cpu, "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("data_device", ["auto", "cuda", "cpu"])
def test_batches_on_a_cuda_device_are_those_of_the_cpu(data_device, open_split):
    split, _, clips = open_split("h36m")
    expected = list(ClipLoader(split, clips, batch_size=3, with_estimate=True).batches())
    split = place_split(split, torch.device("cuda"), data_device)
    loader = ClipLoader(split, clips, batch_size=3, device="cuda", with_estimate=True)
    for batch, wanted in zip(loader.batches(), expected, strict=True):
        assert batch.inputs.keypoints.is_cuda and batch.frames.is_cuda
        torch.testing.assert_close(batch.inputs.keypoints.cpu(), wanted.inputs.keypoints)
        torch.testing.assert_close(batch.inputs.estimate.rotations.cpu(), wanted.inputs.estimate.rotations)
        torch.testing.assert_close(batch.target.rotations.cpu(), wanted.target.rotations)
        assert torch.equal(batch.frames.cpu(), wanted.frames) and torch.equal(batch.counted.cpu(), wanted.counted)
