"""Means over the clips that an epoch has trained on."""

import torch
from torch import Tensor

from kinemesh.losses import LOSSES


def columns() -> tuple[str, ...]:
    """The values of a step, in this order."""
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
