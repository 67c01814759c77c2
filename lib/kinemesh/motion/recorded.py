"""Recorded motion: a folder of SMPL poses, shapes and paths in a world with y up, read where it lies.

Arrays of the folder (docs/motion.md): `pose` (N, 72) float32 axis-angle and `trans` (N, 3) float32 m of all frames;
`length`, `fps`, `betas` (S, 10) and the texts `name`, `subject`, `source`, `split`, `gender` of the sequences.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.body.params import poses_between
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import fail
from kinemesh.files.array_folder.reading import ArrayFolder, open_folder
from kinemesh.geometry.neighbours import rows_between

KIND = "motion"
FRAME_ARRAYS = {"pose": ("<f4", (3 * SMPL_JOINT_COUNT,)), "trans": ("<f4", (3,))}
SEQUENCE_ARRAYS = {"length": ("<i8", ()), "fps": ("<f8", ()), "betas": ("<f4", (BETA_COUNT,))}
TEXTS = ("name", "subject", "source", "split", "gender")
_SAME_RATE = 1e-9


class RecordedMotion(NamedTuple):
    """One sequence: F frames of one person. `poses` and `trans_m` are views of the folder's files."""

    name: str
    poses: np.ndarray  # (F, 72) float32 axis-angle, radians, y up
    trans_m: np.ndarray  # (F, 3) float32, added to the posed body
    betas: np.ndarray  # (10,) float32
    fps: float
    subject: str
    split: str

    def at_rate(self, fps: float) -> "RecordedMotion":
        """The same motion at another rate, from its first frame on to at most its last.

        Joints turn the short way at an even pace between two frames (slerp), the path is linear between them.
        """
        if abs(fps / self.fps - 1) < _SAME_RATE or len(self.poses) < 2:
            return self._replace(fps=fps)
        last = len(self.poses) - 1
        places = np.arange(int(np.floor(last / self.fps * fps + 1e-6)) + 1) * (self.fps / fps)
        frames = np.arange(len(self.poses))
        poses, path = poses_between(np.asarray(self.poses), frames, places), rows_between(self.trans_m, frames, places)
        return self._replace(poses=poses, trans_m=path.astype(np.float32), fps=fps)


class RecordedMotions:
    """A motion folder: its sequences by number, and what it says of itself."""

    def __init__(self, folder: ArrayFolder):
        self.path, self.provenance = folder.path, folder.provenance
        arrays = {**FRAME_ARRAYS, **SEQUENCE_ARRAYS}
        for name, (dtype, row_shape) in arrays.items():
            array = folder.arrays.get(name)
            if array is None or array.dtype != np.dtype(dtype) or array.shape[1:] != row_shape:
                found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
                fail(folder.path, f"array '{name}' is {found}", f"{np.dtype(dtype)} of rows {row_shape}")
        self.poses, self.trans_m = folder.arrays["pose"], folder.arrays["trans"]
        self.lengths, self.fps, self.betas = (folder.arrays[name] for name in SEQUENCE_ARRAYS)
        self.texts: dict[str, list[str]] = {name: folder.text(name) for name in TEXTS}
        counts = {len(self.fps), len(self.betas), *map(len, self.texts.values())}
        if counts != {len(self.lengths)}:
            fail(
                folder.path,
                f"its sequences are {len(self.lengths)} or {sorted(counts)}",
                "one row a sequence everywhere",
            )
        if (self.lengths < 1).any() or not self.lengths.sum() == len(self.poses) == len(self.trans_m):
            fail(folder.path, f"its lengths do not add up to {len(self.poses)} frames", "the lengths of all sequences")
        if not (np.isfinite(self.fps).all() and (self.fps > 0).all() and np.isfinite(self.betas).all()):
            fail(folder.path, "'fps' or 'betas' holds a value that is none", "rates above 0, finite betas")
        self._ends = np.cumsum(self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> RecordedMotion:
        if not 0 <= number < len(self):
            raise IndexError(number)
        rows = slice(int(self._ends[number] - self.lengths[number]), int(self._ends[number]))
        texts = {name: self.texts[name][number] for name in ("name", "subject", "split")}
        return RecordedMotion(
            poses=self.poses[rows],
            trans_m=self.trans_m[rows],
            betas=self.betas[number],
            fps=float(self.fps[number]),
            **texts,
        )

    def __iter__(self) -> Iterator[RecordedMotion]:
        return (self[number] for number in range(len(self)))

    @property
    def body_model(self) -> Any:
        """What the folder says its betas are of."""
        return self.provenance.get("body_model")


def open_motions(path: Path | str) -> RecordedMotions:
    """Open a motion folder; nothing is loaded. Raises UserError for what is none, or not whole."""
    return RecordedMotions(open_folder(path, what="a motion folder", kind=KIND))
