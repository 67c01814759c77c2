"""Frames by those around them: what gives choices in time soft borders, and what lies between those that are known."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def largest_around(values: Tensor, radius: int) -> Tensor:
    """(N, T) -> (N, T), the largest of each frame and `radius` frames on both sides."""
    return F.max_pool1d(values[:, None], 2 * radius + 1, 1, radius)[:, 0]


def mean_around(values: Tensor, radius: int) -> Tensor:
    """(N, T) -> (N, T), the mean of the same frames; the ends stand for what lies beyond."""
    padded = F.pad(values[:, None], (radius, radius), mode="replicate")
    return F.avg_pool1d(padded, 2 * radius + 1, 1)[:, 0]


def gaussian_around(values: Tensor, spread: float) -> Tensor:
    """(N, T) -> (N, T), the mean of the frames around each by a Gaussian; the ends stand for what lies beyond."""
    radius = max(1, round(2 * spread))
    places = torch.arange(-radius, radius + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (places / max(spread, 0.5)).square())
    padded = F.pad(values[:, None], (radius, radius), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]


def rows_between(values: np.ndarray, frames: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(F, n) float64 at the `wanted` frames (F,), on the line between rows (N, n) of the rising `frames` (N,); beyond, the end."""
    return np.stack([np.interp(wanted, frames, column) for column in values.T], axis=1)
