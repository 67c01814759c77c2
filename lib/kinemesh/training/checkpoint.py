"""Checkpoint files: ours, the released mesh checkpoints and the released pretrained backbone.

Read by kinemesh.files.checkpoints, so nothing in a file is executed. Ours hold plain tensors, numbers and text (behaviour
contract, section 5).
"""

import contextlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.errors import UserError
from kinemesh.files.checkpoints import load_torch_file
from kinemesh.files.writing import write_atomically

logger = logging.getLogger(__name__)

LATEST, BEST = "latest_epoch.bin", "best_epoch.bin"

# Tensors of the body model, which released checkpoints carry and ours read from the SMPL file instead.
BODY_PREFIX = "head.smpl."
# The last three parameters of the released head group belong to the body model and are never trained.
BODY_PARAMETER_COUNT = 3
# What models were before there was a choice: a checkpoint whose config does not name the key is one of these.
_BEFORE_CHOICE = {"crop_input": False}


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint's dict, on the CPU, `best_jpe` as a float, without keys that hold None (contract, section 9).

    Raises `UserError` if the file is missing, damaged, or holds anything but tensors, numbers and text, or under the
    keys of section 5 something else than belongs there, weights that are not finite included.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} not found. Give a checkpoint file such as checkpoint/mesh/MB_demo/{BEST}.")
    content = load_torch_file(path, what="a PyTorch checkpoint")
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected a checkpoint (a dict with 'model').")
    # Published files had what training goes on from taken out so.
    content = {key: value for key, value in content.items() if value is not None}
    for key, value in content.items():
        is_right, expected = _KINDS.get(key, (lambda _: True, ""))
        if not isinstance(key, str):
            raise UserError(f"{path}: holds a key of type {type(key).__name__}, expected text. Is it a checkpoint?")
        if not is_right(value):
            raise UserError(f"{path}: '{key}' is not {expected}. Give another checkpoint.")
    shapes = [_shapes(content[key]) for key in ("model", "model_in_training") if key in content]
    if len(shapes) == 2 and shapes[0] != shapes[1]:
        raise UserError(f"{path}: 'model' and 'model_in_training' are of two models. Give another checkpoint.")
    require_finite({key: mesh_weights(content[key]) for key in _WEIGHTS if key in content}, path)
    if "best_jpe" in content:
        content["best_jpe"] = float(content["best_jpe"])
    return content


def require_finite(content: dict, path: Path | str) -> None:
    """Raise UserError, naming `path` and the tensor, if one of those in `content` is not finite."""
    if name := nonfinite_tensor(content):
        raise UserError(f"{path}: '{name[:120]}' holds nan or infinity. Give another checkpoint, of before that.")


