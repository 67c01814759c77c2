"""What an epoch comes to: means of its training batches, and what a validation found."""

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.losses import LOSSES


def columns() -> tuple[str, ...]:
    """The values that are logged of a batch, in this order."""
    return ("loss", *LOSSES, "mpjpe")


class Measured(NamedTuple):
    """A training batch's part in the epoch's means; all of them over its clips, and over all processes."""

    batch: int  # its number in the epoch
    clips: int
    values: Tensor  # (columns,), as `columns()` names them
    mpve: Tensor | None  # on logged steps


class TrainMeter:
    """Sums over an epoch's clips, kept on the device until they are asked for."""

    def __init__(self, device: torch.device):
        self._sums = torch.zeros(len(columns()), dtype=torch.float64, device=device)
        self._clips = 0
        self._mpve = torch.zeros((), dtype=torch.float64, device=device)
        self._mpve_clips = 0

    def add(self, measured: Measured) -> None:
        """Count a batch's clips."""
        _, clips, values, mpve = measured
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
