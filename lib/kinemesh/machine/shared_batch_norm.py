"""Batch norm over the rows of all processes; on any device, where PyTorch's own knows CUDA tensors only."""

import torch
import torch.distributed as distributed
from torch import Tensor, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum over all of them of what each makes of the result."""

    @staticmethod
    def forward(_context, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_context, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        distributed.all_reduce(gradient)
        return gradient


class SharedBatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` with the same parameters and buffers, whose mean and variance are over all processes."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C) or (N, C, L); N may differ between processes and be 0 in some."""
        if not self.training:
            return super().forward(x)
        dims = [0] if x.ndim == 2 else [0, 2]
        count = torch.tensor(float(x.numel() // x.shape[1]), device=x.device)
        distributed.all_reduce(count)
        # The mean first: a variance from sums of squares would lose digits.
        mean = _SumOverProcesses.apply(x.sum(dims)) / count
        centred = x - self._as(mean, x)
        variance = _SumOverProcesses.apply(centred.square().sum(dims)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * self._as(scale, x) + self._as(self.bias, x)

    @staticmethod
    def _as(channels: Tensor, x: Tensor) -> Tensor:
        return channels if x.ndim == 2 else channels[:, None]


def share_batch_norm(model: nn.Module) -> None:
    """Put a `SharedBatchNorm` in the place of each batch norm, with its very parameters and buffers."""
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if type(module) is nn.BatchNorm1d:
                shared = SharedBatchNorm(module.num_features, module.eps, module.momentum)
                shared.weight, shared.bias = module.weight, module.bias
                for buffer, values in module.named_buffers():
                    setattr(shared, buffer, values)
                setattr(parent, name, shared.train(module.training))
