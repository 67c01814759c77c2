"""Which frames of a split go through the network together: videos cut into clips, clips ordered into batches.

A clip is a row of frame numbers into the split's arrays. Two ways: the released protocol, which published numbers
are computed on, and every frame exactly once. The order of an epoch's clips follows from seed, epoch and dataset name
alone, so that a resumed run needs no stored generator. Source: behaviour contract sections 1 and 5.
"""

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.data.split import Split
from kinemesh.errors import UserError
from kinemesh.machine.processes import Processes
from kinemesh.machine.seeds import named_generator
from kinemesh.structures import BatchPart


class Clips(NamedTuple):
    """N clips of T frames."""

    frames: np.ndarray  # (N, T) int64 rows of the split's arrays
    counted: np.ndarray  # (N, T) bool, False where another clip counts the frame, or where it is padding


def released_clips(
    video_lengths: np.ndarray, clip_len: int, stride: int, random_state: np.random.RandomState
) -> np.ndarray:
    """(N, clip_len) int64 frame numbers by the released protocol; videos lie one after another.

    A window every `stride` frames, tails dropped. A video shorter than a window gives one clip, stretched with
    random rounding, but the last video of a split gives none then.
    """
    lengths = np.asarray(video_lengths, dtype=np.int64)
    is_short = lengths < clip_len
    clip_counts = np.where(is_short, 1, (lengths - clip_len) // stride + 1)
    if is_short[-1:].any():
        clip_counts[-1] = 0
    video, place = _clip_places(clip_counts)
    first_frames = _first_frames(lengths)[video]
    clips = (first_frames + place * stride)[:, None] + np.arange(clip_len)
    rows = np.flatnonzero(is_short[video])
    if len(rows):
        clips[rows] = first_frames[rows, None] + _stretched(lengths[video[rows]], clip_len, random_state)
    return clips


def _stretched(lengths: np.ndarray, clip_len: int, random_state: np.random.RandomState) -> np.ndarray:
    """(N, clip_len) frame numbers from 0 that spread each short video over a clip."""
    even = np.linspace(0, lengths, clip_len, endpoint=False, axis=-1)
    rounds_down = random_state.randint(2, size=even.shape)
    rounded = np.where(rounds_down == 1, np.floor(even), np.ceil(even)).astype(np.int64)
    return np.clip(np.sort(rounded, axis=-1), 0, lengths[:, None] - 1)


def all_frames_clips(video_lengths: np.ndarray, clip_len: int) -> Clips:
    """Clips in which every frame is counted exactly once.

    A tail is seen in a last window that overlaps the one before and counts the new frames only; a video shorter
    than a window is padded with its last frame, and padding is not counted.
    """
    lengths = np.asarray(video_lengths, dtype=np.int64)
    video, place = _clip_places(-(-lengths // clip_len))
    start = place * clip_len
    length = lengths[video]
    window_start = np.maximum(np.minimum(start, length - clip_len), 0)
    frame = window_start[:, None] + np.arange(clip_len)
    counted = (frame >= start[:, None]) & (frame < length[:, None])
    frame = np.minimum(frame, length[:, None] - 1)
    return Clips(_first_frames(lengths)[video, None] + frame, counted)


def image_clips(frame_count: int) -> Clips:
    """Clips of one frame each, for a dataset of images."""
    return Clips(np.arange(frame_count, dtype=np.int64)[:, None], np.ones((frame_count, 1), dtype=bool))


def dataset_clips(
    train_lengths: np.ndarray, test_lengths: np.ndarray, clip_len: int, data_stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Released clips of both splits, test windows `clip_len` apart.

    One generator, seeded 0, draws for the train split and then for the test split: the test clips that published
    numbers stand on depend on how many short videos the train split has, and on `data_stride` not at all.
    """
    random_state = np.random.RandomState(0)
    train = released_clips(train_lengths, clip_len, data_stride, random_state)
    return train, released_clips(test_lengths, clip_len, clip_len, random_state)


def cut_clips(
    train_lengths: np.ndarray,
    test_lengths: np.ndarray,
    clip_len: int,
    data_stride: int,
    *,
    eval_clips: str = "released",
    limit_clips: int = 0,
) -> tuple[Clips, Clips]:
    """Clips of both splits of a video dataset; `limit_clips` keeps the first so many of each, 0 all."""
    train_frames, test_frames = dataset_clips(train_lengths, test_lengths, clip_len, data_stride)
    train = Clips(train_frames, np.ones_like(train_frames, dtype=bool))
    if eval_clips == "all_frames":
        test = all_frames_clips(test_lengths, clip_len)
    else:
        test = Clips(test_frames, np.ones_like(test_frames, dtype=bool))
    return first_clips(train, limit_clips), first_clips(test, limit_clips)


def first_clips(clips: Clips, limit: int) -> Clips:
    """The first `limit` clips, or all of them where `limit` is 0."""
    return Clips(clips.frames[:limit], clips.counted[:limit]) if limit else clips


def of_videos(clips: Clips, split: Split, is_chosen: np.ndarray) -> Clips:
    """The clips of those videos, `is_chosen` (videos,), of their split."""
    rows = is_chosen[split.video_of(clips.frames[:, 0])]
    return Clips(clips.frames[rows], clips.counted[rows])


def held_out_videos(names: Sequence[str], share: float) -> np.ndarray:
    """(videos,) bool: that share of the videos, at least one and not all; the same names give the same videos.

    Raises UserError for fewer than two names.
    """
    different = sorted(set(names), key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
    if len(different) < 2:
        raise UserError(
            f"val_split {share:g}: {len(different)} training video. Expected two or more; set val_split: 0, and a refiner's "
            "refine_trust: 1."
        )
    held_out = set(different[: min(max(round(share * len(different)), 1), len(different) - 1)])
    return np.array([name in held_out for name in names])


def _clip_places(clip_counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each clip the video it is from and its place there, counted from 0."""
    video = np.repeat(np.arange(len(clip_counts)), clip_counts)
    place = np.arange(len(video)) - np.repeat(np.cumsum(clip_counts) - clip_counts, clip_counts)
    return video, place


def _first_frames(lengths: np.ndarray) -> np.ndarray:
    return np.cumsum(lengths) - lengths


def repeats(rows: np.ndarray) -> np.ndarray:
    """(F,) how many times each value stood before in `rows` (F,): 0 where it comes first."""
    order = np.argsort(rows, kind="stable")
    place = np.arange(len(rows))
    is_first = np.diff(rows[order], prepend=-1) != 0
    found = np.empty(len(rows), dtype=np.int64)
    found[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    return found


def training_order(clip_count: int, seed: int, epoch: int, dataset: str, detection_count: int = 1) -> Tensor:
    """(clip_count,) int64 permutation on the CPU; the same for the same arguments on every machine and process.

    With several detections of each frame, a multiple of `clip_count` that is added says which one a clip takes.
    """
    generator = named_generator(f"{dataset} {seed} {epoch}")
    order = torch.randperm(clip_count, generator=generator)
    if detection_count > 1:
        order += clip_count * torch.randint(detection_count, (clip_count,), generator=generator)
    return order


def batch_bounds(clip_count: int, batch_size: int, *, training: bool, where: str = "data") -> list[tuple[int, int]]:
    """First and one-past-last place of each batch; the last batch may be partial.

    In training a last batch of one clip joins the batch before it, since batch norm cannot normalise one sample.
    Raises UserError if training would have to see one clip alone all the same.
    """
    if training and (clip_count == 1 or batch_size == 1):
        what = "one clip" if clip_count == 1 else "batch_size 1"
        raise UserError(
            f"{where}: {what} to train on, and batch norm needs two in a batch. "
            "Expected at least 2; add videos or lower data_stride, or raise batch_size."
        )
    starts = list(range(0, clip_count, batch_size))
    if training and clip_count - starts[-1] == 1:
        starts.pop()
    return list(itertools.pairwise([*starts, clip_count]))


def batch_part(number: int, whole: int, batches: int, accumulation: int, processes: Processes) -> BatchPart:
    """A process's part of training batch `number` of so many, of `whole` clips; so many batches make a step."""
    begin, end = processes.share(0, whole)
    step_first = number - number % accumulation
    step_size = min(accumulation, batches - step_first)
    share = (end - begin) / whole
    weight = share * processes.count / step_size
    return BatchPart(number, begin, whole, share, weight, is_last=number + 1 == step_first + step_size)
