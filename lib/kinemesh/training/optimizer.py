"""The optimizer and its learning rates."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.training.optimizers.muon import Muon

# Below this share of the first rate, a falling schedule has ended.
_FINAL_SHARE = 0.01


def choose_trainable(model: nn.Module, partial_train: Sequence[str] | None) -> None:
    """Freeze the backbone parameters whose name holds none of the substrings; None trains all.

    Raises `UserError` if a substring matches no parameter.
    """
    if partial_train is None:
        return
    names = [name for name, _ in model.backbone.named_parameters()]
    for part in partial_train:
        if not any(part in name for name in names):
            raise UserError(
                f"partial_train: '{part}' is in no backbone parameter's name. Names look like '{names[len(names) // 2]}'."
            )
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(any(part in name for part in partial_train))


def build_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Two groups, backbone and head, in the order that released optimizer states have; `muon` adds one of matrices."""
    groups = [
        {
            "params": [parameter for parameter in model.backbone.parameters() if parameter.requires_grad],
            "lr": config.lr_backbone,
        },
        {"params": list(model.head.parameters()), "lr": config.lr_head},
    ]
    if config.opt == "sgd":
        return torch.optim.SGD(groups, weight_decay=config.weight_decay)
    if config.opt == "muon":
        return _build_muon(model, groups, config)
    # Fused: one pass over each parameter, which for a small model is a tenth of a step.
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)


def _build_muon(model: nn.Module, groups: list[dict], config: Config) -> Muon:
    hidden = {*model.backbone.matrix_parameters(), *model.head.matrix_parameters()}
    hidden = {parameter for parameter in hidden if parameter.requires_grad}
    matrices = [parameter for group in groups for parameter in group["params"] if parameter in hidden]
    rest = [{**group, "params": [p for p in group["params"] if p not in hidden]} for group in groups]
    return Muon(
        [*rest, {"params": matrices, "lr": config.lr_matrix, "is_matrix": True}], weight_decay=config.weight_decay
    )


@torch.no_grad()
def clip_gradients(model: nn.Module, config: Config) -> Tensor:
    """The norm of all gradients together, as a scalar on the device; then clip them where the config says so."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if config.clip_grad_norm:
        nn.utils.clip_grads_with_norm_(model.parameters(), config.clip_grad_norm, norm)
    return norm


def learning_rates(config: Config, epoch: int, step: int, total_steps: int) -> tuple[float, ...]:
    """Rate of each of the optimizer's groups at a step of the run; both counts start at 0.

    `exponential` is the released rule: times `lr_decay` each epoch. `linear` and `cosine` fall from the first rate to
    a hundredth of it over the run, step by step. `warmup_steps` rises from 0 first.
    """
    if config.lr_schedule == "exponential":
        factor = config.lr_decay**epoch
    else:
        done = max(0, step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
        remaining = 1 - done if config.lr_schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
        factor = _FINAL_SHARE + (1 - _FINAL_SHARE) * remaining
    if step < config.warmup_steps:
        factor *= (step + 1) / config.warmup_steps
    rates = (config.lr_backbone, config.lr_head, *([config.lr_matrix] if config.opt == "muon" else []))
    return tuple(rate * factor for rate in rates)


def set_learning_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> None:
    """Give each of the optimizer's groups its rate."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
