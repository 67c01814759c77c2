"""What was found in the first frames of a video before a run was stopped, to go on from."""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from kinemesh.detect.regions import Region
from kinemesh.detect.search import Frame, State
from kinemesh.errors import UserError
from kinemesh.files.arrays import read_npz
from kinemesh.files.writing import write_atomically

_COLUMNS = {"counts": ("iu", 1), "tracks": ("iu", 1), "joints_px": ("f", 3), "regions": ("f", 2), "state": ("iu", 1)}
_STATE = 4  # numbers of a `State` beside the regions


def write_unfinished(path: Path, frames: Sequence[Frame], made_of: str) -> None:
    """Write what was found in the first frames, one at least, of what `made_of` says."""
    state = frames[-1].state
    arrays = {
        "made_of": np.array(made_of),
        "counts": np.array([len(frame.tracks) for frame in frames], dtype=np.int64),
        "tracks": np.array([track for frame in frames for track in frame.tracks], dtype=np.int64),
        "joints_px": np.zeros((0, 0, 3), dtype=np.float32),
        "regions": np.zeros((0, 4)),
        "state": np.array(state[1:], dtype=np.int64),
    }
    if len(arrays["tracks"]):
        arrays["joints_px"] = np.array([joints for frame in frames for joints in frame.joints_px], dtype=np.float32)
    if state.regions:
        arrays["regions"] = np.array([(*one.centre_px, one.side_px, one.angle) for one in state.regions])
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))


def read_unfinished(path: Path, made_of: str, most: int, joint_counts: Container[int]) -> list[Frame]:
    """What `write_unfinished` wrote of this very video, part and detector, of `most` frames at most; else nothing."""
    try:
        arrays = read_npz(path, ("made_of", *_COLUMNS), what="what a detector found so far")
    except UserError:
        return []
    if str(arrays["made_of"]) != made_of or any(
        arrays[name].dtype.kind not in kinds or arrays[name].ndim != axes for name, (kinds, axes) in _COLUMNS.items()
    ):
        return []
    counts, tracks, joints_px, regions, state = (arrays[name] for name in _COLUMNS)
    is_whole = (
        0 < len(counts) <= most
        and counts.min() >= 0
        and counts.sum() == len(tracks) == len(joints_px)
        and (not len(tracks) or (joints_px.shape[1] in joint_counts and joints_px.shape[2] == 3))
        and regions.shape == (counts[-1], 4)
        and len(state) == _STATE
    )
    if not is_whole:
        return []
    ends = np.cumsum(counts)[:-1]
    frames = [
        Frame(own.tolist(), list(joints))
        for own, joints in zip(np.split(tracks, ends), np.split(joints_px, ends), strict=True)
    ]
    following = [Region((x, y), side, angle) for x, y, side, angle in regions.tolist()]
    frames[-1] = frames[-1]._replace(state=State(following, *state.tolist()))
    return frames
