"""The whole program, top to bottom: what `train_mesh.py` and `train_mesh_refine.py` do."""

import argparse
import contextlib
import logging
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kinemesh.body.assets import BodyAssets, load_body_assets
from kinemesh.config import Config
from kinemesh.demo.datasets import is_demo_root, make_demo_data
from kinemesh.evaluation.evaluate import BODIES, ERRORS, clip_rule, evaluate_protocols
from kinemesh.evaluation.results import Evaluations, write_metrics, write_predictions
from kinemesh.evaluation.tables import refinement_warnings, results_table
from kinemesh.files.writing import faults_of_writing
from kinemesh.machine.device import choose_device, keep_freed_memory, make_deterministic
from kinemesh.machine.log import add_log_file, drop_metrics_from
from kinemesh.machine.processes import Processes, join_model, joined
from kinemesh.machine.run_lock import locked_folder
from kinemesh.machine.stopping import Stopped, StoppedAtOnce, StopRequest
from kinemesh.program.check.findings import require_all
from kinemesh.program.check.machine import space_finding
from kinemesh.program.check.report import check_run, files_of_run, quick_findings
from kinemesh.program.cli import Task
from kinemesh.program.origin import fingerprints, git_revision, versions
from kinemesh.program.setup import build_posing, model_values, open_datasets
from kinemesh.program.start import checkpoint_to_read, read_checkpoint, start_model, start_training
from kinemesh.protocols import Protocol, choose_protocols
from kinemesh.report.page import write_report
from kinemesh.structures import BodyParams
from kinemesh.training.checkpoint import (
    BEST,
    LATEST,
    load_checkpoint,
    load_model,
    remove_stale_temporaries,
    require_same_selection,
    selected_on_of,
)
from kinemesh.training.finite import require_finite_figures
from kinemesh.training.state import Posing, Run, TrainedDataset, TrainState, restore_progress, selected_on
from kinemesh.training.train import train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What a run consists of, once everything but the datasets is read."""

    task: Task
    arguments: argparse.Namespace
    config: Config
    device: torch.device
    model: nn.Module
    assets: BodyAssets
    posing: Posing
    protocols: list[Protocol]
    origin: dict
    processes: Processes


def run(task: Task, arguments: argparse.Namespace, config: Config) -> None:
    """Train, evaluate with `--evaluate`, or only check with `--check`.

    Raises `UserError` for whatever the user has to fix, and `Stopped` where a signal ended training.
    """
    protocols = choose_protocols(arguments.protocols)
    if config.deterministic:
        make_deterministic()
    if arguments.check:
        check_run(task, arguments, config)
        return
    device = choose_device(arguments.device)
    require_all(quick_findings(arguments, config, device))
    keep_freed_memory(device)
    with joined(device) as processes:
        if arguments.evaluate:
            job, content = _prepare(task, arguments, config, protocols, device, processes)
            evaluations, selection_split = _evaluate(job, content)
        else:
            # From before the checkpoint is read until the last one is written: no other run may come between.
            with locked_folder(Path(arguments.checkpoint)) if processes.is_main else contextlib.nullcontext():
                job, content = _prepare(task, arguments, config, protocols, device, processes)
                evaluations, selection_split = _train(job, content)
    if processes.is_main:
        _tell(job, evaluations, selection_split)


def _tell(job: Job, evaluations: Evaluations, selection_split: str) -> None:
    """Results on the console and, where asked for, in a file."""
    arguments = job.arguments
    results = [(name, found) for name, by_protocol in evaluations.items() for found in by_protocol.values()]
    if results:
        logger.info("checkpoint selected on: %s\n%s", selection_split, results_table(results))
    for warning in refinement_warnings(results):
        logger.warning("%s", warning)
    if arguments.metrics_out:
        checkpoint = arguments.evaluate or str(Path(arguments.checkpoint) / BEST)
        meta = {"config_file": arguments.config, "checkpoint": checkpoint, "config": job.config.to_dict(), **job.origin}
        write_metrics(Path(arguments.metrics_out), meta, evaluations, selection_split)
        logger.info("metrics written to %s", arguments.metrics_out)


def _prepare(
    task: Task,
    arguments: argparse.Namespace,
    config: Config,
    protocols: list[Protocol],
    device: torch.device,
    processes: Processes,
) -> tuple[Job, dict]:
    """Body, model and checkpoint; also returns the checkpoint's content."""
    content, config = read_checkpoint(task, arguments, config)
    data_root = Path(config.data_root)
    if is_demo_root(data_root):
        with processes.main_first():
            make_demo_data(data_root)
    assets = load_body_assets(data_root)
    model = start_model(task, arguments, config, assets, content, device)
    files = [file.path for file in files_of_run(arguments, config)]
    if not arguments.evaluate and content:
        files.remove(checkpoint_to_read(arguments))  # another one each time
    origin = _origin(task, arguments, config, protocols, files)
    posing = build_posing(assets, device)
    return Job(task, arguments, config, device, model, assets, posing, protocols, origin, processes), content


def _evaluate(job: Job, content: dict) -> tuple[Evaluations, str]:
    """What the checkpoint scores, and the split it was selected on."""
    arguments = job.arguments
    path = Path(arguments.evaluate)
    logger.info("%s: epoch %s, best test mpjpe %s", path, content.get("epoch", "?"), content.get("best_jpe", "?"))
    datasets, constant = _open_datasets(job, is_training=False)
    keep_rows = BODIES if arguments.predictions_out else ERRORS if arguments.report else ""
    evaluations = _evaluate_all(job, datasets, constant, keep_rows)
    selection_split = selected_on_of(content)
    if not job.processes.is_main:
        return evaluations, selection_split
    firsts = {name: next(iter(by_protocol.values())) for name, by_protocol in evaluations.items()}
    loaders = {dataset.name: dataset.tests[firsts[dataset.name].clips] for dataset in datasets if dataset.tests}
    if arguments.predictions_out:
        splits = {name: loader.split for name, loader in loaders.items()}
        write_predictions(Path(arguments.predictions_out), firsts, splits)
        logger.info("predictions written to %s", arguments.predictions_out)
    if arguments.report:
        page = write_report(
            Path(arguments.report), evaluations, loaders, job.model, job.posing.body, job.assets.faces,
            checkpoint=path, config_file=arguments.config, selected_on=selection_split,
        )  # fmt: skip
        logger.info("report written to %s", page)
    return evaluations, selection_split


