"""The whole program, top to bottom: what `train_mesh.py` and `train_mesh_refine.py` do."""

import argparse
import dataclasses
import logging
import platform
import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import torch
from torch import nn

from lib.arguments import Task
from lib.body.assets import BodyAssets, load_body_assets
from lib.body.kinematics import JointKinematics
from lib.body.smpl import PosedBody
from lib.config import Config, load_config
from lib.data.clips import Clips, cut_clips, first_clips, image_clips
from lib.data.loader import ClipLoader
from lib.data.mean_body import mean_body
from lib.data.sources import SOURCES, Dataset, load_dataset
from lib.demo.datasets import make_demo_data
from lib.engine.checkpoint import (
    BEST,
    LATEST,
    load_checkpoint,
    load_model,
    load_pretrained,
    refine_rotation_of,
    remove_stale_temporaries,
    restore_optimizer,
)
from lib.engine.device import choose_device, set_step_seed
from lib.engine.evaluate import Evaluation, evaluate
from lib.engine.log import add_log_file, drop_metrics_from, set_up_console
from lib.engine.optimize import AveragedModel, build_optimizer, choose_trainable
from lib.engine.summary import refinement_warnings, results_table
from lib.engine.train import NO_BEST_YET, Posing, TrainedDataset, TrainState, train
from lib.errors import UserError
from lib.model.mesh import build_refiner, build_regressor
from lib.results import write_metrics, write_predictions
from lib.structures import BodyParams

logger = logging.getLogger(__name__)

# A data_root that ends so is the embedded default's, and the program fills it itself.
_DEMO_ROOT = ("data", "demo")
# Config keys that set the model's size: a checkpoint must have been written with the same ones.
_MODEL_KEYS = (
    "dim_feat",
    "dim_rep",
    "depth",
    "num_heads",
    "mlp_ratio",
    "maxlen",
    "att_fuse",
    "hidden_dim",
    "num_joints",
)


def run(task: Task, arguments: argparse.Namespace) -> None:
    """Train, or evaluate with `--evaluate`. Raises `UserError` for whatever the user has to fix."""
    set_up_console()
    config = load_config(arguments.config, arguments.overrides)
    device = choose_device(arguments.device)
    data_root = Path(config.data_root)
    if data_root.parts[-2:] == _DEMO_ROOT:
        make_demo_data(data_root)
    assets = load_body_assets(data_root)
    start = _checkpoint_to_read(arguments)
    content = load_checkpoint(start) if start else {}
    if content and task.kind == "refiner":
        config = _as_trained(config, content, start)
    set_step_seed(arguments.seed)
    model = _build_model(task, config, assets).to(device)
    if content:
        load_model(model, content, start, task.kind, _model_values(config))
    posing = Posing(JointKinematics(assets).to(device), PosedBody(assets).to(device))
    job = Job(task, arguments, config, device, model, posing)
    evaluations = _evaluate(job, start, content) if arguments.evaluate else _train(job, start, content)
    if evaluations:
        logger.info("%s", results_table(evaluations))
    for warning in refinement_warnings(evaluations):
        logger.warning("%s", warning)
    if arguments.metrics_out:
        checkpoint = arguments.evaluate or str(Path(arguments.checkpoint) / BEST)
        write_metrics(Path(arguments.metrics_out), _meta(job, checkpoint), evaluations, config)
        logger.info("metrics written to %s", arguments.metrics_out)


@dataclass(frozen=True)
class Job:
    """What a run consists of, once everything is read."""

    task: Task
    arguments: argparse.Namespace
    config: Config
    device: torch.device
    model: nn.Module
    posing: Posing


def _checkpoint_to_read(arguments: argparse.Namespace) -> Path | None:
    """`--evaluate` wins over the checkpoint folder's own latest, and that over `--resume`."""
    latest = Path(arguments.checkpoint) / LATEST
    if arguments.evaluate:
        return Path(arguments.evaluate)
    if latest.is_file():
        return latest
    return Path(arguments.resume) if arguments.resume else None


def _as_trained(config: Config, content: dict, path: Path) -> Config:
    """The config with the rotation encoding that a refiner checkpoint was trained with."""
    rotation = refine_rotation_of(content)
    why = "as it records" if "config" in content else "as released checkpoints are, since it records none"
    logger.info("%s: refine_rotation %s, %s", path, rotation, why)
    return dataclasses.replace(config, refine_rotation=rotation)


def _build_model(task: Task, config: Config, assets: BodyAssets) -> nn.Module:
    if task.kind == "refiner":
        return build_refiner(config)
    mean_pose, mean_betas = (
        torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas)
    )
    return build_regressor(config, mean_pose, mean_betas)


