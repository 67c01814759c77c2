"""Small constant tensors, such as index orders and signs, made once for each device."""

import functools

import torch
from torch import Tensor


@functools.cache
def constant_tensor(values: tuple, device: torch.device, dtype: torch.dtype = torch.int64) -> Tensor:
    """`values`, numbers or nested tuples of them, as a tensor that every caller shares and none may change."""
    # Made once, since a copy to the device waits for it; and never as an inference tensor, which autograd refuses.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype)
