"""Long tracks in overlapping stretches: memory stays flat, and stretches of many people are solved, and smoothed, together."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# What a stretch sees on both sides of the frames that it decides. A frame is tied to its own keypoints and to its start, so
# that what happens so far away changes a body by less than a millimetre.
_SEEN_BESIDE_S = 5.0
_MOST_FRAMES_BESIDE = 320
# Frames of one stretch, what it sees beside included. On a GPU a frame more in a row costs what it costs on all chains
# at once, so that many short ones are faster.
_STRETCH_FRAMES = {"cpu": 1000, "cuda": 500}
# Frames that are worked on at once, of all stretches together.
_FRAMES_AT_ONCE = {"cpu": 1000, "cuda": 16000}


class Stretches(NamedTuple):
    """S stretches of up to T frames; where there are fewer, the last frame stands for those that are not inside."""

    rows: Tensor  # (S, T) int64 rows of the arrays of all people
    is_inside: Tensor  # (S, T) bool
    is_own: Tensor  # (S, T) bool, frames that this stretch decides: every row is one stretch's own


def group_stretches(segment_lengths: list[int], fps: float, device: torch.device) -> Iterator[Stretches]:
    """Stretches of segments that lie one after another, the longest first, in groups of about one length."""
    beside = min(round(_SEEN_BESIDE_S * fps), _MOST_FRAMES_BESIDE)
    longest = _STRETCH_FRAMES.get(device.type, _STRETCH_FRAMES["cpu"])
    at_once = _FRAMES_AT_ONCE.get(device.type, _FRAMES_AT_ONCE["cpu"])
    spans, start = [], 0
    for length in segment_lengths:
        step = length if length <= longest else longest - 2 * beside
        for first in range(0, length, step):
            stop = min(first + step, length)
            spans.append(
                (start + max(0, first - beside), start + min(length, stop + beside), start + first, start + stop)
            )
        start += length
    spans.sort(key=lambda span: span[0] - span[1])
    while spans:
        length = spans[0][1] - spans[0][0]
        count = max(1, at_once // length)
        yield _stack(spans[:count], device)
        spans = spans[count:]


def _stack(spans: list[tuple[int, int, int, int]], device: torch.device) -> Stretches:
    first, stop, own_first, own_stop = torch.tensor(spans, device=device).T[..., None]
    rows = first + torch.arange(int((stop - first).max()), device=device)
    is_own = (rows >= own_first) & (rows < own_stop)
    return Stretches(torch.minimum(rows, stop - 1), rows < stop, is_own)


def low_pass(signal: Tensor, weights: Tensor, spread_frames: float) -> Tensor:
    """Mean over time of (S, T, C), each frame with its weight (S, T): a Gaussian, and the same of what it left.

    Twice so, peaks of fast movement stay (Tukey's twicing); a single Gaussian flattens them.
    """
    radius = max(1, round(4 * spread_frames))
    places = torch.arange(-radius, radius + 1, device=signal.device)
    kernel = torch.exp(-0.5 * (places / spread_frames) ** 2)[None, None].to(signal)

    def mean(values: Tensor) -> Tensor:
        columns = torch.cat((values, torch.ones_like(values[..., :1])), dim=2) * weights[..., None]
        flat = columns.mT.flatten(0, 1)[:, None]
        summed = torch.nn.functional.conv1d(flat, kernel, padding=radius).view(len(values), -1, values.shape[1]).mT
        return summed[..., :-1] / summed[..., -1:].clamp(min=1e-9)

    once = mean(signal)
    return once + mean(signal - once)
