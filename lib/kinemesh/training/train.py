"""The training loop: epochs over the datasets of a run, validation, checkpoints, logs."""

import logging

from kinemesh.config import Config
from kinemesh.evaluation.evaluate import Evaluation, evaluate
from kinemesh.evaluation.tables import epoch_line, refinement_record, refinement_warnings, results_table, test_scalars
from kinemesh.machine.log import ScalarLog, append_record
from kinemesh.machine.stopping import Stopped, StoppedAtOnce
from kinemesh.protocols import DEFAULT
from kinemesh.training.finite import require_finite_figures, training_advice
from kinemesh.training.meter import TrainMeter
from kinemesh.training.optimizer import learning_rates, set_learning_rates
from kinemesh.training.saver import Saver
from kinemesh.training.state import EpochProgress, Run, TrainedDataset, TrainState, selecting_dataset
from kinemesh.training.step import train_on

logger = logging.getLogger(__name__)


def train(state: TrainState, datasets: list[TrainedDataset], run: Run) -> None:
    """Train from where `state` is to `config.epochs`.

    After each epoch the run's folder holds `latest_epoch.bin`, `best_epoch.bin` (lowest test MPJPE so far, of 3DPW if it
    is validated), every `checkpoint_frequency` epochs `epoch_{e}.bin`, a line in `metrics.jsonl` and TensorBoard scalars;
    `latest_epoch.bin` also inside an epoch, every `checkpoint_minutes` and when the run is stopped.
    Raises `Stopped` once that was asked for and the place is saved, `UserError` if a loss, gradient, weight, moment of
    the optimizer or test figure is not finite or a file cannot be written; the last checkpoint stays.
    """
    config = run.config
    saver = Saver(state, datasets, run)
    scalars = ScalarLog(run.folder / "logs", state.epoch + 1) if run.processes.is_main else None
    total_steps = sum(_step_count(dataset, config) * min(dataset.train_epochs, config.epochs) for dataset in datasets)
    try:
        while state.epoch < config.epochs:
            if state.progress is None:
                state.progress = EpochProgress(TrainMeter(run.device))
            for dataset in datasets[state.progress.dataset :]:
                if dataset.is_trained_in(state.epoch):
                    train_on(state, dataset, run, saver, total_steps)
                    saver.require_finite()
                if dataset.is_tested_in(state.epoch):
                    state.progress.evaluations[dataset.name] = _test(state, dataset, run, saver)
                state.progress.go_to_next_dataset()
            _finish_epoch(state, datasets, run, saver, scalars, total_steps)
            run.stop.raise_if_made()
    finally:
        if scalars is not None:
            scalars.close()


def _test(state: TrainState, dataset: TrainedDataset, run: Run, saver: Saver) -> Evaluation:
    label = f"epoch {state.epoch + 1} {dataset.name} {dataset.validated_split}"
    try:
        evaluation = evaluate(
            state.evaluated, dataset.test, run.posing.body, run.config,
            label=label, stop=run.stop, processes=run.processes,
        )[DEFAULT]  # fmt: skip
    except StoppedAtOnce:
        raise
    except Stopped:
        saver.save_or_stop()  # the place is before this evaluation, which is made again
        raise
    require_finite_figures(label, evaluation, training_advice(run.folder))
    return evaluation


def _finish_epoch(
    state: TrainState, datasets: list[TrainedDataset], run: Run, saver: Saver, scalars: ScalarLog | None,
    total_steps: int,
) -> None:  # fmt: skip
    """Make the next epoch the state's; the main process, whose `scalars` are, logs what this one has found and saves."""
    evaluations, seconds = state.progress.evaluations, state.progress.seconds
    record = state.progress.meter.scalars()
    scored = {dataset.name: _scored_split(place, datasets, state.epoch) for place, dataset in enumerate(datasets)}
    for dataset in datasets:
        if dataset.name in evaluations:
            record |= test_scalars(evaluations[dataset.name], dataset.scalar_suffix, dataset.validated_split)
    is_best = _update_best(state, evaluations, datasets)
    rates = [group["lr"] for group in state.optimizer.param_groups]
    state.epoch += 1
    state.progress = None
    # As released checkpoints, ours hold the rates of the epoch that comes next.
    set_learning_rates(state.optimizer, learning_rates(run.config, state.epoch, state.step, total_steps))
    if scalars is None:
        return
    scalars.add(record, state.epoch)
    line = {"epoch": state.epoch, "seconds": round(seconds, 2), "lr": rates, **record}
    if state.skipped:
        line["skipped_steps"] = state.skipped
    for name, evaluation in evaluations.items():
        if rows := refinement_record(evaluation):
            line[f"refinement_{name}"] = rows
    append_record(run.folder / "metrics.jsonl", line)
    saver.save_epoch(is_best)
    best_note = " | best so far" if is_best else ""
    said = epoch_line(state.epoch, run.config.epochs, record, evaluations, scored)
    logger.info("%s | %.1f s%s", said, seconds, best_note)
    if run.kind == "refiner":
        logger.info("%s", results_table(evaluations.items()))
        for warning in refinement_warnings(evaluations.items()):
            logger.warning("%s", warning)


def _scored_split(place: int, datasets: list[TrainedDataset], epoch: int) -> str:
    """Which split of a dataset an epoch scored, and what that epoch trained on only afterwards, as released."""
    later = [dataset.name for dataset in datasets[place + 1 :] if dataset.is_trained_in(epoch)]
    split = datasets[place].validated_split
    return f"{split} (before this epoch's {' and '.join(later)})" if later else split


def _step_count(dataset: TrainedDataset, config: Config) -> int:
    return -(-dataset.batch_count // config.grad_accumulation)


def _update_best(state: TrainState, evaluations: dict[str, Evaluation], datasets: list[TrainedDataset]) -> bool:
    """Whether this epoch is the best so far: strictly lower MPJPE of the selecting dataset."""
    evaluation = evaluations.get(selecting_dataset(datasets).name)
    if evaluation is None or not evaluation.metrics["mpjpe"] < state.best_jpe:
        return False
    state.best_jpe = evaluation.metrics["mpjpe"]
    return True
