"""What varies in time, of many clips at once: smooth noise, smoothed paths, and runs of frames."""

import math

import torch
from torch import Tensor

from kinemesh.machine.seeds import Draws

# Knots lie one time constant apart; farther than so many, they no longer count.
_REACH = 3


def log_uniform(draws: Draws, bounds: tuple[float, float], *shape: int) -> Tensor:
    """(B, *shape) evenly in the logarithm of a range."""
    low, high = map(math.log, bounds)
    return (low + (high - low) * draws.uniform(*shape)).exp()


def within(draws: Draws, bounds: tuple[float, float], *shape: int) -> Tensor:
    """(B, *shape) evenly in a range."""
    low, high = bounds
    return low + (high - low) * draws.uniform(*shape)


def smooth_noise(draws: Draws, shape: tuple[int, int], fps: float, seconds: Tensor, least_s: float) -> Tensor:
    """(B, T, C) of unit variance, `shape` being (T, C), each channel by itself.

    Its correlation over a time t is exp(-(t / seconds)^2 / 4), with `seconds` (B,), none below `least_s`.
    """
    frames, channels = shape
    knots = math.ceil((frames - 1) / fps / least_s) + 2 * _REACH + 1
    place = torch.arange(frames, device=seconds.device) / (fps * seconds[:, None]) + _REACH + draws.uniform(1)
    weights = torch.exp(-0.5 * (place[..., None] - torch.arange(knots, device=seconds.device)).square())
    weights = weights / weights.square().sum(dim=-1, keepdim=True).sqrt()
    return weights @ draws.normal(knots, channels)


def smoothed(values: Tensor, frames: float) -> Tensor:
    """(B, T, C) -> a mean of each frame's neighbours by a bell curve of this std, in which the ends count for what lies beyond."""
    count = values.shape[1]
    reach = math.ceil(_REACH * frames)
    place = torch.arange(-reach, count + reach, device=values.device)
    weights = torch.exp(-0.5 * ((torch.arange(count, device=values.device)[:, None] - place) / max(frames, 1e-3)) ** 2)
    # Weights of what lies beyond are added up in the first and the last frame's.
    inside = weights.new_zeros(count, count).index_add_(1, place.clamp(0, count - 1), weights)
    return (inside / inside.sum(dim=1, keepdim=True)) @ values


def runs(draws: Draws, frames: int, channels: int, chance: float, lengths: tuple[int, int]) -> Tensor:
    """(B, frames, channels) bool, true in runs: one begins in any frame by `chance`, of a length drawn evenly.

    Those that began before the first frame are there too.
    """
    before = lengths[1] - 1
    begins = draws.uniform(before + frames, channels) < chance
    length = (lengths[0] + (lengths[1] - lengths[0] + 1) * draws.uniform(before + frames, channels)).floor()
    place = torch.arange(before + frames, device=begins.device)[:, None]
    ends = torch.where(begins, place + length, 0.0)
    return (ends.cummax(dim=1).values > place)[:, before:]


def one_run(draws: Draws, frames: int, chance: float, lengths: Tensor) -> Tensor:
    """(B, frames) bool: by `chance`, a run of so many frames (B,) that shares at least one with the clip."""
    is_there = draws.uniform() < chance
    first = (draws.uniform() * (frames + lengths - 1)).floor() - lengths + 1
    place = torch.arange(frames, device=lengths.device)
    return is_there[:, None] & (place >= first[:, None]) & (place < (first + lengths)[:, None])
