"""Losses and gradients that are not finite: said with all that is known, and with `skip` as if they had not been."""

import copy
import dataclasses
import json

import pytest
import torch

from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.program import evaluate as evaluation
from kinemesh.training import finite, loop
from kinemesh.training.names import LATEST
from tests.refusals import refused, refuses
from tests.runs import logged


@pytest.fixture
def spoil(monkeypatch):
    """Makes the loss, or only the gradient, of the n-th batches not finite."""

    def _spoil(*batches: int, gradient_only: bool = False):
        count = iter(range(10**6))
        true_losses = loop.training_losses

        def training_losses(model, batch, kinematics, config):
            total, logged, pred = true_losses(model, batch, kinematics, config)
            if next(count) in batches:
                if gradient_only:
                    total.register_hook(lambda gradient: gradient * float("inf"))
                else:
                    # The forward pass has spoilt batch norm's statistics, as numbers that overflow do.
                    model.head.bn1.running_mean.data.fill_(float("nan"))
                    total, logged = total * float("nan"), logged * float("nan")
            return total, logged, pred

        monkeypatch.setattr(loop, "training_losses", training_losses)

    return _spoil


def test_loss_stops_and_keeps_the_checkpoints(run, tmp_path):
    state = run(epochs=1)
    before = (tmp_path / "run" / LATEST).read_bytes()
    with torch.no_grad():
        state.model.head.head_shape.bias[0] = float("inf")
    with refused() as raised:
        run(state=state, epochs=2)
    message = str(raised.value)
    assert "the loss is not finite at step 1 of epoch 2 on pw3d (loss " in message
    told = ("loss_shape inf", "loss_pose ", "gradient norm ", "frames ", "nonfinite_steps.jsonl", "on_nonfinite: skip")
    assert all(part in message for part in told), message
    assert f"{tmp_path / 'run' / LATEST} is the last finite checkpoint and is kept" in message
    assert (tmp_path / "run" / LATEST).read_bytes() == before


def test_clips_are_named_by_video_and_frames(run, spoil, dataset, tmp_path):
    spoil(1)
    refuses(r"clips \d+ \(\S+, frames \d+ to \d+\), .*No checkpoint was written yet", run, epochs=1)
    record = json.loads((tmp_path / "run" / "nonfinite_steps.jsonl").read_text())
    order = dataset.train.training_order(0, 0)
    assert [clip["clip"] for clip in record["clips"]] == order[4:8].tolist()
    split = dataset.train.split
    for clip in record["clips"]:
        rows = dataset.train.clip_frames[clip["clip"]].numpy()
        videos, frames = split.locate(rows)
        assert clip["video"] == videos[0]
        assert clip["frames"] == [frames[0], frames[-1]]
    assert record["step"] == 2
    assert record["terms"]["loss"] == "nan"


def test_images_are_named_by_number(run, spoil, dataset):
    dataset.train.split = dataclasses.replace(dataset.train.split, video_names=[])
    spoil(0)
    refuses(r"clips \d+ \(image \d+\)", run, epochs=1)


def test_gradient_alone_stops_before_the_step(run, spoil, tmp_path):
    spoil(2, gradient_only=True)
    refuses("the gradient is not finite at step 3 of epoch 1 .*gradient norm (nan|inf)", run, epochs=1)


@pytest.mark.parametrize("gradient_only", [False, True])
@pytest.mark.parametrize("changes", [{}, {"grad_accumulation": 2, "ema": 0.9, "clip_grad_norm": 1.0}])
def test_skipping_leaves_everything_as_it_was(run, spoil, monkeypatch, gradient_only, changes):
    """A run of one epoch whose last step is skipped holds what it held before that step."""
    steps = []
    true_step = loop.optimizer_step

    def optimizer_step(state, config, total_steps):
        true_step(state, config, total_steps)
        held = (state.model.state_dict(), state.evaluated.state_dict(), state.optimizer.state_dict())
        steps.append(copy.deepcopy(held))

    monkeypatch.setattr(loop, "optimizer_step", optimizer_step)
    spoil(2, gradient_only=gradient_only)
    state = run(epochs=1, on_nonfinite="skip", **changes)
    model, average, optimizer = steps[-1]
    assert state.skipped == 1
    assert state.step == len(steps)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, model[name]), name
    for name, value in state.evaluated.state_dict().items():
        assert torch.equal(value, average[name]), name
    for number, values in state.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            assert torch.equal(value, optimizer["state"][number][name]), name


