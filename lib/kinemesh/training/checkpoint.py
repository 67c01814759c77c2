"""A run's checkpoints: what goes into one, how it comes back, and when one is written.

Keys: behaviour contract, section 5. Reading and opening them is kinemesh.files.checkpoints and kinemesh.model.opening.
"""

import contextlib
import logging
import math
import time
from pathlib import Path

from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.files.checkpoints import nonfinite_number, require_finite, save_checkpoint
from kinemesh.files.writing import faults_of_writing, write_atomically
from kinemesh.machine.log import drop_metrics_from
from kinemesh.machine.stopping import Stopped
from kinemesh.training.figures import TrainMeter, Validated
from kinemesh.training.finite import FiniteCheck, training_advice
from kinemesh.training.names import BEST, LATEST, METRICS
from kinemesh.training.optimizer import learning_rates
from kinemesh.training.optimizers.states import restore_optimizer
from kinemesh.training.state import NO_BEST_YET, EpochProgress, Run, TrainedDataset, TrainState, selected_on

logger = logging.getLogger(__name__)


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
            **_place_of(datasets, run),
            "seconds": progress.seconds,
            "meter": progress.meter.state_dict(),
            "evaluations": {name: found.to_plain() for name, found in progress.validated.items()},
        }
    return content


def _place_of(datasets: list[TrainedDataset], run: Run) -> dict:
    """What a place inside an epoch is counted in."""
    return {
        "batch_counts": {each.name: each.batch_count for each in datasets},
        "grad_accumulation": run.config.grad_accumulation,
        "seed": run.seed,
    }


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


def say_what_goes_on(state: TrainState, content: dict, path: Path, config: Config) -> None:
    """Log where a restored run stands, and what its checkpoint did not hold."""
    if "optimizer" not in content:
        logger.warning("%s: %s", path, _words_of_fresh_optimizer(content, config, state))
    inside = " (stopped inside the next one)" if "progress" in content else ""
    logger.info("%s: going on after epoch %d%s, best test mpjpe so far %.2f", path, state.epoch, inside, state.best_jpe)


def _words_of_fresh_optimizer(content: dict, config: Config, state: TrainState) -> str:
    said = f"no optimizer state in it; a fresh optimizer goes on after epoch {state.epoch}"
    if config.lr_schedule != "exponential":
        return f"{said}, at the config's learning rates of there"
    own = learning_rates(config, state.epoch, state.step, total_steps=0)
    said += f", at learning rates {', '.join(f'{rate:.3g}' for rate in own)}"
    stored = content.get("lr")
    is_known = isinstance(stored, list) and all(isinstance(rate, float) for rate in stored)
    if not is_known or (len(stored) == len(own) and all(map(math.isclose, stored, own))):
        return said
    return f"{said} by the config, where the file has {', '.join(f'{rate:.3g}' for rate in stored)[:80]}"


def restore_progress(state: TrainState, content: dict, path: Path, datasets: list[TrainedDataset], run: Run) -> None:
    """Bring back the place inside an epoch, where the checkpoint was written in one.

    Raises `UserError` if the run's batches are others than those that the place was counted in.
    """
    if "progress" not in content:
        return
    stored = content["progress"]
    try:
        own = _place_of(datasets, run).items()
        differing = [f"{key} {stored[key]}, now {value}" for key, value in own if stored[key] != value]
        if differing:
            raise UserError(
                f"{path}: stopped inside epoch {state.epoch + 1}, with {'; '.join(differing)}. Finish that epoch with the "
                f"same config, data and seed, or start from another checkpoint in a new --checkpoint folder."
            )
        require_finite({"progress": stored}, path)
        place = [each.name for each in datasets].index(stored["dataset"])
        batches, seconds = int(stored["batches"]), float(stored["seconds"])
        if not 0 <= batches <= datasets[place].batch_count or seconds < 0:
            raise ValueError
        meter = TrainMeter(run.device)
        meter.load_state_dict(stored["meter"])
        state.progress = EpochProgress(
            meter,
            dataset=place,
            batches=batches,
            validated={name: Validated.from_plain(found) for name, found in stored["evaluations"].items()},
            began=time.monotonic() - seconds,
        )
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: its 'progress' is not what this program writes. Resume from another file.") from error


