"""Checkpoint files: ours, the released mesh checkpoints and the released pretrained backbone, as plain values.

Read by kinemesh.files.torch_files, so nothing in a file is executed. Ours hold plain tensors, numbers and text (behaviour
contract, section 5).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from kinemesh.errors import UserError
from kinemesh.files.torch_files import load_torch_file
from kinemesh.files.writing import write_atomically

# Tensors of the body model, which released checkpoints carry and ours read from the SMPL file instead.
BODY_PREFIX = "head.smpl."


def load_checkpoint(path: Path | str) -> dict:
    """A checkpoint's dict, on the CPU, `best_jpe` as a float, without keys that hold None (contract, section 9).

    Raises `UserError` if the file is missing, damaged, or holds anything but tensors, numbers and text, or under the
    keys of section 5 something else than belongs there, weights that are not finite included.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} not found. Give a checkpoint file such as checkpoint/mesh/MB_demo/best_epoch.bin.")
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
    """Raise UserError, naming `path` and the tensor or number, if one of those in `content` is not finite."""
    if name := nonfinite_number(content):
        raise UserError(f"{path}: '{name[:120]}' holds nan or infinity. Give another checkpoint, of before that.")


def nonfinite_number(content: dict) -> str | None:
    """Dotted name of the first tensor or number in nested dicts and lists that is, or holds, nan or infinity.

    One pass over the numbers, and one wait for a device, however many tensors there are.
    """
    by_device: dict[torch.device, dict[str, Tensor]] = {}
    for name, value in _numbers_in(content):
        if isinstance(value, float):
            if not math.isfinite(value):
                return name
        elif value.is_floating_point() and value.numel():
            by_device.setdefault(value.device, {})[name] = value
    for tensors in by_device.values():
        # Smallest and largest number are nan where any is: a fifth of the time of `isfinite` on all.
        finite = torch.stack([end for tensor in tensors.values() for end in tensor.aminmax()]).isfinite().tolist()
        if not all(finite):
            return list(tensors)[finite.index(False) // 2]
    return None


def _numbers_in(content: dict | list | tuple, prefix: str = "") -> Iterator[tuple[str, Tensor | float]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, dict | list | tuple):
            yield from _numbers_in(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor | float):
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


def _is_plain(value: Any, depth: int = 3) -> bool:
    """Whether it is what a config key may hold: text, numbers, and lists and dicts of them, not deep."""
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        has_names = isinstance(value, list) or all(isinstance(name, str) for name in value)
        return depth > 0 and has_names and all(_is_plain(part, depth - 1) for part in parts)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    return value is None or isinstance(value, float | str)


def _is_origin(value: Any) -> bool:
    """Whether it is what a checkpoint says of where it comes from: text and numbers, and names of files and packages."""
    return isinstance(value, dict) and all(
        isinstance(key, str)
        and (
            item is None
            or isinstance(item, str | int)
            or (isinstance(item, list) and all(isinstance(each, str) for each in item))
            or (isinstance(item, dict) and all(isinstance(each, str) for pair in item.items() for each in pair))
        )
        for key, item in value.items()
    )


_WEIGHTS = ("model", "model_pos", "model_in_training")
# What released checkpoints and ours hold under a key: a test, and its words.
_KINDS = {
    "model": (_is_state_dict, "a dict of tensors"),
    "model_pos": (_is_state_dict, "a dict of tensors"),
    "model_in_training": (_is_state_dict, "a dict of tensors"),
    "optimizer": (lambda value: isinstance(value, dict), "an optimizer's state"),
    "epoch": (_is_count, "a whole number"),
    "step": (_is_count, "a whole number"),
    "skipped_steps": (_is_count, "a whole number"),
    "selected_on": (lambda value: isinstance(value, str), "the name of a split"),
    "origin": (_is_origin, "text and numbers that say where the checkpoint comes from"),
    "progress": (lambda value: isinstance(value, dict), "a place inside an epoch"),
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


def mesh_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A mesh checkpoint's state dict without the `module.` prefix and without body-model tensors."""
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in plain.items() if not name.startswith(BODY_PREFIX)}
