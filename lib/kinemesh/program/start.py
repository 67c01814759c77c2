"""What a run starts from: a checkpoint to go on from, a pretrained backbone, or nothing but the seed."""

import argparse
import logging
import math
import shlex
from pathlib import Path

import torch
from torch import nn

from kinemesh.body.assets import BodyAssets
from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.machine.device import set_step_seed
from kinemesh.program.cli import Task
from kinemesh.program.setup import as_trained, build_model, model_values
from kinemesh.training.checkpoint import BEST, LATEST, load_checkpoint, load_model, load_pretrained
from kinemesh.training.optimizer import AveragedModel, build_optimizer, choose_trainable, learning_rates
from kinemesh.training.state import TrainState, restore

logger = logging.getLogger(__name__)


def checkpoint_to_read(arguments: argparse.Namespace) -> Path | None:
    """`--evaluate` wins over the checkpoint folder's own latest, and that over `--resume`."""
    latest = Path(arguments.checkpoint) / LATEST
    if arguments.evaluate:
        return Path(arguments.evaluate)
    if latest.is_file():
        return latest
    return Path(arguments.resume) if arguments.resume else None


def pretrained_to_read(arguments: argparse.Namespace, config: Config) -> Path | None:
    """The pretrained backbone, where the run starts from one."""
    if not config.finetune or checkpoint_to_read(arguments):
        return None
    return Path(arguments.pretrained) / arguments.selection


def read_checkpoint(task: Task, arguments: argparse.Namespace, config: Config) -> tuple[dict, Config]:
    """The checkpoint to start from, empty where there is none, and the config as it has to be for it."""
    path = checkpoint_to_read(arguments)
    if path is None:
        return {}, config
    content = load_checkpoint(path)
    return content, as_trained(config, content, path) if task.kind == "refiner" else config


def start_model(
    task: Task, arguments: argparse.Namespace, config: Config, assets: BodyAssets, content: dict, device: torch.device
) -> nn.Module:
    """The model on the device, with the checkpoint's weights in it if there is one.

    Raises `UserError` if they do not fit.
    """
    set_step_seed(arguments.seed)
    model = build_model(task.kind, config, assets).to(device)
    if content:
        load_model(model, content, checkpoint_to_read(arguments), task.kind, model_values(config))
    return model


def start_training(
    task: Task, arguments: argparse.Namespace, config: Config, model: nn.Module, content: dict
) -> TrainState:
    """Optimizer, averaged weights and place, with the pretrained backbone or the checkpoint's in them.

    Raises `UserError` if they do not fit, or there is nothing left to train.
    """
    path = checkpoint_to_read(arguments)
    pretrained = pretrained_to_read(arguments, config)
    if pretrained:
        load_pretrained(model.backbone, pretrained)
    choose_trainable(model, config.partial_train)
    state = TrainState(model, build_optimizer(model, config), AveragedModel(model, config.ema) if config.ema else None)
    if path:
        restore(state, content, path)
        inside = " (stopped inside the next one)" if "progress" in content else ""
        logger.info(
            "%s: going on after epoch %d%s, best test mpjpe so far %.2f", path, state.epoch, inside, state.best_jpe
        )
    if state.epoch >= config.epochs:
        best = Path(arguments.checkpoint) / BEST
        raise UserError(
            f"{path}: already trained for {state.epoch} of {config.epochs} epochs. Raise epochs, give another "
            f"--checkpoint folder, or evaluate it: python {task.script} --config {shlex.quote(arguments.config)} "
            f"--evaluate {shlex.quote(str(best))}"
        )
    if path and "optimizer" not in content:
        logger.warning("%s: %s", path, _words_of_fresh_optimizer(content, config, state))
    return state


def _words_of_fresh_optimizer(content: dict, config: Config, state: TrainState) -> str:
    said = f"no optimizer state in it; a fresh optimizer goes on after epoch {state.epoch}"
    if config.lr_schedule != "exponential":
        return f"{said}, at the config's learning rates of there"
    own = learning_rates(config, state.epoch, state.step, total_steps=0)
    said += f", at learning rates {', '.join(f'{rate:.3g}' for rate in own)}"
    stored = content.get("lr")
    is_known = isinstance(stored, list) and all(isinstance(rate, float) for rate in stored)
    if not is_known or (len(stored) == len(own) and all(map(math.isclose, stored, own))):
        return said
    return f"{said} by the config, where the file has {', '.join(f'{rate:.3g}' for rate in stored)[:80]}"