def test_skipped_steps_are_counted_and_stored(run, spoil, tmp_path):
    spoil(0, 4)
    run(epochs=2, on_nonfinite="skip")
    lines = logged(tmp_path / "run")
    assert [line["skipped_steps"] for line in lines] == [1, 2]
    assert all(torch.isfinite(torch.tensor(line["train_loss"])) for line in lines)
    assert load_checkpoint(tmp_path / "run" / LATEST)["skipped_steps"] == 2
    assert len((tmp_path / "run" / "nonfinite_steps.jsonl").read_text().splitlines()) == 2


def test_more_than_the_limit_stop(run, spoil):
    spoil(0, 1, 2)
    with refused("step 3 of epoch 1 .*one more than nonfinite_limit 2 allows"):
        run(epochs=1, on_nonfinite="skip", nonfinite_limit=2)


def test_weights_are_looked_at_before_they_are_saved(run, tmp_path, monkeypatch):
    """The last step of an epoch, which no later loss tells of."""
    run(epochs=1)
    before = (tmp_path / "run" / LATEST).read_bytes()
    true_step = loop.optimizer_step

    def optimizer_step(state, config, total_steps):
        true_step(state, config, total_steps)
        if state.step == 6:
            state.model.head.fc1.weight.data[0, 0] = float("inf")

    monkeypatch.setattr(loop, "optimizer_step", optimizer_step)
    with refused() as raised:
        run(epochs=2)
    assert str(raised.value) == (
        "after step 6, in epoch 2, 'model.head.fc1.weight' holds nan or infinity. "
        f"{tmp_path / 'run' / LATEST} is the last finite checkpoint and is kept; "
        "lower the learning rates or set clip_grad_norm."
    )
    assert (tmp_path / "run" / LATEST).read_bytes() == before
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_moments_are_looked_at_before_they_are_saved(run, tmp_path, monkeypatch):
    true_step = loop.optimizer_step

    def optimizer_step(state, config, total_steps):
        true_step(state, config, total_steps)
        if state.step == 2:
            state.optimizer.state[state.model.head.fc1.bias]["exp_avg_sq"].fill_(float("inf"))

    monkeypatch.setattr(loop, "optimizer_step", optimizer_step)
    with refused(r"after step 2, in epoch 1, 'optimizer.state.\d+.exp_avg_sq' holds nan"):
        run(epochs=1, checkpoint_minutes=1e-9)
    content = load_checkpoint(tmp_path / "run" / LATEST)
    assert content["step"] == 1


def test_an_evaluation_that_is_not_finite_stops(run, tmp_path, monkeypatch):
    true_evaluate = evaluation.evaluate

    def evaluate(*arguments, **options):
        results = true_evaluate(*arguments, **options)
        results["motionbert"].metrics["mpve"] = float("nan")
        return results

    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    refuses("epoch 1 pw3d test: mpve is nan, by protocol motionbert. No checkpoint was", run, epochs=1)
    assert not (tmp_path / "run" / LATEST).exists()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_where_looking_waits_nothing_wrong_is_saved(run, spoil, tmp_path, monkeypatch):
    """As on a GPU: the step is taken, and found out before the next checkpoint or logged step."""
    true_check = finite.FiniteCheck.__init__

    def init(self, *arguments):
        true_check(self, *arguments)
        self._may_wait = True

    monkeypatch.setattr(finite.FiniteCheck, "__init__", init)
    spoil(1)
    refuses("the loss is not finite at step 2 of epoch 1", run, epochs=1, checkpoint_minutes=1e-9)
    content = load_checkpoint(tmp_path / "run" / LATEST)
    assert content["step"] == 1
    assert all(value.isfinite().all() for value in content["model"].values())
