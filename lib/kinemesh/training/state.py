"""What a run has come to, and how it goes into a checkpoint and comes back."""

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.smpl import PosedBody
from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.evaluation.evaluate import Evaluation
from kinemesh.machine.processes import Processes
from kinemesh.machine.stopping import StopRequest
from kinemesh.training.checkpoint import LATEST
from kinemesh.training.meter import TrainMeter
from kinemesh.training.optimizer import AveragedModel
from kinemesh.training.optimizer_state import restore_optimizer

NO_BEST_YET = 9999.0


@dataclass
class TrainedDataset:
    """One dataset of a run; `train_epochs` is the number of epochs that train on it."""

    name: str
    train: object  # loader, or None
    test: object  # loader, or None
    train_epochs: int
    is_always_validated: bool = True  # also in epochs that do not train on it
    is_selecting: bool = False  # whether `best_epoch.bin` is chosen on it
    scalar_suffix: str = ""  # of its names in TensorBoard and metrics.jsonl
    tests: dict[str, object] = field(default_factory=dict)  # loaders of the test split by clip rule
    validated_split: str = "test"  # which split `test` has: "val" for training videos held out

    def is_trained_in(self, epoch: int) -> bool:
        return self.train is not None and epoch < self.train_epochs

    def is_tested_in(self, epoch: int) -> bool:
        return self.test is not None and (self.is_always_validated or self.is_trained_in(epoch))

    @property
    def batch_count(self) -> int:
        return 0 if self.train is None else len(self.train)


def selecting_dataset(datasets: list[TrainedDataset]) -> TrainedDataset:
    """The dataset that `best_epoch.bin` is chosen on."""
    return next((dataset for dataset in datasets if dataset.is_selecting), datasets[0])


def selected_on(datasets: list[TrainedDataset]) -> str:
    """The split that `best_epoch.bin` is chosen on, in words."""
    dataset = selecting_dataset(datasets)
    return f"{dataset.name} {'test split' if dataset.validated_split == 'test' else 'held-out training videos'}"


@dataclass(frozen=True)
class Posing:
    """The body as training and validation need it."""

    kinematics: JointKinematics
    body: PosedBody


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last."""

    config: Config
    posing: Posing
    kind: str  # "regressor" or "refiner"
    folder: Path
    seed: int
    print_freq: int
    device: torch.device
    stop: StopRequest = field(default_factory=StopRequest)
    origin: dict = field(default_factory=dict)  # what checkpoints record of where they come from
    processes: Processes = field(default_factory=Processes)


@dataclass
class EpochProgress:
    """How far the epoch in hand has come, and what it has found so far."""

    meter: TrainMeter
    dataset: int = 0  # place, among the run's datasets, of the one in hand
    batches: int = 0  # of it, trained on; when it is all of them, its evaluation comes next
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def go_to_next_dataset(self) -> None:
        self.dataset += 1
        self.batches = 0


@dataclass
class TrainState:
    """Everything that a checkpoint has to bring back."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    epoch: int = 0  # next to run, or the one in hand
    step: int = 0  # optimizer steps done
    skipped: int = 0  # optimizer steps left out for numbers that were not finite
    best_jpe: float = NO_BEST_YET
    progress: EpochProgress | None = None  # None between epochs
    joined: nn.Module | None = None  # the model as several processes train it; None in one alone

    @property
    def trained(self) -> nn.Module:
        """What to call in training."""
        return self.model if self.joined is None else self.joined

    def without_joining(self, is_wanted: bool) -> contextlib.AbstractContextManager:
        """While entered, backward passes keep a process's gradients to itself: a later one joins the sums."""
        return self.joined.no_sync() if self.joined is not None and is_wanted else contextlib.nullcontext()

    @property
    def evaluated(self) -> nn.Module:
        return self.model if self.average is None else self.average.module


def checkpoint_content(state: TrainState, datasets: list[TrainedDataset], run: Run) -> dict:
    """A checkpoint: plain tensors, numbers and text under the released keys, and this project's.

    `epoch` is the next to run, `lr` its rates. Inside an epoch it is that epoch, so that a reader who knows no
    `progress` trains the whole of it again.
    """
    content = {
        "epoch": state.epoch,
        "step": state.step,
        "skipped_steps": state.skipped,
        "lr": [group["lr"] for group in state.optimizer.param_groups],
        "optimizer": state.optimizer.state_dict(),
        "model": state.evaluated.state_dict(),
        "best_jpe": state.best_jpe,
        "selected_on": selected_on(datasets),
        "kind": run.kind,
        "config": run.config.to_dict(),
        "origin": run.origin,
    }
    if state.average is not None:
        content["model_in_training"] = state.model.state_dict()
    if state.progress is not None:
        progress, dataset = state.progress, datasets[state.progress.dataset]
        content["progress"] = {
            "dataset": dataset.name,
            "batches": progress.batches,
            "batch_counts": {each.name: each.batch_count for each in datasets},
            "grad_accumulation": run.config.grad_accumulation,
            "seed": run.seed,
            "seconds": progress.seconds,
            "meter": progress.meter.state_dict(),
            "evaluations": {name: found.to_plain() for name, found in progress.evaluations.items()},
        }
    return content


def restore(state: TrainState, content: dict, path: Path) -> None:
    """Bring back optimizer, averaged weights and counts; the model holds the checkpoint's weights already.

    The optimizer stays as it is where the checkpoint has none. `lr` is not read: the rates of a step follow from the
    config and the step's place. Raises `UserError` if the checkpoint has no epoch, or the optimizer of another model.
    """
    if "epoch" not in content:
        raise UserError(f"{path}: no 'epoch' in it, so training cannot go on from it. Resume from {LATEST}.")
    if state.average is not None:
        state.average.module.load_state_dict(state.model.state_dict())
    if "model_in_training" in content:
        state.model.load_state_dict(content["model_in_training"])
    if "optimizer" in content:
        restore_optimizer(state.optimizer, content["optimizer"], path)
    state.epoch = int(content["epoch"])
    state.step = int(content.get("step", 0))
    state.skipped = int(content.get("skipped_steps", 0))
    state.best_jpe = float(content.get("best_jpe", NO_BEST_YET))


def restore_progress(state: TrainState, content: dict, path: Path, datasets: list[TrainedDataset], run: Run) -> None:
    """Bring back the place inside an epoch, where the checkpoint was written in one.

    Raises `UserError` if the run's batches are others than those that the place was counted in.
    """
    if "progress" not in content:
        return
    stored = content["progress"]
    own = {
        "batch_counts": {each.name: each.batch_count for each in datasets},
        "grad_accumulation": run.config.grad_accumulation,
        "seed": run.seed,
    }
    try:
        differing = [f"{key} {stored[key]}, now {value}" for key, value in own.items() if stored[key] != value]
        if differing:
            raise UserError(
                f"{path}: stopped inside epoch {state.epoch + 1}, with {'; '.join(differing)}. Finish that epoch with the "
                f"same config, data and seed, or start from another checkpoint in a new --checkpoint folder."
            )
        meter = TrainMeter(run.device)
        meter.load_state_dict(stored["meter"])
        state.progress = EpochProgress(
            meter,
            dataset=[each.name for each in datasets].index(stored["dataset"]),
            batches=int(stored["batches"]),
            evaluations={name: Evaluation.from_plain(found) for name, found in stored["evaluations"].items()},
            began=time.monotonic() - float(stored["seconds"]),
        )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UserError(f"{path}: its 'progress' is not what this program writes. Resume from another file.") from error
