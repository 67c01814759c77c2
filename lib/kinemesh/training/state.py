"""What a run is made of: its datasets, what stays the same, and what changes with every step."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from kinemesh.body.smpl import Body
from kinemesh.config import Config
from kinemesh.losses import LOSSES
from kinemesh.machine.processes import Processes
from kinemesh.machine.stopping import StopRequest
from kinemesh.structures import Loader, TrainingLoader
from kinemesh.training.optimizer import AveragedModel

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

    def named(self, figures: dict[str, float]) -> dict[str, float]:
        """Figures under their names in TensorBoard: `test_mpjpe_pw3d`, `test_loss_pw3d/loss_pose`, `val_mpjpe`."""
        parts = ((name.partition("/"), value) for name, value in figures.items())
        return {
            f"{self.validated_split}_{head}{self.scalar_suffix}{slash}{term}": value
            for (head, slash, term), value in parts
        }


def selected_on(datasets: list[TrainedDataset]) -> str:
    """The split that `best_epoch.bin` is chosen on, in words."""
    dataset = next((dataset for dataset in datasets if dataset.is_selecting), datasets[0])
    return f"{dataset.name} {'test split' if dataset.validated_split == 'test' else 'held-out training videos'}"


@dataclass(frozen=True)
class Validated:
    """What a validation came to, in plain values that a checkpoint may hold."""

    mpjpe: float  # mm, what the best epoch is chosen by
    figures: dict[str, float]  # `loss`, `loss/<term>` and metrics, for TensorBoard and metrics.jsonl
    words: str  # for the epoch's line
    refinement: dict = field(default_factory=dict)  # of a refiner: its three rows
    table: str = ""
    warnings: list[str] = field(default_factory=list)

    def to_plain(self) -> dict:
        return asdict(self)

    @classmethod
    def from_plain(cls, content: dict) -> "Validated":
        """The inverse of `to_plain`; also of what checkpoints held before. Raises KeyError or TypeError if it is none."""
        if "sides" not in content:
            figures = {**content["figures"], "mpjpe": content["mpjpe"]}
            is_whole = isinstance(content["words"], str) and isinstance(content.get("table", ""), str)
            is_whole &= isinstance(content.get("refinement", {}), dict)
            is_whole &= all(isinstance(warning, str) for warning in content.get("warnings", []))
            if not is_whole or not all(isinstance(value, float | int) for value in figures.values()):
                raise TypeError
            return cls(**content)
        metrics, losses = content["sides"]["model"]["metrics"], content["losses"]
        return cls.of(metrics, losses)

    @classmethod
    def of(cls, metrics: dict[str, float], losses: dict[str, float], **more) -> "Validated":
        """From metrics and losses by their names in a metrics file."""
        shown = {name: metrics[name] for name in ("mpjpe", "pa_mpjpe", "mpve")}
        figures = {"loss": losses["loss"], **{f"loss/{name}": each for name, each in losses.items() if name != "loss"}}
        words = " ".join(f"{name} {value:.1f}" for name, value in shown.items())
        return cls(metrics["mpjpe"], figures | shown, words, **more)


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


def columns() -> tuple[str, ...]:
    """The values that are logged of a batch, in this order."""
    return ("loss", *LOSSES, "mpjpe")


class TrainMeter:
    """Sums over an epoch's clips, kept on the device until they are asked for."""

    def __init__(self, device: torch.device):
        self._sums = torch.zeros(len(columns()), dtype=torch.float64, device=device)
        self._clips = 0
        self._mpve = torch.zeros((), dtype=torch.float64, device=device)
        self._mpve_clips = 0

    def add(self, values: Tensor, clips: int, mpve: Tensor | None = None) -> None:
        """`values` (columns,) are means over `clips` clips, and so is `mpve` where it was measured."""
        self._sums += values.double() * clips
        self._clips += clips
        if mpve is not None:
            self._mpve += mpve.double() * clips
            self._mpve_clips += clips

    def scalars(self) -> dict[str, float]:
        """TensorBoard names -> means; empty before the first step."""
        if not self._clips:
            return {}
        means = dict(zip(columns(), (self._sums / self._clips).tolist(), strict=True))
        named = {"train_loss": means.pop("loss"), "train_mpjpe": means.pop("mpjpe")}
        named |= {f"train_loss/{name}": value for name, value in means.items()}
        if self._mpve_clips:
            named["train_mpve"] = (self._mpve / self._mpve_clips).item()
        return named

    def state_dict(self) -> dict:
        """Everything, as plain tensors and numbers."""
        return {"sums": self._sums, "clips": self._clips, "mpve": self._mpve, "mpve_clips": self._mpve_clips}

    def load_state_dict(self, state: dict) -> None:
        """The inverse of `state_dict`; raises KeyError, RuntimeError or TypeError if it is none."""
        self._sums.copy_(state["sums"])
        self._mpve.copy_(state["mpve"])
        self._clips, self._mpve_clips = int(state["clips"]), int(state["mpve_clips"])
        if min(self._clips, self._mpve_clips) < 0:
            raise TypeError


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