def _evaluate_all(
    job: Job,
    datasets: list[TrainedDataset],
    constant: BodyParams | None,
    keep_rows: str = "",
    stop: StopRequest | None = None,
) -> Evaluations:
    """Score the model on every test split that was loaded, under every protocol asked for.

    Raises `UserError` if a figure is not finite.
    """
    evaluations = {
        dataset.name: evaluate_protocols(
            job.model, dataset.tests, job.posing.body, job.config, job.protocols, label=f"{dataset.name} test",
            constant=constant, detailed=True, keep_rows=keep_rows, stop=stop, processes=job.processes,
        )
        for dataset in datasets
        if dataset.tests
    }  # fmt: skip
    for name, by_protocol in evaluations.items():
        for evaluation in by_protocol.values():
            require_finite_figures(f"{name} test", evaluation, "Give the checkpoint of an earlier epoch")
    return evaluations


def _train(job: Job, content: dict) -> tuple[Evaluations, str]:
    """What `best_epoch.bin` scores after training, and the split it was selected on."""
    arguments, config, model = job.arguments, job.config, job.model
    folder = Path(arguments.checkpoint)
    state = start_training(job.task, arguments, config, model, content)
    require_all([space_finding(folder, model, config, state.epoch)])
    datasets, constant = _open_datasets(job, is_training=True)
    selection_split = selected_on(datasets)
    state.joined = join_model(model, job.processes, job.device)
    stop = StopRequest(job.processes.largest)
    run = Run(
        config, job.posing, job.task.kind, folder, arguments.seed, arguments.print_freq, job.device, stop, job.origin,
        job.processes,
    )  # fmt: skip
    if content:
        start = checkpoint_to_read(arguments)
        say_what_changed(content.get("origin"), job.origin, start)
        require_same_selection(content, selection_split, start)
        restore_progress(state, content, start, datasets, run)
    if job.processes.is_main:
        _prepare_folder(folder, Path(arguments.config), state.epoch)
        add_log_file(folder / "log.txt")
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    logger.info(
        "training %.2f M parameters on %s, %d process%s of %d threads, into %s",
        parameters / 1e6, job.device, job.processes.count, "es" * (job.processes.count > 1),
        torch.get_num_threads(), folder,
    )  # fmt: skip
    logger.info(
        "best_epoch.bin is chosen on the %s%s; train_mpve is sampled every %d steps",
        selection_split, "" if config.val_split else ", as released (val_split: 0)", arguments.print_freq,
    )  # fmt: skip
    with stop.listening():
        try:
            train(state, datasets, run)
            job.processes.largest(0)  # the main process may still be writing
            best = folder / BEST
            if not best.is_file():
                return {}, selection_split
            load_model(model, load_checkpoint(best), best, job.task.kind, model_values(config))
            logger.info("finished; what %s scores, as --evaluate does:", best)
            return _evaluate_all(job, datasets, constant, stop=stop), selection_split
        except StoppedAtOnce:
            raise
        except Stopped as stopped:
            raise Stopped(stop.signal_number, _how_to_go_on(job, state)) from stopped


def _how_to_go_on(job: Job, state: TrainState) -> str:
    folder = Path(job.arguments.checkpoint)
    if state.epoch >= job.config.epochs:
        return f"stopped after the last epoch; score it with --evaluate {folder / BEST}"
    place = f"{state.epoch} of {job.config.epochs} epochs are done"
    if state.progress is not None:
        place += f", the next is begun ({state.step} optimizer steps in all)"
    return f"stopped: {place}, {folder / LATEST} holds the place; the same command goes on from there: {_command(job.task)}"


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
    copied = folder / config_path.name
    with faults_of_writing(copied):
        if not (copied.exists() and copied.samefile(config_path)):
            shutil.copyfile(config_path, copied)
    remove_stale_temporaries(folder)
    drop_metrics_from(folder / "metrics.jsonl", epoch)


def _origin(
    task: Task, arguments: argparse.Namespace, config: Config, protocols: list[Protocol], files: list[Path]
) -> dict:
    """What checkpoints and metrics files record besides the config: text and numbers only."""
    return {
        "seed": arguments.seed,
        "command": _command(task),
        "versions": versions(),
        "git_revision": git_revision(),
        "protocols": [protocol.name for protocol in protocols],
        "clips": config.eval_clips,
        "files": fingerprints(files),
    }


def _command(task: Task) -> str:
    return shlex.join(["python", task.script, *sys.argv[1:]])


def say_what_changed(before: object, now: dict, path: Path) -> None:
    """Warn of what may keep a resumed run from being the unbroken one's equal."""
    if not isinstance(before, dict):
        return
    for name in ("versions", "files"):
        old = before.get(name)
        if isinstance(old, dict):
            changed = [key for key in old.keys() & now[name].keys() if old[key] != now[name][key]]
            for key in sorted(changed):
                logger.warning("%s was written with %s %s, now it is %s", path, key, old[key], now[name][key])
    if before.get("seed") != now["seed"]:
        logger.warning("%s was written with seed %s, now it is %s", path, before.get("seed"), now["seed"])
