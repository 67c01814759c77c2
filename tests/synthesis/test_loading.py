"""A loader makes keypoints anew in every epoch, and the same ones however a batch is shared out or a run resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.data.clips import Clips, all_frames_clips, image_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.split import fill_split
from kinemesh.machine.processes import Processes
from kinemesh.synthesis.clips import Synthesizer
from kinemesh.synthesis.recipe import DEFAULT, SCORED
from tests.refusals import refused


@pytest.fixture(scope="module")
def split(small_dataset, people):
    """The made-up people's motion as recorded motion: no keypoints, but a path."""
    count, frames = people.poses.shape[:2]
    lengths = np.full(count, frames, dtype=np.int64)
    betas = people.betas.repeat_interleave(frames, dim=0)
    return replace(
        small_dataset.train, keypoints_px=None, confidence=None, image_size=torch.ones(2), smpl_shape=betas,
        smpl_pose=people.poses.flatten(0, 1), root_m=people.root_m.flatten(0, 1), video_lengths=lengths,
        video_names=[str(number) for number in range(count)], video_file_rows=np.cumsum(lengths) - lengths,
        video_file_lengths=lengths, video_actions=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def load(split, assets):
    def loader(recipe=DEFAULT, clip_len=8, **options):
        clips = all_frames_clips(split.video_lengths, clip_len)
        options = {"batch_size": 32, "training": True} | options
        return ClipLoader(split, clips, synthesis=Synthesizer(assets, recipe), **options)

    return loader


def test_every_epoch_and_seed_sees_other_cameras_and_noise(load):
    loader = load()
    first, again, next_epoch, other_seed = (
        next(loader.training_batches(loader.training_order(*place))) for place in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert torch.equal(first.inputs.keypoints, again.inputs.keypoints)
    assert torch.equal(first.target.rotations, again.target.rotations)
    for other in (next_epoch, other_seed):
        assert not torch.equal(first.inputs.keypoints, other.inputs.keypoints)
    clip = int(first.frames[0, 0])
    for batch in loader.training_batches(loader.training_order(0, 1)):
        if (rows := (batch.frames[:, 0] == clip).nonzero()).numel():
            assert (batch.inputs.keypoints[rows[0, 0]] - first.inputs.keypoints[0]).abs().max() > 0.01


def test_processes_and_resumed_runs_see_the_parts_of_the_same_batches(load):
    loader = load()
    order = loader.training_order(0, 0)
    whole = list(loader.training_batches(order))
    parts = [list(loader.training_batches(order, first=2, processes=Processes(rank, 3))) for rank in range(3)]
    for number, batch in enumerate(whole[2:]):
        keypoints = torch.cat([part[number].inputs.keypoints for part in parts])
        # A product of few rows is rounded otherwise than one of many.
        torch.testing.assert_close(keypoints, batch.inputs.keypoints, atol=2e-4, rtol=0)
        assert torch.equal(torch.cat([part[number].frames for part in parts]), batch.frames)


def test_what_is_scored_stays_the_same_in_parts_of_the_videos_and_shows_its_frames(load, split):
    loader = load(SCORED, training=False)
    batches = list(loader.batches())
    half = loader.of_videos(lambda first, stop: ((first + stop) // 2, stop))
    keypoints = torch.cat([batch.inputs.keypoints for batch in half.batches()])
    everything = torch.cat([batch.inputs.keypoints for batch in batches])
    torch.testing.assert_close(keypoints, everything[-len(keypoints) :], atol=2e-4, rtol=0)
    frames, betas = torch.cat([batch.frames for batch in batches]), torch.cat([batch.target.betas for batch in batches])
    assert torch.equal(betas, split.smpl_shape[frames])


def test_bodies_are_the_recorded_ones_before_another_camera(load, split, assets):
    batch = next(load(SCORED, training=False).batches())
    kinematics = JointKinematics(assets)
    recorded = load(SCORED, training=False).split.smpl_pose[batch.frames]
    turns = batch.target.rotations[:, :, 1:]
    torch.testing.assert_close(turns, rotations_from_axis_angle(recorded)[:, :, 1:], atol=1e-5, rtol=0)
    joints = kinematics(batch.target)
    # Most heads are above most ankles, and y points down.
    assert (joints[..., 10, 1] < joints[..., 3, 1]).float().mean() > 0.8


def test_poses_in_camera_axes_stay_upright(small_dataset, assets):
    split = replace(small_dataset.train, keypoints_px=None, confidence=None)
    clips = Clips(np.arange(64)[:, None], np.ones((64, 1), dtype=bool))
    loader = ClipLoader(split, clips, batch_size=64, synthesis=Synthesizer(assets, SCORED))
    joints = JointKinematics(assets)(next(loader.batches()).target)
    assert (joints[:, 0, 10, 1] < joints[:, 0, 3, 1]).float().mean() > 0.9


def test_images_without_time_are_made_too(split, assets):
    images = replace(split, fps=0.0)
    loader = ClipLoader(images, image_clips(64), batch_size=64, synthesis=Synthesizer(assets, DEFAULT, is_filled=True))
    keypoints = next(loader.batches()).inputs.keypoints
    assert keypoints.shape == (64, 1, 17, 3) and keypoints.isfinite().all()


def test_lost_keypoints_get_a_place_as_files_do(load, split, assets):
    clips = all_frames_clips(split.video_lengths, 8)
    plain = ClipLoader(split, clips, batch_size=200, synthesis=Synthesizer(assets, DEFAULT)).gather(torch.arange(200))
    filled = ClipLoader(split, clips, batch_size=200, synthesis=Synthesizer(assets, DEFAULT, is_filled=True))
    keypoints = filled.gather(torch.arange(200)).inputs.keypoints
    is_lost = plain.inputs.keypoints[..., 2] == 0
    assert torch.equal(keypoints[..., 2] == 0, is_lost) and is_lost.float().mean() > 0.03
    assert torch.equal(keypoints[~is_lost], plain.inputs.keypoints[~is_lost])
    at_corner = plain.inputs.keypoints[is_lost]
    assert (at_corner[:, 0] == -1).all()
    assert ((keypoints[is_lost][:, :2] - at_corner[:, :2]).norm(dim=-1) > 0.02).float().mean() > 0.99


def test_a_split_is_filled_by_video_and_each_detection_by_itself(small_dataset):
    split = small_dataset.test
    confidence = split.confidence.clone().clamp(min=0.1)
    length = int(split.video_lengths[0])
    confidence[length - 1, 5] = confidence[length, 5] = 0  # last frame of a video, first of the next
    lost = replace(split, confidence=confidence, keypoints_px=split.keypoints_px * (confidence > 0)[..., None])
    filled = fill_split(lost)
    assert torch.equal(filled.keypoints_px[length - 1, 5], split.keypoints_px[length - 2, 5])
    assert torch.equal(filled.keypoints_px[length, 5], split.keypoints_px[length + 1, 5])
    others = torch.ones(split.frame_count, 17, dtype=torch.bool)
    others[length - 1 : length + 1, 5] = False
    assert torch.equal(filled.keypoints_px[others], lost.keypoints_px[others])
    twice = replace(
        lost, keypoints_px=torch.stack((lost.keypoints_px, split.keypoints_px), dim=1),
        confidence=torch.stack((confidence, torch.ones_like(confidence)), dim=1),
    )  # fmt: skip
    both = fill_split(twice).keypoints_px
    assert torch.equal(both[:, 0], filled.keypoints_px) and torch.equal(both[:, 1], split.keypoints_px)
    untouched = replace(split, confidence=torch.ones_like(confidence))
    assert fill_split(untouched) is untouched


def test_an_estimate_cannot_be_refined_on_made_keypoints(small_dataset, assets):
    split = replace(
        small_dataset.train, estimate_pose=small_dataset.train.smpl_pose, estimate_betas=small_dataset.train.smpl_shape
    )
    with refused(r"pw3d train: keypoints that are made show no other estimator's bodies"):
        ClipLoader(split, image_clips(4), batch_size=4, with_estimate=True, synthesis=Synthesizer(assets, DEFAULT))
