"""The whole program, top to bottom: what `train_mesh.py` and `train_mesh_refine.py` do."""

import argparse
import logging
import platform
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from torch import nn

from lib.arguments import Task
from lib.assembly import as_trained, build_model, build_posing, model_values, open_datasets
from lib.body.assets import BodyAssets, load_body_assets
from lib.config import Config, load_config
from lib.demo.datasets import make_demo_data
from lib.engine.checkpoint import (
    BEST,
    LATEST,
    load_checkpoint,
    load_model,
    load_pretrained,
    remove_stale_temporaries,
    require_same_selection,
    restore_optimizer,
    selected_on_of,
)
from lib.engine.device import choose_device, set_step_seed
from lib.engine.evaluate import BODIES, ERRORS, clip_rule, evaluate_protocols
from lib.engine.log import add_log_file, drop_metrics_from, set_up_console
from lib.engine.optimize import AveragedModel, build_optimizer, choose_trainable
from lib.engine.summary import refinement_warnings, results_table
from lib.engine.train import NO_BEST_YET, Posing, TrainedDataset, TrainState, selected_on, train
from lib.errors import UserError
from lib.protocols import Protocol, choose_protocols
from lib.report.page import write_report
from lib.results import Evaluations, write_metrics, write_predictions
from lib.structures import BodyParams

logger = logging.getLogger(__name__)

# A data_root that ends so is the embedded default's, and the program fills it itself.
_DEMO_ROOT = ("data", "demo")


def run(task: Task, arguments: argparse.Namespace) -> None:
    """Train, or evaluate with `--evaluate`. Raises `UserError` for whatever the user has to fix."""
    set_up_console()
    protocols = choose_protocols(arguments.protocols)
    config = load_config(arguments.config, arguments.overrides)
    device = choose_device(arguments.device)
    data_root = Path(config.data_root)
    if data_root.parts[-2:] == _DEMO_ROOT:
        make_demo_data(data_root)
    assets = load_body_assets(data_root)
    start = _checkpoint_to_read(arguments)
    content = load_checkpoint(start) if start else {}
    if content and task.kind == "refiner":
        config = as_trained(config, content, start)
    set_step_seed(arguments.seed)
    model = build_model(task.kind, config, assets).to(device)
    if content:
        load_model(model, content, start, task.kind, model_values(config))
    job = Job(task, arguments, config, device, model, assets, build_posing(assets, device), protocols)
    evaluations, selection_split = _evaluate(job, start, content) if arguments.evaluate else _train(job, start, content)
    results = [(name, found) for name, by_protocol in evaluations.items() for found in by_protocol.values()]
    if results:
        logger.info("checkpoint selected on: %s\n%s", selection_split, results_table(results))
    for warning in refinement_warnings(results):
        logger.warning("%s", warning)
    if arguments.metrics_out:
        checkpoint = arguments.evaluate or str(Path(arguments.checkpoint) / BEST)
        write_metrics(Path(arguments.metrics_out), _meta(job, checkpoint), evaluations, selection_split)
        logger.info("metrics written to %s", arguments.metrics_out)


@dataclass(frozen=True)
class Job:
    """What a run consists of, once everything is read."""

    task: Task
    arguments: argparse.Namespace
    config: Config
    device: torch.device
    model: nn.Module
    assets: BodyAssets
    posing: Posing
    protocols: list[Protocol]


def _checkpoint_to_read(arguments: argparse.Namespace) -> Path | None:
    """`--evaluate` wins over the checkpoint folder's own latest, and that over `--resume`."""
    latest = Path(arguments.checkpoint) / LATEST
    if arguments.evaluate:
        return Path(arguments.evaluate)
    if latest.is_file():
        return latest
    return Path(arguments.resume) if arguments.resume else None


def _evaluate(job: Job, path: Path, content: dict) -> tuple[Evaluations, str]:
    """What the checkpoint scores, and the split it was selected on."""
    arguments = job.arguments
    logger.info("%s: epoch %s, best test mpjpe %s", path, content.get("epoch", "?"), content.get("best_jpe", "?"))
    datasets, constant = _open_datasets(job, is_training=False)
    keep_rows = BODIES if arguments.predictions_out else ERRORS if arguments.report else ""
    evaluations = _evaluate_all(job, datasets, constant, keep_rows)
    selection_split = selected_on_of(content)
    firsts = {name: next(iter(by_protocol.values())) for name, by_protocol in evaluations.items()}
    loaders = {dataset.name: dataset.tests[firsts[dataset.name].clips] for dataset in datasets if dataset.tests}
    if arguments.predictions_out:
        splits = {name: loader.split for name, loader in loaders.items()}
        write_predictions(Path(arguments.predictions_out), firsts, splits, job.config)
        logger.info("predictions written to %s", arguments.predictions_out)
    if arguments.report:
        page = write_report(
            Path(arguments.report), evaluations, loaders, job.model, job.posing.body, job.assets.faces,
            checkpoint=path, config_file=arguments.config, selected_on=selection_split,
        )  # fmt: skip
        logger.info("report written to %s", page)
    return evaluations, selection_split