def selected_on_of(content: dict) -> str:
    """The split that a checkpoint was chosen on, in words."""
    if "config" not in content:
        return "unknown (released checkpoints were selected on the test split)"
    return str(content.get("selected_on", "not recorded (test split, as released, unless val_split was set)"))


def require_same_selection(content: dict, selection_split: str, path: Path | str) -> None:
    """Raise UserError if a run would compare its MPJPE with that of another split."""
    written = content.get("selected_on", selection_split)
    if written != selection_split:
        raise UserError(
            f"{path}: its best epoch so far was chosen on the {written}, this run chooses on the {selection_split}. "
            "Set val_split and the datasets as they were, or start a new --checkpoint folder."
        )


class Saver:
    """Writes a run's checkpoints, and is the one place that decides between steps whether to save or to stop.

    The main process writes; all processes ask and decide alike.
    """

    def __init__(self, state: TrainState, datasets: list[TrainedDataset], run: Run):
        self._state, self._datasets, self._run = state, datasets, run
        self._saved_at = time.monotonic()

    def save_or_stop(self, finite: FiniteCheck | None = None) -> None:
        """Save if that is due or the run is to stop; first `finite` sees to it that nothing wrong is saved.

        Raises `Stopped` if the run is to stop, `UserError` if the file cannot be written or would not be finite.
        """
        is_stopping = self._run.stop.agree_to_stop()
        if not is_stopping and not self._is_due():
            return
        if finite is not None:
            finite.look()
        self._save_latest(self.require_finite())
        if is_stopping:
            raise Stopped(self._run.stop.signal_number)

    def require_finite(self) -> dict:
        """What a checkpoint would hold now. Raises `UserError` if that is not finite."""
        state, run = self._state, self._run
        content = checkpoint_content(state, self._datasets, run)
        if name := nonfinite_number(content):
            raise UserError(
                f"after step {state.step}, in epoch {state.epoch + 1}, '{name}' holds nan or infinity. "
                f"{training_advice(run.folder)}."
            )
        return content

    def save_best(self) -> None:
        """`best_epoch.bin` as things are."""
        self._save(BEST, self.require_finite())

    def save_epoch(self, is_best: bool) -> None:
        """The files of a whole epoch; `latest_epoch.bin` last, so that a run killed here repeats the epoch."""
        state, run = self._state, self._run
        content = self.require_finite()
        if is_best:
            self._save(BEST, content)
        if state.epoch % run.config.checkpoint_frequency == 0:
            self._save(f"epoch_{state.epoch - 1}.bin", content)
        self._save_latest(content)

    def _is_due(self) -> bool:
        minutes = self._run.config.checkpoint_minutes
        if minutes <= 0:
            return False
        # By the clock of whichever process is ahead.
        return bool(self._run.processes.largest(time.monotonic() - self._saved_at >= 60 * minutes))

    def _save(self, name: str, content: dict) -> None:
        if self._run.processes.is_main:
            save_checkpoint(self._run.folder / name, content)

    def _save_latest(self, content: dict) -> None:
        self._save(LATEST, content)
        self._saved_at = time.monotonic()


def prepare_folder(folder: Path, config_path: Path, epoch: int) -> None:
    """Make a run's folder hold its config, the metrics of epochs before `epoch`, and nothing half written."""
    copied = folder / config_path.name
    with faults_of_writing(copied):
        if not (copied.exists() and copied.samefile(config_path)):
            content = config_path.read_bytes()
            write_atomically(copied, lambda file: file.write(content))
    _remove_stale_temporaries(folder)
    drop_metrics_from(folder / METRICS, epoch)


def _remove_stale_temporaries(folder: Path) -> None:
    """Delete what a killed run left half written in a checkpoint folder."""
    for pattern in (".*.bin.*", ".metrics.jsonl.*"):
        for leftover in folder.glob(pattern):
            with contextlib.suppress(OSError):
                leftover.unlink()
