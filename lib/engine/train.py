"""The training loop: epochs over the datasets of a run, validation, checkpoints, logs."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from lib.body.kinematics import JointKinematics
from lib.body.mirror import mirror_inputs, mirror_params, select_clips
from lib.body.smpl import PosedBody
from lib.config import LAMBDA_OF_TERM, Config
from lib.engine.checkpoint import BEST, LATEST, save_checkpoint
from lib.engine.device import set_step_seed
from lib.engine.evaluate import Evaluation, evaluate
from lib.engine.log import ScalarLog, append_metrics, progress
from lib.engine.optimize import AveragedModel, learning_rates
from lib.engine.summary import epoch_line, refinement_record, refinement_warnings, results_table, test_scalars
from lib.errors import UserError
from lib.losses import compute_losses, weighted_total
from lib.metrics import ALL_JOINTS, mpjpe_mm, mpve_mm
from lib.protocols import DEFAULT
from lib.structures import Batch, BodyParams

logger = logging.getLogger(__name__)

NO_BEST_YET = 9999.0
_COLUMNS = ("loss", *LAMBDA_OF_TERM, "mpjpe")


@dataclass
class TrainedDataset:
    """One dataset of a run; `train_epochs` is the number of epochs that train on it."""

    name: str
    train: object  # loader, or None
    test: object  # loader, or None
    train_epochs: int
    validated_after_training_only: bool
    tests: dict[str, object] = field(default_factory=dict)  # loaders of the test split by clip rule
    validated_split: str = "test"  # which split `test` has: "val" for training videos held out


@dataclass
class TrainState:
    """Everything that a checkpoint has to bring back."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    epoch: int = 0  # next to run
    step: int = 0  # optimizer steps done
    best_jpe: float = NO_BEST_YET

    @property
    def evaluated(self) -> nn.Module:
        return self.model if self.average is None else self.average.module


@dataclass(frozen=True)
class Posing:
    """The body as training and validation need it."""

    kinematics: JointKinematics
    body: PosedBody


class TrainMeter:
    """Means over an epoch's clips, kept on the device until they are asked for."""

    def __init__(self, device: torch.device):
        self._sums = torch.zeros(len(_COLUMNS), dtype=torch.float64, device=device)
        self._clips = 0
        self._mpve = torch.zeros((), dtype=torch.float64, device=device)
        self._mpve_clips = 0

    def add(self, values: Tensor, clips: int) -> None:
        self._sums += values.double() * clips
        self._clips += clips

    def add_mpve(self, value: Tensor, clips: int) -> None:
        self._mpve += value.double() * clips
        self._mpve_clips += clips

    def scalars(self) -> dict[str, float]:
        """TensorBoard names -> means; empty before the first step."""
        if not self._clips:
            return {}
        means = dict(zip(_COLUMNS, (self._sums / self._clips).tolist(), strict=True))
        named = {"train_loss": means.pop("loss"), "train_mpjpe": means.pop("mpjpe")}
        named |= {f"train_loss/{name}": value for name, value in means.items()}
        if self._mpve_clips:
            named["train_mpve"] = (self._mpve / self._mpve_clips).item()
        return named


