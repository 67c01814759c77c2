"""The running average of the weights, which `ema` evaluates and stores."""

import copy

import torch
from torch import nn


class AveragedModel:
    """An exponential moving average of a model's weights and batch-norm statistics (Polyak and Juditsky, 1992).

    The average forgets its start faster: at step n its decay is at most (1 + n) / (10 + n).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        own, current = self.module.state_dict(), model.state_dict()
        moving = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[name] for name in moving], [current[name] for name in moving], 1 - decay)
