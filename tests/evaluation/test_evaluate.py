"""One pass over a test split: independent of batch size, mirrored by a mirror, counted once."""

import dataclasses

import pytest
import torch

from kinemesh.body.mirror import mirror_inputs, mirror_params
from kinemesh.body.params import params_from_axis_angle
from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.evaluation.evaluate import BODIES, ERRORS, EvaluationOptions, evaluate
from kinemesh.geometry.rotation import rotation_angle
from kinemesh.losses import compute_losses, weighted_total
from kinemesh.metrics import Posed, frame_errors
from kinemesh.protocols import DEFAULT, PROTOCOLS
from kinemesh.structures import BodyMesh, BodyParams, MeshInputs


@pytest.fixture
def loader(small_dataset):
    def make(batch_size=4, eval_clips="released"):
        lengths = small_dataset.train.video_lengths, small_dataset.test.video_lengths
        _, clips = cut_clips(*lengths, 8, 4, eval_clips=eval_clips)
        return ClipLoader(small_dataset.test, clips, batch_size=batch_size)

    return make


def test_equals_scoring_every_frame_by_hand(loader, small_model, small_config, posed_body):
    model, config = small_model().eval(), small_config(flip=True)
    batch = next(loader(batch_size=1000).batches())
    found = evaluate(model, loader(), posed_body, config, label="test")[DEFAULT]
    with torch.no_grad():
        first = posed_body(model(*batch.inputs))
        second = posed_body(mirror_params(model(*mirror_inputs(batch.inputs))))
    mean = BodyMesh((first.vertices_mm + second.vertices_mm) / 2, (first.joints_mm + second.joints_mm) / 2)
    expected = frame_errors(Posed(PROTOCOLS[DEFAULT], mean, posed_body(batch.target)))
    for name, values in expected.items():
        assert found.metrics[name] == pytest.approx(values.mean().item(), abs=1e-2), name
    assert found.metrics["frames"] == batch.frames.numel()


def test_losses_without_flip_are_those_of_the_prediction(loader, small_model, small_config, posed_body):
    model, config = small_model().eval(), small_config(flip=False)
    batch = next(loader(batch_size=1000).batches())
    found = evaluate(model, loader(), posed_body, config, label="test")[DEFAULT]
    with torch.no_grad():
        pred = model(*batch.inputs)
        terms = compute_losses(pred, posed_body(pred).joints_mm, batch.target, posed_body(batch.target).joints_mm, "L1")
    for name, value in terms.items():
        assert found.losses[name] == pytest.approx(value.item(), rel=1e-4), name
    assert found.losses["loss"] == pytest.approx(weighted_total(terms, config).item(), rel=1e-4)


@pytest.mark.parametrize("eval_clips", ["released", "all_frames"])
def test_batch_size_changes_nothing(loader, small_model, small_config, posed_body, eval_clips):
    results = [
        evaluate(small_model(), loader(size, eval_clips), posed_body, small_config(), label="test")[DEFAULT]
        for size in (1, 3, 64)
    ]
    for other in results[1:]:
        assert other.metrics == pytest.approx(results[0].metrics, rel=1e-6)
        assert other.losses == pytest.approx(results[0].losses, rel=1e-5, abs=1e-6)


def test_all_frames_scores_every_frame_once(loader, small_model, small_config, posed_body, small_dataset):
    given = small_model(), loader(eval_clips="all_frames"), posed_body, small_config()
    found = evaluate(*given, label="test", options=EvaluationOptions(keep_rows=ERRORS))[DEFAULT]
    assert found.metrics["frames"] == small_dataset.test.frame_count
    assert sorted(found.rows["row"]) == list(range(small_dataset.test.frame_count))


def test_rows_hold_what_was_scored(loader, small_model, small_config, posed_body):
    given = small_model(), loader(), posed_body, small_config(flip=True)
    found = evaluate(*given, label="test", options=EvaluationOptions(keep_rows=BODIES))[DEFAULT]
    assert found.rows["mpjpe_mm"].mean() == pytest.approx(found.metrics["mpjpe"], rel=1e-5)
    both = []
    for poses, betas in (("poses", "betas"), ("poses_mirrored", "betas_mirrored")):
        params = params_from_axis_angle(*(torch.tensor(found.rows[name]) for name in (poses, betas)))
        both.append(posed_body(params).joints_mm)
    torch.testing.assert_close((both[0] + both[1]) / 2, torch.tensor(found.rows["joints_mm"]), atol=0.05, rtol=0)


def test_mirrored_input_gives_the_mirrored_flip_average(small_model, loader):
    model = small_model().eval()
    keypoints = next(loader().batches()).inputs.keypoints
    inputs = keypoints, mirror_inputs(MeshInputs(keypoints)).keypoints
    with torch.no_grad():
        (first, second), (mirrored_first, mirrored_second) = (
            (model(x), mirror_params(model(*mirror_inputs(MeshInputs(x))))) for x in inputs
        )
    # Mirroring exchanges the two halves, so that any symmetric mean of them is mirrored.
    for found, expected in ((mirrored_first, mirror_params(second)), (mirrored_second, mirror_params(first))):
        assert rotation_angle(found.rotations.mT @ expected.rotations).max() < 1e-3
        torch.testing.assert_close(found.betas, expected.betas, atol=1e-4, rtol=1e-4)


def test_constant_body_is_scored_beside_the_model(loader, small_model, small_config, posed_body, small_dataset):
    test, clips = small_dataset.test, loader()
    # One frame's own body as the constant: exact where it is the truth.
    target = clips.gather(torch.arange(1)).target
    options = EvaluationOptions(constant=BodyParams(target.rotations[0, 0], target.betas[0, 0]))
    still = {name: getattr(test, name)[:1].repeat(test.frame_count, 1) for name in ("smpl_pose", "smpl_shape")}
    clips.split = dataclasses.replace(test, **still)
    found = evaluate(small_model(), clips, posed_body, small_config(), label="test", options=options)[DEFAULT]
    assert found.sides["mean_pose"].metrics["mpjpe"] < 1e-2
    assert found.sides["mean_pose"].metrics["mpve"] < 1e-2
    assert found.metrics["mpjpe"] > 10