def train(
    state: TrainState,
    datasets: list[TrainedDataset],
    posing: Posing,
    config: Config,
    *,
    kind: str,
    folder: Path,
    seed: int,
    print_freq: int,
    device: torch.device,
) -> None:
    """Train from `state.epoch` to `config.epochs`.

    After each epoch `folder` holds `latest_epoch.bin`, `best_epoch.bin` (lowest test MPJPE so far, of 3DPW if it is
    validated), every `checkpoint_frequency` epochs `epoch_{e}.bin`, a line in `metrics.jsonl` and TensorBoard scalars.
    Raises `UserError` if a loss is not finite; the checkpoints of the epochs before stay.
    """
    scalars = ScalarLog(folder / "logs", state.epoch + 1)
    total_steps = sum(_step_count(dataset, config) * min(dataset.train_epochs, config.epochs) for dataset in datasets)
    try:
        while state.epoch < config.epochs:
            started = time.monotonic()
            meter = TrainMeter(device)
            evaluations: dict[str, Evaluation] = {}
            for number, dataset in enumerate(datasets):
                is_trained = state.epoch < dataset.train_epochs and dataset.train is not None
                if is_trained:
                    _train_one(state, dataset, number, meter, posing, config, seed, print_freq, total_steps)
                if dataset.test is not None and (is_trained or not dataset.validated_after_training_only):
                    label = f"epoch {state.epoch + 1} {dataset.name} {dataset.validated_split}"
                    evaluations[dataset.name] = evaluate(
                        state.evaluated, dataset.test, posing.body, config, label=label
                    )[DEFAULT]
            record = meter.scalars()
            splits = {dataset.name: dataset.validated_split for dataset in datasets}
            for name, evaluation in evaluations.items():
                record |= test_scalars(name, evaluation, splits[name])
            is_best = _update_best(state, evaluations, datasets)
            state.epoch += 1
            scalars.add(record, state.epoch)
            seconds = time.monotonic() - started
            rates = [group["lr"] for group in state.optimizer.param_groups]
            line = {"epoch": state.epoch, "seconds": round(seconds, 2), "lr": rates, **record}
            for name, evaluation in evaluations.items():
                if rows := refinement_record(evaluation):
                    line[f"refinement_{name}"] = rows
            append_metrics(folder / "metrics.jsonl", line)
            _save_epoch(state, config, kind, folder, is_best, selected_on(datasets))
            best_note = " | best so far" if is_best else ""
            logger.info(
                "%s | %.1f s%s",
                epoch_line(state.epoch, config.epochs, record, evaluations, splits), seconds, best_note,
            )  # fmt: skip
            if kind == "refiner":
                logger.info("%s", results_table(evaluations.items()))
                for warning in refinement_warnings(evaluations.items()):
                    logger.warning("%s", warning)
    finally:
        scalars.close()


def training_losses(
    model: nn.Module, batch: Batch, kinematics: JointKinematics, config: Config
) -> tuple[Tensor, Tensor, BodyParams]:
    """The loss to minimise, the values to log in the order of the meter's columns, and the prediction."""
    pred = model(*batch.inputs)
    pred_joints = kinematics(pred)
    with torch.no_grad():
        target_joints = kinematics(batch.target)
    terms = compute_losses(pred, pred_joints, batch.target, target_joints, config.loss_type)
    total = weighted_total(terms, config)
    with torch.no_grad():
        mpjpe = mpjpe_mm(pred_joints, target_joints, ALL_JOINTS).mean()
        logged = torch.stack([total, *(terms[name] for name in LAMBDA_OF_TERM), mpjpe])
    return total, logged, pred


def _train_one(
    state: TrainState,
    dataset: TrainedDataset,
    number: int,
    meter: TrainMeter,
    posing: Posing,
    config: Config,
    seed: int,
    print_freq: int,
    total_steps: int,
) -> None:
    """One pass over a dataset's training clips."""
    loader = dataset.train
    state.model.train()
    order = loader.training_order(seed, state.epoch)
    label = f"epoch {state.epoch + 1} {dataset.name}"
    batch_count = len(loader)
    pending: list[Tensor] = []
    for index, batch in enumerate(progress(loader.batches(order), batch_count, label, print_freq)):
        set_step_seed(seed, state.epoch, number, index)
        if config.flip:
            batch = mirror_some(batch)
        total, logged, pred = training_losses(state.model, batch, posing.kinematics, config)
        group_first = index - index % config.grad_accumulation
        group_size = min(config.grad_accumulation, batch_count - group_first)
        (total / group_size if group_size > 1 else total).backward()
        clips = batch.frames.shape[0]
        meter.add(logged, clips)
        pending.append(logged)
        is_logged = index % print_freq == 0
        # Looking at a value waits for the device: each step on a CPU, where it costs nothing, else on logged steps.
        if logged.device.type == "cpu" or is_logged or index == batch_count - 1:
            _require_finite(pending, index, state.epoch, dataset.name)
            pending.clear()
        if index - group_first == group_size - 1:
            _optimizer_step(state, config, total_steps)
        if is_logged:
            with torch.no_grad():
                meter.add_mpve(mpve_mm(posing.body(pred), posing.body(batch.target)).mean(), clips)


