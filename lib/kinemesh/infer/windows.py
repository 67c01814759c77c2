"""Overlapping windows over tracks of any length, blended into one rotation a joint and frame.

Every mean of rotations here is the chordal one: the rotation nearest to the mean matrix (Hartley et al., Rotation
Averaging, IJCV 2013). It is found once, for all windows that see a frame and their mirror images together.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.errors import UserError
from kinemesh.geometry.alignment import nearest_rotation


class Window(NamedTuple):
    """Frames `first` to `first + length` of all segments, laid one after another."""

    first: int
    length: int


def fit_clip_len(clip_len: int | None, default: int, maxlen: int, longest: int) -> int:
    """`clip_len`, or the model's `maxlen` where that is less and no track is longer: `longest` frames in a row.

    None is `default`, or `maxlen` where that is less.

    Raises UserError for a `clip_len` below 1, or one that the model cannot see though a track is that long.
    """
    clip_len = min(default, maxlen) if clip_len is None else clip_len
    if clip_len < 1 or clip_len > maxlen < longest:
        raise UserError(
            f"--clip_len {clip_len}: expected 1 to {maxlen}, the model's maxlen, as a track has {longest} frames in a row."
        )
    return min(clip_len, maxlen)


def cut_windows(segment_lengths: Sequence[int], clip_len: int) -> list[Window]:
    """Windows of `clip_len` frames that overlap by half and cover every frame; of a shorter segment, all of it."""
    windows, start = [], 0
    for length in segment_lengths:
        size = min(clip_len, length)
        last = length - size
        firsts = [*range(0, last, max(1, size // 2)), last]
        windows += [Window(start + first, size) for first in firsts]
        start += length
    return windows


def batch_windows(windows: Sequence[Window], frames_at_once: int) -> list[list[Window]]:
    """Windows in their order, in batches of one length and of at most so many frames, or of one window."""
    batches: list[list[Window]] = []
    for window in windows:
        if (
            batches
            and batches[-1][0].length == window.length
            and (len(batches[-1]) + 1) * window.length <= frames_at_once
        ):
            batches[-1].append(window)
        else:
            batches.append([window])
    return batches


def window_weights(length: int, device: torch.device | str = "cpu") -> Tensor:
    """(T,) two parabolas up, two down: of windows that overlap by half, the weights of a frame add up to 1.

    Where windows disagree, going over from one to the next costs the same acceleration all the way, the least that
    there is: a raised cosine's peaks at the windows' borders.
    """
    rise = 1 - (2 * (torch.arange(length, device=device) + 0.5) / length - 1).abs()
    return torch.where(rise < 0.5, 2 * rise.square(), 1 - 2 * (1 - rise).square())


def blend_windows(
    batches: Sequence[list[Window]], predict: Callable[[list[Window]], Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """Blend what `predict` gives for each batch, (B, T, J, 3, 3): rotations, or sums of several.

    Yields (first frame, rotations (n, J, 3, 3)) in the order of frames, each as soon as no later window sees it, so
    that memory does not grow with the number of frames.
    """
    kept = None
    for number, batch in enumerate(batches):
        rotations = predict(batch)
        first, stop = batch[0].first, batch[-1].first + batch[-1].length
        sums = rotations.new_zeros(stop - first, *rotations.shape[2:])
        if kept is not None:
            sums[: len(kept)] += kept
        rows = torch.tensor([window.first - first for window in batch], device=rotations.device)[:, None]
        rows = rows + torch.arange(rotations.shape[1], device=rotations.device)
        weights = window_weights(rotations.shape[1], rotations.device)[:, None, None, None]
        sums.index_add_(0, rows.flatten(), (rotations * weights).flatten(0, 1))
        final = (batches[number + 1][0].first if number + 1 < len(batches) else stop) - first
        yield first, nearest_rotation(sums[:final])
        kept = sums[final:]


def smooth_rotations(rotations: Tensor, radius: int) -> Tensor:
    """(F, J, 3, 3) -> the same, each frame the chordal mean of a parabola fitted to `radius` frames on both sides.

    Savitzky and Golay's filter on the matrices: it looks as far ahead as back, so nothing is delayed, and it keeps
    peaks that a running mean would flatten. Tracks too short for a parabola are returned as they are.
    """
    radius = min(radius, (len(rotations) - 1) // 2)
    if radius < 2:
        return rotations
    fitted = _fit_parabolas(rotations.flatten(1), radius)
    return nearest_rotation(fitted.view_as(rotations))


def _fit_parabolas(values: Tensor, radius: int) -> Tensor:
    """(F, n) -> at each frame the least-squares parabola over it and its neighbours; at both ends, the outermost one."""
    size = 2 * radius + 1
    place = torch.arange(-radius, radius + 1, device=values.device, dtype=torch.float64) / radius
    basis, _ = torch.linalg.qr(torch.stack((torch.ones_like(place), place, place.square()), dim=-1))
    fit = (basis @ basis.mT).to(values.dtype)  # (size, size): from a window's values to its parabola's
    inside = values.unfold(0, size, 1) @ fit[radius]
    return torch.cat((fit[:radius] @ values[:size], inside, fit[-radius:] @ values[-size:]))
