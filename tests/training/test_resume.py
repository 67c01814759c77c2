"""Stopping and going on: at whatever moment a run is stopped, it ends as if it had not been."""

import pytest
import torch

from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.machine.stopping import Stopped, StopRequest
from kinemesh.training.names import BEST, LATEST
from tests.refusals import refused, refuses
from tests.runs import logged


class StopAtLook(StopRequest):
    """A request that is there from the n-th time on that the run looks for one."""

    def __init__(self, look: int):
        super().__init__()
        self.looks_left = look

    def agree_to_stop(self) -> bool:
        self.looks_left -= 1
        if self.looks_left <= 0:
            self.signal_number = 15
        return self.signal_number is not None


def assert_same_end(folder, other):
    for name in (LATEST, BEST):
        ours, theirs = load_checkpoint(folder / name), load_checkpoint(other / name)
        assert "progress" not in ours
        for part in ("model", "model_in_training"):
            assert ours.get(part, {}).keys() == theirs.get(part, {}).keys()
            for key, value in theirs.get(part, {}).items():
                assert torch.equal(ours[part][key], value), (name, part, key)
        for number, state in theirs["optimizer"]["state"].items():
            for key, value in state.items():
                assert torch.equal(ours["optimizer"]["state"][number][key], value), (name, number, key)
        for key in ("epoch", "step", "lr", "best_jpe"):
            assert ours[key] == theirs[key], key
    lines = ([line | {"seconds": 0} for line in logged(each)] for each in (folder, other))
    assert next(lines) == next(lines)


CHANGES = {"epochs": 2, "dropout": 0.2, "ema": 0.9, "grad_accumulation": 2, "lr_schedule": "linear"}


@pytest.fixture
def unbroken(run, tmp_path):
    run("unbroken", **CHANGES)
    return tmp_path / "unbroken"


def test_stopped_at_any_moment_a_run_ends_as_if_it_had_not_been(run, unbroken, tmp_path):
    """An epoch looks after each of two optimizer steps, in each of three test batches, and at its end."""
    places = set()
    for look in (1, 4, 6, 8, 12):
        folder = f"stopped_{look}"
        try:
            run(folder, stop=StopAtLook(look), **CHANGES)
        except Stopped as stopped:
            assert stopped.exit_status == 143
            content = load_checkpoint(tmp_path / folder / LATEST)
            torch.load(tmp_path / folder / LATEST, weights_only=True)
            places.add((content["epoch"], content.get("progress", {}).get("batches")))
            if content["epoch"] < 2:
                run(folder, **CHANGES)
        assert_same_end(tmp_path / folder, unbroken)
    # After a step, before the evaluation, between epochs, and at the end.
    assert places == {(0, 2), (0, 3), (1, None), (1, 3), (2, None)}


def test_a_checkpoint_inside_an_epoch_every_so_many_minutes(run, unbroken, tmp_path, monkeypatch):
    written = []
    save = torch.save

    def noted_save(content, file):
        written.append(content.get("progress"))
        save(content, file)

    monkeypatch.setattr(torch, "save", noted_save)
    run("saved", checkpoint_minutes=1e-9, **CHANGES)
    assert [progress["batches"] for progress in written if progress] == [2, 3, 2, 3]
    assert_same_end(tmp_path / "saved", unbroken)


def test_a_reader_that_knows_no_place_trains_the_epoch_again(run, tmp_path):
    with pytest.raises(Stopped):
        run("run", stop=StopAtLook(2), epochs=2)
    content = load_checkpoint(tmp_path / "run" / LATEST)
    assert content["epoch"] == 0
    assert {"lr", "optimizer", "model", "best_jpe"} <= content.keys()


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_stored_rates_are_not_asked(run, unbroken, tmp_path, epochs):
    """Whatever `lr` meant when the file was written: between epochs, and inside one."""
    if epochs == 1:
        run("run", **CHANGES | {"lr_schedule": "exponential", "epochs": 1})
    else:
        with pytest.raises(Stopped):
            run("run", stop=StopAtLook(7), **CHANGES | {"lr_schedule": "exponential"})
    run("unbroken_too", **CHANGES | {"lr_schedule": "exponential"})
    content = torch.load(tmp_path / "run" / LATEST, weights_only=True)
    assert content["lr"] == [1e-3 * 0.9] * 2
    content["lr"] = [1e-3, 5.0]
    for group in content["optimizer"]["param_groups"]:
        group["lr"] = 1e-3
    torch.save(content, tmp_path / "run" / LATEST)
    run("run", **CHANGES | {"lr_schedule": "exponential"})
    assert_same_end(tmp_path / "run", tmp_path / "unbroken_too")


def test_other_batches_than_those_of_the_place_are_an_error(run, tmp_path):
    with pytest.raises(Stopped):
        run("run", stop=StopAtLook(2), epochs=2)
    with refused("stopped inside epoch 1, with grad_accumulation 1, now 3. Finish that epoch"):
        run("run", epochs=2, grad_accumulation=3)


def test_a_damaged_place_is_an_error(run, tmp_path):
    with pytest.raises(Stopped):
        run("run", stop=StopAtLook(2), epochs=2)
    content = load_checkpoint(tmp_path / "run" / LATEST)
    good = content["progress"]
    validated = {"mpjpe": 1.0, "figures": {}, "words": ""}
    damaged = [
        good | {"meter": {key: value for key, value in good["meter"].items() if key != "sums"}},
        good | {"meter": good["meter"] | {"clips": -1}},
        good | {"batches": -1},
        good | {"batches": 1 << 40},
        good | {"seconds": -1.0},
        good | {"evaluations": {"pw3d": validated | {"mpjpe": "1"}}},
        good | {"evaluations": {"pw3d": validated | {"words": 1}}},
        good | {"evaluations": []},
    ]
    for progress in damaged:
        torch.save(content | {"progress": progress}, tmp_path / "run" / LATEST)
        refuses("latest_epoch.bin: its 'progress' is not what this program writes", run, "run", epochs=2)
    torch.save(content | {"progress": good | {"seconds": float("inf")}}, tmp_path / "run" / LATEST)
    refuses("latest_epoch.bin: 'progress.seconds' holds nan or infinity", run, "run", epochs=2)


def test_tensorboard_shows_each_point_once(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Stopped):
        run("run", stop=StopAtLook(9), epochs=2)
    # As if killed after the points of the epoch, before its checkpoint: they come a second time.
    run("run", epochs=2)
    events = EventAccumulator(str(tmp_path / "run" / "logs"))
    events.Reload()
    assert [point.step for point in events.Scalars("train_loss")] == [1, 2]