def _evaluate(job: Job, path: Path, content: dict) -> dict[str, Evaluation]:
    logger.info("%s: epoch %s, best test mpjpe %s", path, content.get("epoch", "?"), content.get("best_jpe", "?"))
    datasets, constant = _load_datasets(job, is_training=False)
    predictions_file = job.arguments.predictions_out
    evaluations = _evaluate_all(job, datasets, constant, keep_rows=bool(predictions_file))
    if predictions_file:
        splits = {dataset.name: dataset.test.split for dataset in datasets}
        write_predictions(Path(predictions_file), evaluations, splits, job.config)
        logger.info("predictions written to %s", predictions_file)
    return evaluations


def _evaluate_all(
    job: Job, datasets: list[TrainedDataset], constant: BodyParams | None, keep_rows: bool = False
) -> dict[str, Evaluation]:
    """Score the model on every test split that was loaded."""
    return {
        dataset.name: evaluate(
            job.model,
            dataset.test,
            job.posing.body,
            job.config,
            label=f"{dataset.name} test",
            constant=constant,
            keep_rows=keep_rows,
        )
        for dataset in datasets
        if dataset.test is not None
    }


def _train(job: Job, start: Path | None, content: dict) -> dict[str, Evaluation]:
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
    datasets, constant = _load_datasets(job, is_training=True)
    _prepare_folder(folder, Path(arguments.config), state.epoch)
    add_log_file(folder / "log.txt")
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    logger.info(
        "training %.2f M parameters on %s, %d threads, into %s",
        parameters / 1e6, job.device, torch.get_num_threads(), folder,
    )  # fmt: skip
    logger.info(
        "best_epoch.bin is chosen on the test split, as released; train_mpve is sampled every %d steps",
        arguments.print_freq,
    )
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
        return {}
    load_model(model, load_checkpoint(best), best, job.task.kind, _model_values(config))
    logger.info("finished; what %s scores, as --evaluate does:", best)
    return _evaluate_all(job, datasets, constant)


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


def _load_datasets(job: Job, is_training: bool) -> tuple[list[TrainedDataset], BodyParams | None]:
    """The datasets that the run needs, and with `mean_pose_baseline` the mean body of the training frames."""
    config, device, is_refiner = job.config, job.device, job.task.kind == "refiner"
    datasets = []
    splits = []
    for source in SOURCES.values():
        train_epochs = {
            "h36m": config.warmup_h36m,
            "coco": config.warmup_coco,
            "pw3d": config.epochs * config.train_pw3d,
        }[source.name]
        is_trained = is_training and train_epochs > 0
        is_tested = source.fps_key is not None and (is_trained or not is_training or source.name == "pw3d")
        file = getattr(config, source.file_key)
        if not file or not (is_trained or is_tested):
            continue
        path = Path(config.data_root) / file
        dataset = load_dataset(source.name, path, sample_stride=config.sample_stride, needs_estimate=is_refiner)
        splits.append(dataset.train)
        train_clips, test_clips = _cut(dataset, config)
        load = partial(ClipLoader, device=device, data_device=config.data_device, with_estimate=is_refiner)
        batch_size = config.batch_size if source.fps_key else config.batch_size_img
        datasets.append(
            TrainedDataset(
                name=source.name,
                train=load(dataset.train, train_clips, batch_size=batch_size, training=True) if is_trained else None,
                test=load(dataset.test, test_clips, batch_size=config.batch_size) if is_tested else None,
                train_epochs=train_epochs,
                validated_after_training_only=source.name == "h36m",
            )
        )
    if not datasets:
        raise UserError(
            "the config names no dataset to use. Set dt_file_h36m or dt_file_pw3d, and train_pw3d or warmup_h36m."
        )
    constant = mean_body(splits[-1], device) if config.mean_pose_baseline else None
    return datasets, constant


def _cut(dataset: Dataset, config: Config) -> tuple[Clips, Clips | None]:
    """Training and test clips; a dataset of images has one-frame clips and is not tested."""
    if dataset.source.fps_key is None:
        return first_clips(image_clips(dataset.train.frame_count), config.limit_clips), None
    lengths = dataset.train.video_lengths, dataset.test.video_lengths
    return cut_clips(
        *lengths, config.clip_len, config.data_stride, eval_clips=config.eval_clips, limit_clips=config.limit_clips
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


def _model_values(config: Config) -> dict:
    return {key: getattr(config, key) for key in _MODEL_KEYS}


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
