"""Bodies fitted to a dataset's keypoints are scored beside unfitted ones, which stay what they are."""

import dataclasses

import numpy as np
import pytest
import torch

from kinemesh.data.clips import Clips, cut_clips, image_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.evaluation import fitting as module
from kinemesh.evaluation.evaluate import FITTED, EvaluationOptions, evaluate
from kinemesh.evaluation.fitting import FittedSides, Fitting
from kinemesh.evaluation.scoring import Prediction, Scoring
from kinemesh.geometry.camera import project
from kinemesh.model.opening import open_checkpoint
from kinemesh.protocols import DEFAULT, PROTOCOLS
from kinemesh.structures import BodyParams
from tests.refusals import refused

OWN_FIGURES = ("reprojection_error_before_px", "reprojection_error_after_px", "share_kept")


@pytest.fixture(scope="module")
def fitting(assets) -> Fitting:
    return Fitting.of(assets, "cpu")


@pytest.fixture(scope="module")
def shipped(assets):
    """The demo's checkpoint: model and config."""
    opened = open_checkpoint(CHECKPOINT_PATH, None)
    return opened.build_model(assets), opened.config


@pytest.fixture
def scores(small_dataset, posed_body, shipped, fitting):
    """Scores the demo's model on some clips, with a fit and without."""

    def run(
        *names: str, split=small_dataset.test, is_fitted=True, batch_size=4, clips: Clips | None = None, clip_len=8
    ):
        protocols = [PROTOCOLS[name] for name in names or (DEFAULT,)]
        if clips is None:
            lengths = small_dataset.train.video_lengths, split.video_lengths
            clips = cut_clips(*lengths, clip_len, 8, eval_clips=protocols[0].clips)[1]
        options = EvaluationOptions(fitting=fitting if is_fitted else None)
        loader = ClipLoader(split, clips, batch_size=batch_size)
        return evaluate(shipped[0], loader, posed_body, shipped[1], label="t", protocols=protocols, options=options)

    return run


@pytest.mark.parametrize("names", [(DEFAULT,), ("wham", "vibe_tcmr", "pmce", "smpl24")])
def test_fitted_bodies_are_nearer_to_the_truth_and_unfitted_ones_what_they_were(scores, names):
    with_fit, without = scores(*names), scores(*names, is_fitted=False)
    for name in names:
        found, expected = with_fit[name], without[name]
        assert found.sides["model"].metrics == expected.sides["model"].metrics
        assert found.losses == expected.losses
        assert FITTED not in expected.sides
        fitted, model = found.sides[FITTED].metrics, found.metrics
        assert fitted["frames"] == model["frames"]
        for metric in ("mpjpe", "pa_mpjpe", "mpve", "accel_error"):
            assert fitted[metric] < 0.92 * model[metric], metric
        before, after, share_kept = (fitted[figure] for figure in OWN_FIGURES)
        assert after < 0.7 * before
        assert share_kept < 0.05


def test_videos_are_fitted_alike_in_any_groups(scores, monkeypatch):
    """Whatever is held at once, and however clips fall into batches."""
    expected = scores("wham")["wham"].sides[FITTED].metrics
    for held, batch_size in ((1, 1), (20, 3), (10**6, 1000)):
        monkeypatch.setattr(module, "_FRAMES_HELD", held)
        assert scores("wham", batch_size=batch_size)["wham"].sides[FITTED].metrics == pytest.approx(expected, rel=1e-3)


def test_no_more_is_held_than_asked_for_and_a_video(scores, monkeypatch):
    monkeypatch.setattr(module, "_FRAMES_HELD", 32)
    sizes = []
    whole = FittedSides._score
    monkeypatch.setattr(
        FittedSides, "_score", lambda self, clips: (sizes.append(clips.frames.numel()), whole(self, clips))
    )
    frames = scores("wham", batch_size=1)["wham"].metrics["frames"]
    assert sum(sizes) == frames
    assert max(sizes) <= 32 + 16  # videos have 16 frames


def test_a_stretched_video_and_single_frames_are_fitted(scores, small_dataset):
    stretched = scores(clip_len=40)[DEFAULT]  # longer than videos: frames come twice, some not at all
    alone = scores(clips=image_clips(small_dataset.test.frame_count), split=as_images(small_dataset.test))[DEFAULT]
    for evaluation in (stretched, alone):
        fitted, model = evaluation.sides[FITTED].metrics, evaluation.metrics
        assert fitted["frames"] == model["frames"]
        assert fitted["reprojection_error_after_px"] < 0.9 * fitted["reprojection_error_before_px"]
        assert fitted["pa_mpjpe"] < model["pa_mpjpe"]


def as_images(split):
    """The same frames, each a picture of its own, as COCO's."""
    ones = np.ones(split.frame_count, dtype=np.int64)
    places = {"video_file_rows": np.arange(len(ones)), "video_file_lengths": ones}
    return dataclasses.replace(split, video_names=[], video_actions=None, video_lengths=ones, fps=0.0, **places)


