"""Muon for the weight matrices of a network, AdamW for everything else.

A matrix's step is its momentum with all singular values brought near 1, so that no direction is starved: a short training
run gets further. Source: Jordan et al., Muon, 2024 (the iteration, its coefficients and the scale of a step); AdamW is
PyTorch's.
"""

from collections import defaultdict

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST_NORM = 1e-7
# AdamW's beside Muon: a short run has no time for averages of a thousand steps.
_BETAS = (0.9, 0.95)


class Muon(torch.optim.Optimizer):
    """Groups with `is_matrix: True` hold 2D parameters and take Muon's step, the others AdamW's."""

    def __init__(self, groups: list[dict], *, weight_decay: float, momentum: float = 0.95):
        # By "fused" PyTorch keeps AdamW's step counts where the parameters are when it loads a state.
        defaults = {
            "lr": 0.0, "weight_decay": weight_decay, "momentum": momentum, "is_matrix": False, "fused": True
        }  # fmt: skip
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One step of every parameter that has a gradient. `closure` is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["is_matrix"]:
                self._step_matrices(parameters, group)
            elif parameters:
                self._step_adamw(parameters, group)

    def _step_matrices(self, parameters: list[Tensor], group: dict) -> None:
        momentum = group["momentum"]
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            average = state["momentum_buffer"].lerp_(parameter.grad, 1 - momentum)
            # Nesterov's look ahead.
            by_shape[parameter.shape].append((parameter, parameter.grad.lerp(average, momentum)))
        for (rows, columns), pairs in by_shape.items():
            # Matrices of one shape go through the iteration together: many small products cost what one does.
            steps = orthogonalize(torch.stack([step for _, step in pairs])) * max(1.0, rows / columns) ** 0.5
            for (parameter, _), step in zip(pairs, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-group["lr"])

    def _step_adamw(self, parameters: list[Tensor], group: dict) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=group["fused"],
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )


def orthogonalize(matrices: Tensor) -> Tensor:
    """(..., M, N) with singular values brought to about 1 (between 0.7 and 1.2), singular vectors kept.

    Five steps of a quintic Newton-Schulz iteration, which needs products only. A matrix of zeros stays zero.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST_NORM)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