def _evaluate_all(
    job: Job, datasets: list[TrainedDataset], constant: BodyParams | None, keep_rows: str = ""
) -> Evaluations:
    """Score the model on every test split that was loaded, under every protocol asked for."""
    return {
        dataset.name: evaluate_protocols(
            job.model, dataset.tests, job.posing.body, job.config, job.protocols,
            label=f"{dataset.name} test", constant=constant, detailed=True, keep_rows=keep_rows,
        )
        for dataset in datasets
        if dataset.tests
    }  # fmt: skip


def _train(job: Job, start: Path | None, content: dict) -> tuple[Evaluations, str]:
    """What `best_epoch.bin` scores after training, and the split it was selected on."""
    arguments, config, model = job.arguments, job.config, job.model
    folder = Path(arguments.checkpoint)
    if not start and config.finetune:
        load_pretrained(model.backbone, Path(arguments.pretrained) / arguments.selection)
    choose_trainable(model, config.partial_train)
    state = TrainState(model, build_optimizer(model, config), AveragedModel(model, config.ema) if config.ema else None)
    if start:
        _resume(state, start, content)
    if state.epoch >= config.epochs:
        raise UserError(
            f"{start}: already trained for {state.epoch} of {config.epochs} epochs. Raise epochs, give another "
            f"--checkpoint folder, or evaluate it: python {job.task.script} --config {arguments.config} "
            f"--evaluate {folder / BEST}"
        )
    datasets, constant = _open_datasets(job, is_training=True)
    selection_split = selected_on(datasets)
    if start:
        require_same_selection(content, selection_split, start)
    _prepare_folder(folder, Path(arguments.config), state.epoch)
    add_log_file(folder / "log.txt")
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    logger.info(
        "training %.2f M parameters on %s, %d threads, into %s",
        parameters / 1e6, job.device, torch.get_num_threads(), folder,
    )  # fmt: skip
    logger.info(
        "best_epoch.bin is chosen on the %s%s; train_mpve is sampled every %d steps",
        selection_split, "" if config.val_split else ", as released (val_split: 0)", arguments.print_freq,
    )  # fmt: skip
    train(
        state,
        datasets,
        job.posing,
        config,
        kind=job.task.kind,
        folder=folder,
        seed=arguments.seed,
        print_freq=arguments.print_freq,
        device=job.device,
    )
    best = folder / BEST
    if not best.is_file():
        return {}, selection_split
    load_model(model, load_checkpoint(best), best, job.task.kind, model_values(config))
    logger.info("finished; what %s scores, as --evaluate does:", best)
    return _evaluate_all(job, datasets, constant), selection_split


def _resume(state: TrainState, path: Path, content: dict) -> None:
    """Bring back optimizer, averaged weights and place; the model holds the checkpoint's weights already."""
    if "optimizer" not in content or "epoch" not in content:
        raise UserError(
            f"{path}: no 'optimizer' or 'epoch' in it, so training cannot go on from it. Resume from {LATEST}."
        )
    if state.average is not None:
        state.average.module.load_state_dict(state.model.state_dict())
    if "model_in_training" in content:
        state.model.load_state_dict(content["model_in_training"])
    restore_optimizer(state.optimizer, content["optimizer"], path)
    state.epoch = int(content["epoch"])
    state.step = int(content.get("step", 0))
    state.best_jpe = float(content.get("best_jpe", NO_BEST_YET))
    logger.info("%s: going on after epoch %d, best test mpjpe so far %.2f", path, state.epoch, state.best_jpe)


def _open_datasets(job: Job, is_training: bool) -> tuple[list[TrainedDataset], BodyParams | None]:
    is_refiner = job.task.kind == "refiner"
    return open_datasets(
        job.config,
        job.device,
        is_training=is_training,
        with_estimate=is_refiner,
        clip_rules=[clip_rule(protocol, job.config) for protocol in job.protocols],
        predictions_path=job.arguments.predictions if is_refiner else None,
    )


def _prepare_folder(folder: Path, config_path: Path, epoch: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        copied = folder / config_path.name
        if not (copied.exists() and copied.samefile(config_path)):
            shutil.copyfile(config_path, copied)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}). Give another --checkpoint folder.") from error
    remove_stale_temporaries(folder)
    drop_metrics_from(folder / "metrics.jsonl", epoch)


def _meta(job: Job, checkpoint: str) -> dict:
    packages = ("torch", "numpy", "scipy", "roma")
    return {
        "config": job.config.to_dict(),
        "config_file": job.arguments.config,
        "checkpoint": checkpoint,
        "seed": job.arguments.seed,
        "command": shlex.join(["python", job.task.script, *sys.argv[1:]]),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in packages},
    }
