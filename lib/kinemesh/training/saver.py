"""Writes a run's checkpoints, and is the one place that decides between steps whether to save or to stop."""

import time

from kinemesh.errors import UserError
from kinemesh.machine.stopping import Stopped
from kinemesh.training.checkpoint import BEST, LATEST, nonfinite_tensor, save_checkpoint
from kinemesh.training.finite import FiniteCheck, training_advice
from kinemesh.training.state import Run, TrainedDataset, TrainState, checkpoint_content


class Saver:
    """The checkpoints of one run, written by its main process; all processes ask and decide alike."""

    def __init__(self, state: TrainState, datasets: list[TrainedDataset], run: Run):
        self._state, self._datasets, self._run = state, datasets, run
        self._saved_at = time.monotonic()

    def save_or_stop(self, check: FiniteCheck | None = None) -> None:
        """Save if that is due or the run is to stop; first `check` sees to it that nothing wrong is saved.

        Raises `Stopped` if the run is to stop, `UserError` if the file cannot be written or would not be finite.
        """
        is_stopping = self._run.stop.is_made()
        if not is_stopping and not self._is_due():
            return
        if check is not None:
            check.look()
        self._save_latest(self.require_finite())
        if is_stopping:
            raise Stopped(self._run.stop.signal_number)

    def require_finite(self) -> dict:
        """What a checkpoint would hold now. Raises `UserError` if that is not finite."""
        state, run = self._state, self._run
        content = checkpoint_content(state, self._datasets, run)
        if name := nonfinite_tensor(content):
            raise UserError(
                f"after step {state.step}, in epoch {state.epoch + 1}, '{name}' holds nan or infinity. "
                f"{training_advice(run.folder)}."
            )
        return content

    def save_epoch(self, is_best: bool) -> None:
        """The files of a whole epoch; `latest_epoch.bin` last, so that a run killed here repeats the epoch."""
        state, run = self._state, self._run
        content = checkpoint_content(state, self._datasets, run)
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
