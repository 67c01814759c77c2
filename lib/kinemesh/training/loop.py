"""The training loop: epochs over a run's datasets, each optimizer step, validation, checkpoints, logs.

Source: behaviour contract, section 5.
"""

import logging
from itertools import islice

import torch
from torch import Tensor, nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.mirror import mirror_some
from kinemesh.config import Config
from kinemesh.estimates.errors import estimate_anew
from kinemesh.losses import LOSSES, compute_losses, weighted_total
from kinemesh.machine.progress import progress
from kinemesh.machine.seeds import set_step_seed
from kinemesh.machine.stopping import Stopped, StoppedAtOnce
from kinemesh.metrics import ALL_JOINTS, mpjpe_mm, mpve_mm
from kinemesh.structures import Batch, BodyParams
from kinemesh.training.checkpoint import Saver
from kinemesh.training.epoch_log import EpochLog
from kinemesh.training.figures import Measured, TrainMeter, Validated, columns
from kinemesh.training.finite import FiniteCheck
from kinemesh.training.optimizer import clip_gradients, learning_rates, set_learning_rates
from kinemesh.training.state import EpochProgress, Run, TrainedDataset, TrainState

logger = logging.getLogger(__name__)


def train(state: TrainState, datasets: list[TrainedDataset], run: Run) -> None:
    """Train from where `state` is to `config.epochs`.

    After each epoch the run's folder holds `latest_epoch.bin`, `best_epoch.bin` (lowest MPJPE so far of the dataset that
    selects), every `checkpoint_frequency` epochs `epoch_{e}.bin`, a line in `metrics.jsonl` and TensorBoard scalars;
    `latest_epoch.bin` also inside an epoch, every `checkpoint_minutes` and when the run is stopped.
    Raises `Stopped` once that was asked for and the place is saved, `UserError` if a loss, gradient, weight, moment of
    the optimizer or figure is not finite or a file cannot be written; the last checkpoint stays.
    """
    config = run.config
    saver = Saver(state, datasets, run)
    log = EpochLog(datasets, run, state.epoch) if run.processes.is_main else None
    total_steps = sum(
        -(-dataset.batch_count // config.grad_accumulation) * min(dataset.train_epochs, config.epochs)
        for dataset in datasets
    )
    try:
        if run.kind == "refiner" and config.chooses_trust and (state.epoch, state.progress) == (0, None):
            _save_input_as_best(state, datasets, run, saver)
        while state.epoch < config.epochs:
            if state.progress is None:
                state.progress = EpochProgress(TrainMeter(run.device))
            for dataset in datasets[state.progress.dataset :]:
                if dataset.is_trained_in(state.epoch):
                    train_on(dataset, state, run, saver, total_steps)
                    saver.require_finite()
                if dataset.is_tested_in(state.epoch):
                    state.progress.validated[dataset.name] = _validate(dataset, state, run, saver)
                state.progress.go_to_next_dataset()
            _finish_epoch(state, datasets, run, saver, log, total_steps)
            run.stop.raise_if_agreed()
    finally:
        if log is not None:
            log.close()


def _save_input_as_best(state: TrainState, datasets: list[TrainedDataset], run: Run, saver: Saver) -> None:
    """Make a refiner that returns its input the one to beat: an untrained one, whose trust is chosen to be 0."""
    for dataset in datasets:
        if dataset.is_selecting:
            found = _validate(dataset, state, run, saver)
            state.best_jpe = found.mpjpe
            saver.save_best()
            logger.info("input %s %s %s mm | best so far", dataset.name, dataset.validated_split, found.words)


def train_on(dataset: TrainedDataset, state: TrainState, run: Run, saver: Saver, total_steps: int) -> None:
    """Train on what is left of a dataset in this epoch.

    Raises `Stopped` after the step in which that was asked for, and `UserError` for numbers that are not finite.
    """
    config, loader, done = run.config, dataset.train, state.progress.batches
    order = loader.training_order(run.seed, state.epoch)
    finite = FiniteCheck(state, dataset, order, run)
    batches = loader.training_batches(order, done, config.grad_accumulation, run.processes)
    label = f"epoch {state.epoch + 1} {dataset.name}"
    batches = progress(batches, dataset.batch_count, label, run.print_freq, done=done)
    state.model.train()
    for first in range(done, dataset.batch_count, config.grad_accumulation):
        size = min(config.grad_accumulation, dataset.batch_count - first)
        buffers = [buffer.clone() for buffer in state.model.buffers()] if config.on_nonfinite == "skip" else []
        measured = [backward(state, batch, run) for batch in islice(batches, size)]
        norm = clip_gradients(state.model, config)
        if finite.allows(measured, norm):
            optimizer_step(state, config, total_steps)
            for each in measured:
                state.progress.meter.add(each)
        else:
            forget_step(state, buffers)
        state.progress.batches += size
        if state.progress.batches == dataset.batch_count or any(each.mpve is not None for each in measured):
            finite.look()
        saver.save_or_stop(finite)


def backward(state: TrainState, batch: Batch, run: Run) -> Measured:
    """Add a batch's share of its step's gradient to the parameters' own."""
    part, processes = batch.part, run.processes
    place = (run.seed, state.epoch, state.progress.dataset, part.number)
    set_step_seed(*place)
    if run.config.refine_augment and run.kind == "refiner":
        batch = estimate_anew(batch)
    if run.config.flip:
        batch = mirror_some(batch)
    if processes.count > 1:
        # Flips are drawn for the whole batch, dropout by each process for itself.
        set_step_seed(*place, processes.rank)
    with state.without_joining(not part.is_last):
        total, values, pred = training_losses(state.trained, batch, run.body.joints, run.config)
        (total * part.weight).backward()
    mpve = _mpve_mm(pred, batch, run) if part.number % run.print_freq == 0 else None
    if processes.count > 1:
        values, mpve = (None if mean is None else processes.add_up(mean * part.share) for mean in (values, mpve))
    return Measured(part.number, part.whole, values, mpve)


def training_losses(
    model: nn.Module, batch: Batch, kinematics: JointKinematics, config: Config
) -> tuple[Tensor, Tensor, BodyParams]:
    """The loss to minimise, the values to log in the order of `columns()`, and the prediction."""
    pred = model(*batch.inputs)
    if batch.frames.shape[0] == 0:
        # A process may have no clip of a small last batch, and takes part without adding anything.
        total = pred.rotations.sum() + pred.betas.sum()
        return total, total.new_zeros(len(columns())), pred
    pred_joints = kinematics(pred)
    with torch.no_grad():
        target_joints = kinematics(batch.target)
    terms = compute_losses(pred, pred_joints, batch.target, target_joints, config.loss_type)
    total = weighted_total(terms, config)
    with torch.no_grad():
        mpjpe = mpjpe_mm(pred_joints, target_joints, ALL_JOINTS).mean()
        values = torch.stack([total, *(terms[name] for name in LOSSES), mpjpe])
    return total, values, pred


def optimizer_step(state: TrainState, config: Config, total_steps: int) -> None:
    """Step at the rates of this place of the run, and average the weights where the config asks for it."""
    set_learning_rates(state.optimizer, learning_rates(config, state.epoch, state.step, total_steps))
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if state.average is not None:
        state.average.update(state.model, state.step)


@torch.no_grad()
def forget_step(state: TrainState, buffers: list[Tensor]) -> None:
    """Drop the gradients, and undo what the forward pass did to batch norm's statistics."""
    state.optimizer.zero_grad(set_to_none=True)
    for buffer, copied in zip(state.model.buffers(), buffers, strict=True):
        buffer.copy_(copied)


@torch.no_grad()
def _mpve_mm(pred: BodyParams, batch: Batch, run: Run) -> Tensor:
    if batch.frames.shape[0] == 0:
        return pred.betas.new_zeros(())
    return mpve_mm(run.body.mesh(pred), run.body.mesh(batch.target)).mean()


def _validate(dataset: TrainedDataset, state: TrainState, run: Run, saver: Saver) -> Validated:
    label = f"epoch {state.epoch + 1} {dataset.name} {dataset.validated_split}"
    try:
        return run.validate(state.evaluated, dataset, label)
    except StoppedAtOnce:
        raise
    except Stopped:
        saver.save_or_stop()  # the place is before this evaluation, which is made again
        raise


def _finish_epoch(
    state: TrainState, datasets: list[TrainedDataset], run: Run, saver: Saver, log: EpochLog | None, total_steps: int
) -> None:
    """Make the next epoch the state's; the main process, whose `log` is, tells what this one has found and saves."""
    progress, is_best = state.progress, False
    for dataset in datasets:
        found = progress.validated.get(dataset.name)
        if found is not None and dataset.is_selecting and found.mpjpe < state.best_jpe:
            state.best_jpe, is_best = found.mpjpe, True
    rates = [group["lr"] for group in state.optimizer.param_groups]
    state.epoch += 1
    state.progress = None
    # As released checkpoints, ours hold the rates of the epoch that comes next.
    set_learning_rates(state.optimizer, learning_rates(run.config, state.epoch, state.step, total_steps))
    if log is not None:
        seconds = log.record(state, progress, rates)
        saver.save_epoch(is_best)
        log.say(state.epoch, progress, seconds, is_best)
