"""Tells what each epoch came to: TensorBoard scalars, a line of `metrics.jsonl`, and the log."""

import logging

from kinemesh.machine.log import ScalarLog, append_record
from kinemesh.training.names import METRICS, SCALARS
from kinemesh.training.state import EpochProgress, Run, TrainedDataset, TrainState

logger = logging.getLogger(__name__)


class EpochLog:
    """The main process's; `first_epoch` is the first that it is told of, counted from 0."""

    def __init__(self, datasets: list[TrainedDataset], run: Run, first_epoch: int):
        self._datasets, self._run = datasets, run
        self._scalars = ScalarLog(run.folder / SCALARS, first_epoch + 1)

    def record(self, state: TrainState, progress: EpochProgress, rates: list[float]) -> float:
        """Write the figures of the epoch before `state`'s, trained at `rates`; the seconds it took."""
        found, seconds = progress.validated, progress.seconds
        record = progress.meter.scalars()
        for dataset in self._datasets:
            if dataset.name in found:
                record |= _named(dataset, found[dataset.name].figures)
        self._scalars.add(record, state.epoch)
        line = {"epoch": state.epoch, "seconds": round(seconds, 2), "lr": rates, **record}
        if state.skipped:
            line["skipped_steps"] = state.skipped
        line |= {f"refinement_{name}": each.refinement for name, each in found.items() if each.refinement}
        append_record(self._run.folder / METRICS, line)
        return seconds

    def say(self, epoch: int, progress: EpochProgress, seconds: float, is_best: bool) -> None:
        """Log the figures of the epoch before `epoch` in a line, and what its validations have to add."""
        trained = progress.meter.scalars()
        said = [f"epoch {epoch}/{self._run.config.epochs}"]
        if "train_loss" in trained:
            said.append(f"train loss {trained['train_loss']:.2f} mpjpe(17) {trained['train_mpjpe']:.1f}")
        for place, dataset in enumerate(self._datasets):
            if dataset.name in progress.validated:
                said.append(
                    f"{dataset.name} {self._scored_split(place, epoch)} {progress.validated[dataset.name].words}"
                )
        logger.info("%s mm | %.1f s%s", " | ".join(said), seconds, " | best so far" if is_best else "")
        for found in progress.validated.values():
            if found.table:
                logger.info("%s", found.table)
            for warning in found.warnings:
                logger.warning("%s", warning)

    def _scored_split(self, place: int, epoch: int) -> str:
        """Which split of a dataset was scored, and what was trained on only afterwards, as released."""
        later = [dataset.name for dataset in self._datasets[place + 1 :] if dataset.is_trained_in(epoch - 1)]
        split = self._datasets[place].validated_split
        return f"{split} (before this epoch's {' and '.join(later)})" if later else split

    def close(self) -> None:
        self._scalars.close()


def _named(dataset: TrainedDataset, figures: dict[str, float]) -> dict[str, float]:
    """Figures under their names in TensorBoard: `test_mpjpe_pw3d`, `test_loss_pw3d/loss_pose`, `val_mpjpe`."""
    parts = ((name.partition("/"), value) for name, value in figures.items())
    return {
        f"{dataset.validated_split}_{head}{dataset.scalar_suffix}{slash}{term}": value
        for (head, slash, term), value in parts
    }
