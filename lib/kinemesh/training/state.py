"""What a run is made of: its datasets, what stays the same, and what changes with every step."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from kinemesh.body.smpl import Body
from kinemesh.config import Config
from kinemesh.machine.processes import Processes
from kinemesh.machine.stopping import StopRequest
from kinemesh.structures import Loader, TrainingLoader
from kinemesh.training.figures import TrainMeter, Validated
from kinemesh.training.optimizers.average import AveragedModel

NO_BEST_YET = 9999.0


@dataclass
class TrainedDataset:
    """One dataset of a run; `train_epochs` is the number of epochs that train on it."""

    name: str
    train: TrainingLoader | None
    test: Loader | None  # of the split that is validated
    train_epochs: int
    is_always_validated: bool = True  # also in epochs that do not train on it
    is_selecting: bool = False  # whether `best_epoch.bin` is chosen on it
    scalar_suffix: str = ""  # of its names in TensorBoard and metrics.jsonl
    tests: dict[str, Loader] = field(default_factory=dict)  # loaders of the test split by clip rule
    validated_split: str = "test"  # which split `test` has: "val" for training videos held out

    def is_trained_in(self, epoch: int) -> bool:
        return self.train is not None and epoch < self.train_epochs

    def is_tested_in(self, epoch: int) -> bool:
        return self.test is not None and (self.is_always_validated or self.is_trained_in(epoch))

    @property
    def batch_count(self) -> int:
        return 0 if self.train is None else len(self.train)


def selected_on(datasets: list[TrainedDataset]) -> str:
    """The split that `best_epoch.bin` is chosen on, in words."""
    dataset = next((dataset for dataset in datasets if dataset.is_selecting), datasets[0])
    return f"{dataset.name} {'test split' if dataset.validated_split == 'test' else 'held-out training videos'}"


# Scores a model on a dataset's validated split, under a label for progress lines; raises `Stopped` where that is asked.
Validate = Callable[[nn.Module, TrainedDataset, str], Validated]


@dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last."""

    config: Config
    body: Body
    validate: Validate
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
    batches: int = 0  # of it, trained on; when it is all of them, its validation comes next
    validated: dict[str, Validated] = field(default_factory=dict)
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