def nonfinite_tensor(content: dict) -> str | None:
    """Dotted name of the first tensor in nested dicts that holds nan or infinity.

    One pass over the numbers, and one wait for a device, however many tensors there are.
    """
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, tensor in _tensors_in(content):
        if tensor.is_floating_point() and tensor.numel():
            by_device.setdefault(tensor.device, {})[name] = tensor
    for tensors in by_device.values():
        # Smallest and largest number are nan where any is: a fifth of the time of `isfinite` on all.
        finite = torch.stack([end for tensor in tensors.values() for end in tensor.aminmax()]).isfinite().tolist()
        if not all(finite):
            return list(tensors)[finite.index(False) // 2]
    return None


def _tensors_in(content: dict, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _tensors_in(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            yield f"{prefix}{key}", value


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )


def _shapes(state: dict[str, Tensor]) -> dict:
    return {name: (value.shape, value.is_floating_point()) for name, value in state.items()}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 1 << 53


def _is_score(value: Any) -> bool:
    return _is_count(value) or (isinstance(value, float | np.floating) and math.isfinite(value))


def _is_plain(value: Any) -> bool:
    """Whether it is what a config key may hold."""
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return value is None or isinstance(value, float | str)


_WEIGHTS = ("model", "model_pos", "model_in_training")
# What released checkpoints and ours hold under a key: a test, and its words.
_KINDS = {
    "model": (_is_state_dict, "a dict of tensors"),
    "model_pos": (_is_state_dict, "a dict of tensors"),
    "model_in_training": (_is_state_dict, "a dict of tensors"),
    "optimizer": (lambda value: isinstance(value, dict), "an optimizer's state"),
    "epoch": (_is_count, "a whole number"),
    "step": (_is_count, "a whole number"),
    "best_jpe": (_is_score, "a number"),
    "config": (
        lambda value: (
            isinstance(value, dict)
            and all(isinstance(key, str) and _is_plain(value[key]) for key in value)
            and value.get("refine_rotation", "rows") in ("rows", "columns")
        ),
        "a dict of a config's keys and values",
    ),
}


def save_checkpoint(path: Path, content: dict) -> None:
    """Write a checkpoint; a reader sees the old file or the new one.

    Raises `UserError` if it cannot be written, as on a full disk; the old file is then untouched.
    """

    def write(file: BinaryIO) -> None:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # PyTorch closes its archive after a write that failed, and what that raises hides the reason.
            reason = error.__context__
            while reason is not None and not isinstance(reason, OSError):
                reason = reason.__context__
            raise reason or error from None

    write_atomically(path, write)


def load_model(model: nn.Module, content: dict, path: Path | str, kind: str, model_values: dict) -> None:
    """Fill `model` from the `content` of a mesh checkpoint, every tensor fitting.

    `kind` is `regressor` or `refiner`; `model_values` are the config's keys that set the model's size and its input;
    `path` is for messages. Raises `UserError` if the checkpoint is of another kind or size, or records other values.
    """
    found = kind_of(content, path)
    if found != kind:
        script = {"regressor": "train_mesh.py", "refiner": "train_mesh_refine.py"}[found]
        raise UserError(f"{path}: holds a {found}, expected a {kind}. Use {script} for it.")
    weights = mesh_weights(content["model"])
    written = {**_BEFORE_CHOICE, **content["config"]} if "config" in content else {}
    _require_fit(model, weights, path, written, model_values)
    model.load_state_dict(weights)


def kind_of(content: dict, path: Path | str) -> str:
    """`regressor` or `refiner`. Raises `UserError` if the checkpoint is not of a mesh model."""
    if "model" not in content:
        hint = " It is a pretrained backbone: give its folder to --pretrained." if "model_pos" in content else ""
        raise UserError(f"{path}: no 'model' in it, so it is not a mesh checkpoint.{hint}")
    return "regressor" if "head.head_shape.weight" in mesh_weights(content["model"]) else "refiner"


def refine_rotation_of(content: dict) -> str:
    """Which rotation encoding a refiner checkpoint was trained with; a released one says nothing and means `rows`."""
    return content.get("config", {}).get("refine_rotation", "rows")


def selected_on_of(content: dict) -> str:
    """The split that a checkpoint was chosen on, in words."""
    if "config" not in content:
        return "unknown (released checkpoints were selected on the test split)"
    return str(content.get("selected_on", "not recorded (test split, as released, unless val_split was set)"))


def require_same_selection(content: dict, selection_split: str, path: Path | str) -> None:
    """Raise UserError if a run would compare its MPJPE with that of another split."""
    written = content.get("selected_on", selection_split)
    if written != selection_split:
        raise UserError(
            f"{path}: its best epoch so far was chosen on the {written}, this run chooses on the {selection_split}. "
            "Set val_split and the datasets as they were, or start a new --checkpoint folder."
        )


def mesh_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A mesh checkpoint's state dict without the `module.` prefix and without body-model tensors."""
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in plain.items() if not name.startswith(BODY_PREFIX)}


def load_pretrained(backbone: nn.Module, path: Path | str) -> None:
    """Copy a pretrained backbone's tensors that fit by name and shape; log how many did and name the others.

    Raises `UserError` if none fits.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path} not found. Download MotionBERT's pretrained backbone (MB_release) and give its folder to "
            f"--pretrained, or set finetune: False."
        )
    content = load_checkpoint(path)
    if "model_pos" not in content:
        raise UserError(
            f"{path}: no 'model_pos' in it, so it is not a pretrained backbone (keys: {sorted(content)[:5]})."
        )
    state = mesh_weights(content["model_pos"])
    own = backbone.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    left_out = sorted((set(own) | set(state)) - set(fitting))
    if not fitting:
        raise UserError(
            f"{path}: none of its {len(state)} tensors fits this backbone. Check dim_feat, depth and dim_rep."
        )
    backbone.load_state_dict(fitting, strict=False)
    logger.info(
        "%s: %d of %d backbone tensors loaded%s",
        path, len(fitting), len(own), f"; not loaded: {', '.join(left_out)}" if left_out else "",
    )  # fmt: skip


def _require_fit(model: nn.Module, weights: dict[str, Tensor], path: Path | str, written: dict, wanted: dict) -> None:
    own = model.state_dict()
    problems = [f"'{name}' is missing" for name in own if name not in weights]
    problems += [f"'{name[:80]}' is not in this model" for name in weights if name not in own]
    problems += [
        f"'{name}' has shape {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems += [
        f"'{name}' holds {weights[name].dtype}, expected {own[name].dtype}"
        for name in own
        if name in weights and weights[name].is_floating_point() != own[name].is_floating_point()
    ]
    differing = [
        f"{key}: {written[key]} (config: {value})" for key, value in wanted.items() if written.get(key, value) != value
    ]
    values = ", ".join(differing)
    if problems:
        known = f"It was trained with {values}." if differing else "Use the config that it was trained with."
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UserError(f"{path}: does not fit the model of the config: {problems[0]}{more}. {known}")
    if differing:
        raise UserError(f"{path}: was trained with {values}. Expected the same: set the config's likewise.")


def remove_stale_temporaries(folder: Path) -> None:
    """Delete what a killed run left half written in a checkpoint folder."""
    for pattern in (".*.bin.*", ".metrics.jsonl.*"):
        for leftover in folder.glob(pattern):
            with contextlib.suppress(OSError):
                leftover.unlink()
