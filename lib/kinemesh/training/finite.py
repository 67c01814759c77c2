"""Numbers gone wrong: finds losses, gradients and figures that are not finite, says where they are, stops or skips.

On a CPU, and with `on_nonfinite: skip`, each optimizer step is looked at before it is taken. On a GPU looking makes the
host wait, so with `stop` that is done on logged steps and before anything is saved, for all steps since the last time:
weights that went wrong in between are never saved.
"""

import logging
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.errors import UserError
from kinemesh.machine.log import append_record
from kinemesh.training.figures import Measured, columns
from kinemesh.training.names import LATEST, NONFINITE_STEPS
from kinemesh.training.state import Run, TrainedDataset, TrainState

logger = logging.getLogger(__name__)

_CLIPS_NAMED = 4


class _Step(NamedTuple):
    """What is looked at of one optimizer step."""

    measured: list[Measured]  # of its batches
    gradient_norm: Tensor  # scalar

    def are_finite(self) -> Tensor:
        """(batches + 1,) bool, the gradient last."""
        losses = (batch.values.isfinite().all() for batch in self.measured)
        return torch.stack([*losses, self.gradient_norm.isfinite()])


class FiniteCheck:
    """Looks at the steps of one pass over a dataset, whose clips come in `order`."""

    def __init__(self, state: TrainState, dataset: TrainedDataset, order: Tensor, run: Run):
        self._state, self._dataset, self._order, self._run = state, dataset, order, run
        self._pending: list[_Step] = []
        self._may_wait = run.device.type != "cpu" and run.config.on_nonfinite == "stop"

    def allows(self, measured: list[Measured], gradient_norm: Tensor) -> bool:
        """Whether to take the step of these batches; with `stop` it raises instead of saying no.

        Raises `UserError` for a step that is not finite with `stop`, and for one more than `nonfinite_limit` with `skip`.
        """
        self._pending.append(_Step(measured, gradient_norm))
        return self._may_wait or self.look()

    def look(self) -> bool:
        """Look at all steps since the last time; raises as `allows` does."""
        pending, self._pending = self._pending, []
        if not pending:
            return True
        finite = torch.stack([step.are_finite().all() for step in pending]).tolist()
        if all(finite):
            return True
        self._report(pending[finite.index(False)])
        return False

    def _report(self, step: _Step) -> None:
        state, run, config = self._state, self._run, self._run.config
        *finite, _ = step.are_finite().tolist()
        # Where all losses are finite it is the gradient, and any batch of the step may be why.
        wrong = [each for each, is_finite in zip(step.measured, finite, strict=True) if not is_finite] or step.measured
        shown = wrong[0].values.tolist()
        terms = dict(zip(columns(), shown, strict=True)) | {"gradient norm": step.gradient_norm.item()}
        clips = [clip for each in wrong for clip in describe_clips(self._dataset.train, self._order, each.batch)]
        what = "gradient" if all(finite) else "loss"
        batch = wrong[0].batch + 1
        record = {"epoch": state.epoch + 1, "dataset": self._dataset.name, "step": batch, "what": what}
        record |= {"terms": {name: str(value) for name, value in terms.items()}, "clips": clips}
        if run.processes.is_main:
            append_record(run.folder / NONFINITE_STEPS, record)
        message = (
            f"the {what} is not finite at step {batch} of epoch {state.epoch + 1} on {self._dataset.name} "
            f"({', '.join(f'{name} {value:.4g}' for name, value in terms.items())}), {_named(clips)} "
            f"(all in {run.folder / NONFINITE_STEPS})"
        )
        advice = training_advice(run.folder, "check those clips, ")
        if config.on_nonfinite == "stop":
            raise UserError(f"{message}. {advice}, or skip such steps with on_nonfinite: skip.")
        state.skipped += 1
        if state.skipped > config.nonfinite_limit:
            raise UserError(f"{message}, one more than nonfinite_limit {config.nonfinite_limit} allows. {advice}.")
        logger.warning("%s; step skipped, %d of at most %d", message, state.skipped, config.nonfinite_limit)


def training_advice(folder: Path, first: str = "") -> str:
    """What is left of a run whose numbers went wrong, and what to do, `first` first."""
    latest = folder / LATEST
    kept = f"{latest} is the last finite checkpoint and is kept" if latest.exists() else "No checkpoint was written yet"
    return f"{kept}; {first}lower the learning rates or set clip_grad_norm"


def describe_clips(loader, order: Tensor, batch: int) -> list[dict]:
    """The clips of a training batch: number, video, and first and last frame in it as the file counts them."""
    part, ids = loader.clips_of_batch(order, batch)
    ids = ids.to(part.clip_frames.device)
    rows, split = part.clip_frames[ids].cpu().numpy(), part.split
    if not split.video_names:
        return [
            {"clip": int(number), "image": int(row[0]) * split.sample_stride}
            for number, row in zip(ids, rows, strict=True)
        ]
    videos, frames = split.locate(rows)
    return [
        {"clip": int(number), "video": str(video[0]), "frames": [int(frame[0]), int(frame[-1])]}
        for number, video, frame in zip(ids, videos, frames, strict=True)
    ]


def _named(clips: list[dict]) -> str:
    parts = []
    for clip in clips[:_CLIPS_NAMED]:
        if "video" in clip:
            first, last = clip["frames"]
            parts.append(f"{clip['clip']} ({clip['video']}, frames {first} to {last})")
        else:
            parts.append(f"{clip['clip']} (image {clip['image']})")
    more = f" and {len(clips) - _CLIPS_NAMED} more" if len(clips) > _CLIPS_NAMED else ""
    return f"clips {', '.join(parts)}{more}"