def test_frames_without_keypoints_follow_the_others_and_a_video_without_any_stays(scores, small_dataset):
    test = small_dataset.test
    confidence = test.confidence.clone()
    first = test.video_lengths[0]
    confidence[:first] = 0.0
    confidence[first : first + 2] = 0.0
    confidence[first + 6 : first + 9] = 0.0
    blind = dataclasses.replace(test, confidence=confidence)
    found = scores("wham", split=blind)["wham"]
    assert found.video_names == test.video_names
    sums = {side: found.sides[side].by_video["mpjpe"][0] for side in ("model", FITTED)}
    assert sums[FITTED][0] == sums["model"][0]
    assert (np.abs(sums[FITTED][1:] - sums["model"][1:]) > 1).all()
    assert np.isfinite(sums[FITTED]).all()
    assert found.sides[FITTED].metrics["share_kept"] >= (first + 2) / found.metrics["frames"]
    dark = scores("wham", split=dataclasses.replace(test, confidence=torch.zeros_like(confidence)))["wham"]
    assert dark.sides[FITTED].metrics == dark.metrics | {"share_kept": 1.0}


def test_bodies_that_are_not_known_take_no_part(small_dataset, posed_body, fitting):
    """Frames that a file does not predict: whatever stands there, the others' fit is the same, and better than before."""
    test = small_dataset.test
    clips = cut_clips(small_dataset.train.video_lengths, test.video_lengths, 8, 8, eval_clips="all_frames")[1]
    rows = np.arange(test.frame_count)
    is_predicted = (rows % 5 != 0) & (rows % 16 < 12)
    counted = clips.counted & is_predicted[clips.frames]
    loader = ClipLoader(test, Clips(clips.frames, counted), batch_size=3)
    generator = torch.Generator().manual_seed(0)
    noise = 0.12 * torch.randn(1, 72, generator=generator)
    found = []
    for rubbish in (0.0, 1.5):
        protocols = [PROTOCOLS["wham"]]
        sides = FittedSides(fitting, {"file": "fitted"}, protocols, loader, posed_body, detailed=False)
        unfitted = Scoring(protocols, ["file"], test.video_lengths, posed_body, device="cpu")
        for batch in loader.batches():
            known = torch.from_numpy(is_predicted)[batch.frames]
            off = torch.where(known[..., None], noise, rubbish)
            body = module.params_from_axis_angle(test.smpl_pose[batch.frames] + off, test.smpl_shape[batch.frames])
            unfitted.add(batch, {"file": Prediction(body)})
            sides.add(batch, {"file": Prediction(body)}, {"file": known})
        sides.finish()
        found.append(sides.scorings[True].accumulators["wham", "fitted"].result())
    assert found[0] == found[1]
    assert found[0]["pa_mpjpe"] < 0.8 * unfitted.accumulators["wham", "file"].result()["pa_mpjpe"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_padded_pictures_the_one_that_bodies_agree_with_is_taken(place, small_dataset, fitting, kinematics):
    """3DPW's film held across or upright, padded to a square: its middle is found from the bodies."""
    test = small_dataset.test
    length = int(test.video_lengths[0])
    own = torch.tensor([[1100.0, 0.0, 500.0], [0.0, 1100.0, 490.0], [0.0, 0.0, 1.0]])
    (known,) = module._cameras(dataclasses.replace(test, camera_matrix=own), 3)
    assert known[:2] == (1100.0, (500.0, 490.0))
    camera = module._cameras(test, 0)[place]
    assert camera.centre_px == [(960.0, 960.0), (960.0, 540.0), (540.0, 960.0)][place]
    body = BodyParams(*module.params_from_axis_angle(test.smpl_pose[:length], test.smpl_shape[:length]))
    joints_m = kinematics(body).numpy() / 1000 + np.array([0.2, 0.1, 4.0])
    noise_px = np.random.default_rng(0).normal(0, 4, (length, 17, 2))
    pixels = test.keypoints_px.clone()
    pixels[:length] = torch.from_numpy(project(joints_m, camera.focal_px, camera.centre_px) + noise_px)
    seen = dataclasses.replace(test, keypoints_px=pixels, confidence=None)
    poses, betas = test.smpl_pose[:length].numpy(), test.smpl_shape[:length].numpy()
    given = module._track(fitting, seen, "0", np.arange(length), poses, betas, 30)
    found = module._placed(fitting.kinematics, given)
    assert found.camera == camera
    np.testing.assert_allclose(found.track.trans_m.mean(axis=0), (0.2, 0.1, 4.0), atol=0.1)


def test_a_dataset_without_keypoints_cannot_be_fitted(small_dataset, posed_body, fitting):
    loader = ClipLoader(small_dataset.test, image_clips(4), batch_size=2)
    loader.split = dataclasses.replace(small_dataset.test, keypoints_px=None)
    with refused("--fit keypoints: pw3d holds no keypoints. Leave out the flag or the dataset"):
        FittedSides(fitting, {"model": FITTED}, [PROTOCOLS[DEFAULT]], loader, posed_body, detailed=False)
