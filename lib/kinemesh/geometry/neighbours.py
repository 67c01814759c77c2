"""Frames by those around them: what gives choices in time soft borders."""

import torch.nn.functional as F
from torch import Tensor


def largest_around(values: Tensor, radius: int) -> Tensor:
    """(N, T) -> (N, T), the largest of each frame and `radius` frames on both sides."""
    return F.max_pool1d(values[:, None], 2 * radius + 1, 1, radius)[:, 0]


def mean_around(values: Tensor, radius: int) -> Tensor:
    """(N, T) -> (N, T), the mean of the same frames; the ends stand for what lies beyond."""
    padded = F.pad(values[:, None], (radius, radius), mode="replicate")
    return F.avg_pool1d(padded, 2 * radius + 1, 1)[:, 0]
