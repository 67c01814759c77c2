"""Checkpoint files: ours, the released mesh checkpoints and the released pretrained backbone.

Read by lib.safe_checkpoint, so nothing in a file is executed. Ours hold plain tensors, numbers and text (behaviour
contract, section 5).
"""

import contextlib
import logging
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor, nn

from lib.errors import UserError
from lib.files import write_atomically
from lib.safe_checkpoint import load_torch_file

logger = logging.getLogger(__name__)

LATEST, BEST = "latest_epoch.bin", "best_epoch.bin"

# Tensors of the body model, which released checkpoints carry and ours read from the SMPL file instead.
BODY_PREFIX = "head.smpl."
# The last three parameters of the released head group belong to the body model and are never trained.
BODY_PARAMETER_COUNT = 3
# Below it a number of the file is a float, and neither nan nor infinite.
_LARGEST = 1e300


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint's dict, on the CPU, `best_jpe` as a float.

    Raises `UserError` if the file is missing, damaged, or holds anything but tensors, numbers and text, or under the
    keys of section 5 something else than belongs there.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} not found. Give a checkpoint file such as checkpoint/mesh/MB_demo/{BEST}.")
    content = load_torch_file(path, what="a PyTorch checkpoint")
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected a checkpoint (a dict with 'model').")
    for key, value in content.items():
        is_right, expected = _KINDS.get(key, (lambda _: True, ""))
        if not isinstance(key, str):
            raise UserError(f"{path}: holds a key of type {type(key).__name__}, expected text. Is it a checkpoint?")
        if not is_right(value):
            raise UserError(f"{path}: '{key}' is not {expected}. Give another checkpoint.")
    shapes = [_shapes(content[key]) for key in ("model", "model_in_training") if key in content]
    if len(shapes) == 2 and shapes[0] != shapes[1]:
        raise UserError(f"{path}: 'model' and 'model_in_training' are of two models. Give another checkpoint.")
    if "best_jpe" in content:
        content["best_jpe"] = float(content["best_jpe"])
    return content


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

    `kind` is `regressor` or `refiner`; `model_values` are the config's keys that set the model's size; `path` is for
    messages. Raises `UserError` if the checkpoint is of another kind or size.
    """
    found = kind_of(content, path)
    if found != kind:
        script = {"regressor": "train_mesh.py", "refiner": "train_mesh_refine.py"}[found]
        raise UserError(f"{path}: holds a {found}, expected a {kind}. Use {script} for it.")
    weights = mesh_weights(content["model"])
    _require_fit(model, weights, path, content.get("config", {}), model_values)
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


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict, path: Path | str) -> None:
    """Load an optimizer state, ours or the released one with its body-model parameters.

    Raises `UserError` if it belongs to other parameters.
    """
    groups = state.get("param_groups")
    try:
        sizes = [len(group["params"]) for group in groups]
        own_groups = optimizer.param_groups
        own_sizes = [len(group["params"]) for group in own_groups]
        if sizes == [own_sizes[0], own_sizes[1] + BODY_PARAMETER_COUNT]:
            groups = [groups[0], dict(groups[1], params=groups[1]["params"][:-BODY_PARAMETER_COUNT])]
        elif sizes != own_sizes:
            raise ValueError(f"groups of {sizes} parameters, expected {own_sizes}")
        states = {
            index: _parameter_state(state["state"][index], parameter, _is_adam(own))
            for own, group in zip(own_groups, groups, strict=True)
            for index, parameter in zip(group["params"], own["params"], strict=True)
            if state["state"].get(index)
        }
        groups = [_settings(own, group) for own, group in zip(own_groups, groups, strict=True)]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(
            f"{path}: its optimizer state does not fit ({error}). Resume with the config it was written with, "
            f"or start a new --checkpoint folder."
        ) from error


def _is_adam(group: dict) -> bool:
    """Whether a group's parameters take Adam's steps: all of AdamW's, and those of Muon that are no matrices."""
    return "betas" in group or group.get("is_matrix") is False


def _settings(own: dict, group: dict) -> dict:
    """An optimizer group with the file's rates; what depends on the machine and PyTorch's version stays our own."""
    chosen = dict(own, params=group["params"])
    for key in ("lr", "betas", "eps", "weight_decay", "momentum"):
        if key not in own:
            continue
        if key not in group:
            raise ValueError(f"no {key} in it, so another optimizer wrote it")
        values = group[key] if key == "betas" else (group[key],)
        limit = 1 if key == "betas" else _LARGEST
        if not all(isinstance(value, int | float) and 0 <= value < limit for value in values):
            raise ValueError(f"{key} is not a number")
        chosen[key] = tuple(values) if key == "betas" else group[key]
    return chosen


def _parameter_state(state: dict, parameter: Tensor, is_adam: bool) -> dict[str, Tensor | None]:
    """One parameter's moments, of its shape."""
    moments = {name: state[name] for name in (("exp_avg", "exp_avg_sq") if is_adam else ("momentum_buffer",))}
    for value in moments.values():
        if value is None and not is_adam:  # SGD before its first step
            continue
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != parameter.shape:
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"a state of {found} for {tuple(parameter.shape)}")
    if not is_adam:
        return moments
    step = float(state["step"])  # a number before PyTorch 1.12
    if not 0 <= step < _LARGEST:
        raise ValueError(f"step {step}")
    return {"step": torch.tensor(step), **moments}


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
    if not problems:
        return
    differing = [
        f"{key}: {written[key]} (config: {value})" for key, value in wanted.items() if written.get(key, value) != value
    ]
    known = f"It was trained with {', '.join(differing)}." if differing else "Use the config that it was trained with."
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise UserError(f"{path}: does not fit the model of the config: {problems[0]}{more}. {known}")


def remove_stale_temporaries(folder: Path) -> None:
    """Delete what a killed run left half written in a checkpoint folder."""
    for pattern in (".*.bin.*", ".metrics.jsonl.*"):
        for leftover in folder.glob(pattern):
            with contextlib.suppress(OSError):
                leftover.unlink()
