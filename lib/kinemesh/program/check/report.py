"""`--check`: everything that can be known about a run before it is one, as a table."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from kinemesh.body.assets import SMPL_FILE, BodyAssets, load_body_assets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.config import Config
from kinemesh.demo.datasets import is_demo_root, make_demo_data
from kinemesh.errors import UserError
from kinemesh.machine.device import choose_device
from kinemesh.program.check.findings import Finding, from_error, table
from kinemesh.program.check.machine import device_findings, folder_finding, lock_findings, space_finding
from kinemesh.program.check.needed_files import NeededFile, file_findings, needed_files
from kinemesh.program.check.values import body_findings, split_findings
from kinemesh.program.cli import Task
from kinemesh.program.setup import DatasetOpener, UsedDataset, used_datasets
from kinemesh.program.start import checkpoint_to_read, pretrained_to_read, read_checkpoint, start_model, start_training
from kinemesh.training.state import TrainedDataset, TrainState

logger = logging.getLogger(__name__)


def files_of_run(arguments: argparse.Namespace, config: Config) -> list[NeededFile]:
    """Every file that this run reads besides its config."""
    predictions = getattr(arguments, "predictions", None)
    return needed_files(
        config,
        is_training=not arguments.evaluate,
        checkpoint=checkpoint_to_read(arguments),
        pretrained=None if arguments.evaluate else pretrained_to_read(arguments, config),
        predictions=Path(predictions) if predictions else None,
    )


def quick_findings(arguments: argparse.Namespace, config: Config, device: torch.device) -> Iterator[Finding]:
    """What can be known in a moment, for every run: machine, files, folders."""
    yield from device_findings(config, device)
    yield from file_findings(files_of_run(arguments, config))
    if not arguments.evaluate:
        folder = Path(arguments.checkpoint)
        yield folder_finding(folder, "checkpoint folder", "Give another --checkpoint folder.")
        yield from lock_findings(folder)
    for flag in ("metrics_out", "predictions_out"):
        if path := getattr(arguments, flag):
            yield folder_finding(Path(path).parent, f"--{flag}", "Name a file in another folder.")


def check_run(task: Task, arguments: argparse.Namespace, config: Config) -> None:
    """Check everything and print the table.

    Raises `UserError` if no run would start.
    """
    findings = list(_all_findings(task, arguments, config))
    logger.info("%s", table(findings))
    fatal = sum(finding.is_fatal for finding in findings)
    if fatal:
        raise UserError(f"{fatal} line{'s' * (fatal > 1)} of the table would stop the run. Nothing was started.")
    logger.info("this run would start")


def _all_findings(task: Task, arguments: argparse.Namespace, config: Config) -> Iterator[Finding]:
    device = torch.device("cpu")
    try:
        device = choose_device(arguments.device)
    except UserError as error:
        yield from_error(error, "device", arguments.device)
    yield Finding("ok", "config", arguments.config, "every key known and in range")
    try:
        quick = list(quick_findings(arguments, config, device))
    except UserError as error:
        yield from_error(error, "datasets", arguments.config)
        return
    yield from quick
    unusable = {finding.where for finding in quick if finding.is_fatal}
    root = Path(config.data_root)
    if is_demo_root(root):
        make_demo_data(root)
    kinematics = None
    try:
        assets = load_body_assets(root)
    except UserError as error:
        if not any(Path(where).parent == root for where in unusable):
            yield from_error(error, "body model", str(root))
    else:
        yield from body_findings(assets, str(root / SMPL_FILE))
        kinematics = JointKinematics(assets)
        if not any(
            Path(where) in (checkpoint_to_read(arguments), pretrained_to_read(arguments, config)) for where in unusable
        ):
            yield from _model_findings(task, arguments, config, assets)
    yield from _dataset_findings(task, arguments, config, device, kinematics, unusable)


def _model_findings(task: Task, arguments: argparse.Namespace, config: Config, assets: BodyAssets) -> Iterator[Finding]:
    """Whether checkpoint or backbone fit, and whether there is room for what is written."""
    folder = Path(arguments.checkpoint)
    start = checkpoint_to_read(arguments) or pretrained_to_read(arguments, config)
    try:
        content, config = read_checkpoint(task, arguments, config)
        model = start_model(task, arguments, config, assets, content, torch.device("cpu"))
        state = None if arguments.evaluate else start_training(task, arguments, config, model, content)
    except UserError as error:
        yield from_error(error, "model", str(start or arguments.config))
        return
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    total = sum(parameter.numel() for parameter in model.parameters())
    origin = f"starts from {start}" if start else "starts from the seed"
    yield Finding("ok", "model", str(start or arguments.config), f"{total:,} parameters, {trained:,} trained; {origin}")
    if state is not None:
        yield space_finding(folder, model, config, state.epoch)
        yield _epochs_finding(config, state, arguments.config)


def _epochs_finding(config: Config, state: TrainState, where: str) -> Finding:
    return Finding("note", "epochs", where, f"{state.epoch + 1} to {config.epochs}, {state.step:,} steps done before")


def _dataset_findings(
    task: Task,
    arguments: argparse.Namespace,
    config: Config,
    device: torch.device,
    kinematics: JointKinematics | None,
    unusable: set[str],
) -> Iterator[Finding]:
    """Each dataset read, its values looked at, and what would be done with it."""
    predictions = getattr(arguments, "predictions", None)
    if predictions in unusable:
        return
    try:
        opener = DatasetOpener(config, device, with_estimate=task.kind == "refiner", predictions_path=predictions)
    except UserError as error:
        yield from_error(error, "estimator's bodies", predictions)
        return
    for used in used_datasets(config, is_training=not arguments.evaluate):
        where = str(used.path)
        if where in unusable:
            continue
        try:
            dataset, trained = opener.open(used)
        except UserError as error:
            yield from_error(error, f"{used.source.title} dataset", where)
            continue
        for split, is_used in ((dataset.train, used.is_trained), (dataset.test, used.is_tested)):
            if is_used and kinematics is not None:
                yield from split_findings(split, where, kinematics)
        yield from _use_findings(used, trained, config, where)
    try:
        opener.check_videos()
    except UserError as error:
        yield from_error(error, "estimator's bodies", predictions)


def _use_findings(used: UsedDataset, trained: TrainedDataset, config: Config, where: str) -> Iterator[Finding]:
    """What would be trained on and tested on, how much."""
    for what, loader in (("train", trained.train), ("test", trained.test)):
        if loader is None:
            continue
        split = loader.split
        videos = f"{len(split.video_names):,} videos, " if split.video_names else ""
        found = f"{videos}{split.frame_count:,} frames, {loader.clip_count:,} clips in {len(loader):,} batches"
        if what == "train":
            steps = -(-len(loader) // config.grad_accumulation)
            epochs = min(used.train_epochs, config.epochs)
            found += f": {steps:,} steps an epoch, in the first {epochs} of {config.epochs} epochs"
        yield Finding("note", f"{used.source.name} {what}", where, found)
