"""Checkpoint files: ours, the released mesh checkpoints and the released pretrained backbone.

Read with PyTorch's restricted loader only, so nothing in a file is executed. Ours hold plain tensors, numbers and
text (behaviour contract, section 5).
"""

import contextlib
import logging
import pickle
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lib.errors import UserError
from lib.files import write_atomically

logger = logging.getLogger(__name__)

LATEST, BEST = "latest_epoch.bin", "best_epoch.bin"

# Tensors of the body model, which released checkpoints carry and ours read from the SMPL file instead.
_BODY_PREFIX = "head.smpl."
# The last three parameters of the released head group belong to the body model and are never trained.
_BODY_PARAMETER_COUNT = 3
# What released files hold besides tensors: numpy scalars such as `best_jpe`.
_NUMPY_SCALARS = [
    np.dtype,
    (np._core.multiarray.scalar if hasattr(np, "_core") else np.core.multiarray.scalar, "numpy.core.multiarray.scalar"),
    (
        np._core.multiarray.scalar if hasattr(np, "_core") else np.core.multiarray.scalar,
        "numpy._core.multiarray.scalar",
    ),
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
]


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint's dict, on the CPU, `best_jpe` as a float.

    Raises `UserError` if the file is missing, damaged, or holds anything but tensors, numbers and text.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} not found. Give a checkpoint file such as checkpoint/mesh/MB_demo/{BEST}.")
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it asks for {refused[1]}, which no checkpoint needs" if refused else "it is damaged or no checkpoint"
        raise UserError(f"{path}: refused, {why}. Expected a PyTorch checkpoint of tensors and numbers.") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError,
            AssertionError, MemoryError, OverflowError, RecursionError) as error:  # fmt: skip
        raise UserError(f"{path}: not a readable PyTorch checkpoint (damaged or cut short). Copy it again.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected a checkpoint (a dict with 'model').")
    if "best_jpe" in content:
        content["best_jpe"] = float(content["best_jpe"])
    return content


def save_checkpoint(path: Path, content: dict) -> None:
    """Write a checkpoint; a reader sees the old file or the new one."""
    write_atomically(path, lambda file: torch.save(content, file))


def load_model(model: nn.Module, content: dict, path: Path | str, kind: str, model_values: dict) -> None:
    """Fill `model` from the `content` of a mesh checkpoint, every tensor fitting.

    `kind` is `regressor` or `refiner`; `model_values` are the config's keys that set the model's size; `path` is for
    messages. Raises `UserError` if the checkpoint is of another kind or size.
    """
    weights, found = _weights_and_kind(content, path)
    if found != kind:
        script = {"regressor": "train_mesh.py", "refiner": "train_mesh_refine.py"}[found]
        raise UserError(f"{path}: holds a {found}, expected a {kind}. Use {script} for it.")
    written = content.get("config")
    _require_fit(model, weights, path, written if isinstance(written, dict) else {}, model_values)
    model.load_state_dict(weights)


def kind_of(content: dict, path: Path | str) -> str:
    """`regressor` or `refiner`: what a mesh checkpoint holds. Raises `UserError` if it is none."""
    return _weights_and_kind(content, path)[1]


def refine_rotation_of(content: dict) -> str:
    """Which rotation encoding a refiner checkpoint was trained with; a released one says nothing and means `rows`."""
    written = content.get("config")
    return written.get("refine_rotation", "rows") if isinstance(written, dict) else "rows"


def _weights_and_kind(content: dict, path: Path | str) -> tuple[dict[str, Tensor], str]:
    if "model" not in content:
        hint = " It is a pretrained backbone: give its folder to --pretrained." if "model_pos" in content else ""
        raise UserError(f"{path}: no 'model' in it, so it is not a mesh checkpoint.{hint}")
    weights = mesh_weights(content["model"], path)
    return weights, "refiner" if "head.head_shape.weight" not in weights else "regressor"


def mesh_weights(state: dict, path: Path | str) -> dict[str, Tensor]:
    """A mesh checkpoint's state dict without the `module.` prefix and without body-model tensors."""
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: 'model' is not a dict of tensors.")
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in plain.items() if not name.startswith(_BODY_PREFIX)}


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
    state = mesh_weights(content["model_pos"], path)
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
    groups = state.get("param_groups") if isinstance(state, dict) else None
    try:
        sizes = [len(group["params"]) for group in groups]
        own_sizes = [len(group["params"]) for group in optimizer.param_groups]
        if sizes == [own_sizes[0], own_sizes[1] + _BODY_PARAMETER_COUNT]:
            head_group = dict(groups[1], params=groups[1]["params"][:-_BODY_PARAMETER_COUNT])
            state = dict(state, param_groups=[groups[0], head_group])
        elif sizes != own_sizes:
            raise ValueError(f"groups of {sizes} parameters, expected {own_sizes}")
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        ids = [index for group in state["param_groups"] for index in group["params"]]
        for index, parameter in zip(ids, parameters, strict=True):
            for value in state["state"].get(index, {}).values():
                if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"a state of shape {tuple(value.shape)} for {tuple(parameter.shape)}")
        optimizer.load_state_dict(state)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path}: its optimizer state does not fit ({error}). Resume with the config it was written with, "
            f"or start a new --checkpoint folder."
        ) from error


def _require_fit(model: nn.Module, weights: dict[str, Tensor], path: Path | str, written: dict, wanted: dict) -> None:
    own = model.state_dict()
    problems = [f"'{name}' is missing" for name in own if name not in weights]
    problems += [f"'{name}' is not in this model" for name in weights if name not in own]
    problems += [
        f"'{name}' has shape {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
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
    for leftover in folder.glob(".*.bin.*"):
        with contextlib.suppress(OSError):
            leftover.unlink()
