"""Optimizer states of checkpoints, ours and released ones: checked, and loaded into an optimizer."""

from pathlib import Path

import torch
from torch import Tensor

from kinemesh.errors import UserError
from kinemesh.files.checkpoints import require_finite

# The last three parameters of the released head group belong to the body model and are never trained.
BODY_PARAMETER_COUNT = 3
# Below it a number of the file is a float, and neither nan nor infinite.
_LARGEST = 1e300


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict, path: Path | str) -> None:
    """Load an optimizer state, ours or the released one with its body-model parameters.

    Raises `UserError` if it belongs to other parameters, or is not finite.
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
        require_finite({"optimizer": {"state": states}}, path)
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
