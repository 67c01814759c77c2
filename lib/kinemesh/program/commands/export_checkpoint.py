"""Writes a checkpoint of ours in the layout of the released code, or a released one in ours.

    python -m tools.export_checkpoint --config configs/mesh/MB_ft_pw3d.yaml --checkpoint best_epoch.bin \\
        --to released --out released/best_epoch.bin

The config is the one that it was trained with; body-model tensors come from the files under its data_root. Model and
optimizer state are carried over bit for bit; rates are those of the next epoch. A released file need not be converted
to be used here: --resume and --evaluate read it as it is.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from kinemesh.body.assets import load_body_assets
from kinemesh.config import config_from_values
from kinemesh.errors import UserError
from kinemesh.files.checkpoints import save_checkpoint
from kinemesh.files.writing import require_other_file
from kinemesh.machine.log import set_up_console
from kinemesh.model.opening import open_checkpoint
from kinemesh.program.commands.released_layout import (
    body_tensors,
    our_content,
    released_content,
    save_released,
)
from kinemesh.program.flags.parser import command_parser
from kinemesh.training.optimizer import build_optimizer, choose_trainable, learning_rates, set_learning_rates
from kinemesh.training.optimizers.states import restore_optimizer

logger = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for what the user has to fix."""
    parser = command_parser("tools.export_checkpoint", __doc__)
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="to read")
    parser.add_argument("--to", required=True, choices=("released", "ours"))
    parser.add_argument("--out", required=True, metavar="FILE", help="to write")
    arguments = parser.parse_args(argv)
    set_up_console()
    require_other_file(Path(arguments.out), (arguments.checkpoint, arguments.config))
    export(arguments.config, Path(arguments.checkpoint), arguments.to, Path(arguments.out))
    logger.info("%s written, layout: %s", arguments.out, arguments.to)


def export(config_path: str, path: Path, to: str, out: Path) -> None:
    """Read the checkpoint at `path` as a resume would and write it at `out`.

    Raises `UserError` if it does not fit the config, or the released code cannot hold it.
    """
    checkpoint = open_checkpoint(path, config_path)
    content, kind, config = checkpoint.content, checkpoint.kind, checkpoint.config
    for key in ("epoch", "optimizer"):
        if key not in content:
            raise UserError(
                f"{path}: no '{key}' in it, so it is no checkpoint of a training run. Give latest_epoch.bin."
            )
    if to == "released" and kind == "refiner" and config.refine_rotation != "rows":
        raise UserError(
            f"{path}: trained with refine_rotation: columns, which the released code does not have and would "
            "decode wrongly. Train with refine_rotation: rows to export."
        )
    if to == "released" and config.opt == "muon":
        raise UserError(
            f"{path}: trained with opt: muon, whose state the released code cannot go on from. Train with opt: adamw to "
            "export."
        )
    if to == "released" and not config.att_fuse:
        raise UserError(
            f"{path}: trained with att_fuse: False, which the released code ignores. It cannot be exported."
        )
    if to == "released" and config.crop_input:
        raise UserError(
            f"{path}: trained with crop_input: True, and the released code reads keypoints by the picture's width. It "
            "cannot be exported."
        )
    data_root = Path(config.data_root)
    assets = load_body_assets(data_root)
    model = checkpoint.build_model(assets)
    choose_trainable(model, config.partial_train)
    optimizer = build_optimizer(model, config)
    restore_optimizer(optimizer, content["optimizer"], path)
    if "model_in_training" in content:
        logger.warning("%s: the averaged weights are exported; those in training are left out", path)
    if to == "released":
        if "config" in content:
            _set_rates(optimizer, content, path)
        body = body_tensors(assets, data_root)
        save_released(out, released_content(content, model, optimizer, body))
    else:
        save_checkpoint(out, our_content(content, model, optimizer, kind, config.to_dict()))


def _set_rates(optimizer: torch.optim.Optimizer, content: dict, path: Path) -> None:
    """Give the optimizer the rates of the epoch that comes next, which the released code goes on with.

    Checkpoints of ours held those of the epoch before, once.
    """
    config = config_from_values(content["config"], {}, str(path))
    if config.lr_schedule == "exponential":  # others depend on the datasets' sizes
        step = content.get("step", config.warmup_steps)
        set_learning_rates(optimizer, learning_rates(config, content["epoch"], step, total_steps=0))
