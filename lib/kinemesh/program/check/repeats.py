"""Frames that are there more than once: in one split, or, which flatters every figure, in both."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from kinemesh.data.sources import Dataset
from kinemesh.data.split import Split
from kinemesh.program.check.findings import Finding, some_of

_ROWS_AT_ONCE = 1 << 15
_LARGEST_REPEATED = 0.02


def repeat_findings(split: Split, name: str, where: str) -> Iterator[Finding]:
    """Rows of one split with the same keypoints and body as another, and videos that come back."""
    if split.frame_count == 0:
        return
    arrays = [split.smpl_pose, split.smpl_shape, *([] if split.keypoints_px is None else [split.keypoints_px])]
    _, counts = np.unique(_hashes(arrays), return_counts=True)
    share = 1 - len(counts) / split.frame_count
    found = f"{share:.1%} of the frames are there before"
    if share > _LARGEST_REPEATED:
        most = int(counts.max())
        yield Finding("warning", f"{name} repeats", where, f"{found}, one of them {most} times: frames are duplicated.")
    else:
        yield Finding("ok", f"{name} repeats", where, found)
    videos, names = len(split.video_names), len(set(split.video_names))
    if videos > 1.2 * names:
        found = (
            f"{names:,} names in {videos:,} runs of frames: a video's frames do not stand together. Were they shuffled?"
        )
        yield Finding("warning", f"{name} videos", where, found)


def leak_findings(dataset: Dataset, where: str) -> Iterator[Finding]:
    """What the test split has of the train split."""
    train, test = dataset.train, dataset.test
    if not train.frame_count or not test.frame_count:
        return
    what = f"{dataset.source.name} splits"
    # Frames that nobody annotated may all have the rest pose.
    is_posed = (test.smpl_pose != 0).any(dim=1).numpy()
    known = np.unique(_hashes([test.smpl_pose, test.smpl_shape])[is_posed])
    if not len(known):
        return
    seen = np.zeros(len(known), dtype=bool)
    for hashes in _hashed([train.smpl_pose, train.smpl_shape]):
        place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        seen[place[known[place] == hashes]] = True
    shared = sorted({*train.video_names} & {*test.video_names})
    found = f"{seen.mean():.1%} of the test bodies are in the train split too"
    if seen.any():
        yield Finding("warning", what, where, f"{found}: test frames were copied, and figures on them mean nothing.")
    if shared:
        found_names = f"{len(shared):,} of {len(set(test.video_names)):,} test videos have names of the train split ({some_of(shared)})"
        yield Finding("warning", what, where, f"{found_names}: is a video in both?")
    if not seen.any() and not shared:
        yield Finding("ok", what, where, f"{found}, no video's name is in both")


def _hashes(arrays: list[Tensor]) -> np.ndarray:
    """(F,) uint64, alike for rows that are alike to the bit in every array."""
    return np.concatenate(list(_hashed(arrays)))


def _hashed(arrays: list[Tensor]) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    width = sum(int(np.prod(values.shape[1:])) for values in arrays)
    factors = random.integers(1 << 62, size=width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    for start in range(0, len(arrays[0]), _ROWS_AT_ONCE):
        parts = [values[start : start + _ROWS_AT_ONCE].flatten(1).contiguous().numpy() for values in arrays]
        bits = np.concatenate(parts, axis=1).view(np.uint32).astype(np.uint64)
        bits ^= bits >> np.uint64(15)
        yield (bits * factors).sum(axis=1)
