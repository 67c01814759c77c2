"""One pass over a dataset's training clips, optimizer step by optimizer step."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.mirror import mirror_inputs, mirror_params, select_clips
from kinemesh.config import Config
from kinemesh.losses import LOSSES, compute_losses, weighted_total
from kinemesh.machine.device import set_step_seed
from kinemesh.machine.log import progress as show_progress
from kinemesh.machine.processes import Processes
from kinemesh.metrics import ALL_JOINTS, mpjpe_mm, mpve_mm
from kinemesh.structures import Batch, BodyParams
from kinemesh.training.finite import FiniteCheck, StepValues
from kinemesh.training.meter import columns
from kinemesh.training.optimizer import learning_rates, set_learning_rates
from kinemesh.training.saver import Saver
from kinemesh.training.state import Run, TrainedDataset, TrainState


def train_on(state: TrainState, dataset: TrainedDataset, run: Run, saver: Saver, total_steps: int) -> None:
    """Train on what is left of the dataset in hand in this epoch.

    Raises `Stopped` after the step in which that was asked for, and `UserError` for numbers that are not finite.
    """
    config, progress, loader = run.config, state.progress, dataset.train
    state.model.train()
    order = loader.training_order(run.seed, state.epoch)
    check = FiniteCheck(state, dataset, order, run)
    batch_count = dataset.batch_count
    label = f"epoch {state.epoch + 1} {dataset.name}"
    batches = loader.batches(order, first=progress.batches, share=run.processes.share)
    for batch in show_progress(batches, batch_count, label, run.print_freq, done=progress.batches):
        number = progress.batches
        first = number - number % config.grad_accumulation
        group_size = min(config.grad_accumulation, batch_count - first)
        if number == first:
            measured: list[_Measured] = []
            buffers = _copied_buffers(state.model) if config.on_nonfinite == "skip" else []
        part = _BatchPart.of(loader.bounds[number], run)
        place = (run.seed, state.epoch, progress.dataset, number)
        set_step_seed(*place)
        if config.flip:
            batch = mirror_some(batch, part.first, part.whole)
        if run.processes.count > 1:
            # Flips are drawn for the whole batch, dropout by each process for itself.
            set_step_seed(*place, run.processes.rank)
        with state.without_joining(progress.batches + 1 < first + group_size):
            total, logged, pred = training_losses(state.trained, batch, run.posing.kinematics, config)
            # Gradients are averaged over processes.
            (total * (part.share * run.processes.count / group_size)).backward()
        is_logged = number % run.print_freq == 0
        mpve = part.add_up(_mpve_mm(pred, batch, run)) if is_logged else None
        measured.append(_Measured(part.add_up(logged), part.whole, mpve))
        progress.batches += 1
        if progress.batches < first + group_size:
            continue
        values = StepValues(first, [each.logged for each in measured], _clip_gradients(state.model, config))
        if check.allows(values):
            _optimizer_step(state, config, total_steps)
            for each in measured:
                progress.meter.add(*each)
        else:
            _forget_step(state, buffers)
        if progress.batches == batch_count or any(each.mpve is not None for each in measured):
            check.look()
        saver.save_or_stop(check)


def training_losses(
    model: nn.Module, batch: Batch, kinematics: JointKinematics, config: Config
) -> tuple[Tensor, Tensor, BodyParams]:
    """The loss to minimise, the values to log in the order of the meter's columns, and the prediction."""
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
        logged = torch.stack([total, *(terms[name] for name in LOSSES), mpjpe])
    return total, logged, pred


def mirror_some(batch: Batch, first: int = 0, whole: int | None = None) -> Batch:
    """Mirror each clip, input and target alike, with probability one half.

    `batch` may be the part, from clip `first` on, of a batch of `whole` clips: these are drawn for all together.
    """
    clips = batch.frames.shape[0]
    chosen = torch.rand(clips if whole is None else whole, device=batch.frames.device)[first : first + clips] < 0.5
    inputs = select_clips(chosen, mirror_inputs(batch.inputs), batch.inputs)
    return batch._replace(inputs=inputs, target=select_clips(chosen, mirror_params(batch.target), batch.target))


class _BatchPart(NamedTuple):
    """A process's part of a batch: clips from `first` on, a `share` of the `whole`."""

    first: int
    whole: int
    share: float
    processes: Processes

    @classmethod
    def of(cls, bounds: tuple[int, int], run: Run) -> "_BatchPart":
        whole = bounds[1] - bounds[0]
        first, last = run.processes.share(0, whole)
        return cls(first, whole, (last - first) / whole, run.processes)

    def add_up(self, means: Tensor) -> Tensor:
        """Means over the part's clips -> means over the whole batch's."""
        return self.processes.add_up(means * self.share) if self.processes.count > 1 else means


class _Measured(NamedTuple):
    """A batch's part in the epoch's means."""

    logged: Tensor
    clips: int
    mpve: Tensor | None


@torch.no_grad()
def _mpve_mm(pred: BodyParams, batch: Batch, run: Run) -> Tensor:
    if batch.frames.shape[0] == 0:
        return pred.betas.new_zeros(())
    return mpve_mm(run.posing.body(pred), run.posing.body(batch.target)).mean()


@torch.no_grad()
def _clip_gradients(model: nn.Module, config: Config) -> Tensor:
    """The norm of all gradients together, as a scalar on the device; then clip them where the config says so."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if config.clip_grad_norm:
        nn.utils.clip_grads_with_norm_(model.parameters(), config.clip_grad_norm, norm)
    return norm


def _optimizer_step(state: TrainState, config: Config, total_steps: int) -> None:
    set_learning_rates(state.optimizer, learning_rates(config, state.epoch, state.step, total_steps))
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if state.average is not None:
        state.average.update(state.model, state.step)


def _copied_buffers(model: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in model.buffers()]


@torch.no_grad()
def _forget_step(state: TrainState, buffers: list[Tensor]) -> None:
    """Drop the gradients, and undo what the forward pass did to batch norm's statistics."""
    state.optimizer.zero_grad(set_to_none=True)
    for buffer, copied in zip(state.model.buffers(), buffers, strict=True):
        buffer.copy_(copied)