def mirror_some(batch: Batch) -> Batch:
    """Mirror each clip, input and target alike, with probability one half."""
    chosen = torch.rand(batch.frames.shape[0], device=batch.frames.device) < 0.5
    inputs = select_clips(chosen, mirror_inputs(batch.inputs), batch.inputs)
    return batch._replace(inputs=inputs, target=select_clips(chosen, mirror_params(batch.target), batch.target))


def _optimizer_step(state: TrainState, config: Config, total_steps: int) -> None:
    rates = learning_rates(config, state.epoch, state.step, total_steps)
    for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    if config.clip_grad_norm:
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_grad_norm)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if state.average is not None:
        state.average.update(state.model, state.step)


def _step_count(dataset: TrainedDataset, config: Config) -> int:
    return 0 if dataset.train is None else -(-len(dataset.train) // config.grad_accumulation)


def _require_finite(logged: list[Tensor], last_index: int, epoch: int, dataset_name: str) -> None:
    values = torch.stack(logged)
    finite = values.isfinite().all(dim=1).tolist()
    if all(finite):
        return
    first = finite.index(False)
    terms = ", ".join(f"{name} {value:.4g}" for name, value in zip(_COLUMNS, values[first].tolist(), strict=True))
    raise UserError(
        f"the loss is not finite at step {last_index - len(logged) + 2 + first} of epoch {epoch + 1} on {dataset_name} "
        f"({terms}). Checkpoints of earlier epochs are kept; lower the learning rates or check the data."
    )


def selecting_dataset(datasets: list[TrainedDataset]) -> TrainedDataset:
    """The dataset that `best_epoch.bin` is chosen on: 3DPW if the run validates it, else H36M."""
    names = {dataset.name: dataset for dataset in datasets if dataset.test is not None}
    return names.get("pw3d") or names.get("h36m") or datasets[0]


def selected_on(datasets: list[TrainedDataset]) -> str:
    """The split that `best_epoch.bin` is chosen on, in words."""
    dataset = selecting_dataset(datasets)
    return f"{dataset.name} {'test split' if dataset.validated_split == 'test' else 'held-out training videos'}"


def _update_best(state: TrainState, evaluations: dict[str, Evaluation], datasets: list[TrainedDataset]) -> bool:
    """Whether this epoch is the best so far: strictly lower MPJPE, of 3DPW if the run validates it, else H36M."""
    evaluation = evaluations.get(selecting_dataset(datasets).name)
    if evaluation is None or not evaluation.metrics["mpjpe"] < state.best_jpe:
        return False
    state.best_jpe = evaluation.metrics["mpjpe"]
    return True


def _save_epoch(
    state: TrainState, config: Config, kind: str, folder: Path, is_best: bool, selection_split: str
) -> None:
    """Write the checkpoints; `latest_epoch.bin` last, so that a run killed here repeats the epoch, not skips a file."""
    content = {
        "epoch": state.epoch,
        "step": state.step,
        "lr": [group["lr"] for group in state.optimizer.param_groups],
        "optimizer": state.optimizer.state_dict(),
        "model": state.evaluated.state_dict(),
        "best_jpe": state.best_jpe,
        "kind": kind,
        "selected_on": selection_split,
        "config": config.to_dict(),
    }
    if state.average is not None:
        content["model_in_training"] = state.model.state_dict()
    if is_best:
        save_checkpoint(folder / BEST, content)
    if state.epoch % config.checkpoint_frequency == 0:
        save_checkpoint(folder / f"epoch_{state.epoch - 1}.bin", content)
    save_checkpoint(folder / LATEST, content)
