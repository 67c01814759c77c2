"""This project's predictions, which any program may write: an npz whose rows name their video."""

from pathlib import Path

import numpy as np

from kinemesh.data.reading import LARGEST_ANGLE
from kinemesh.estimates.table import Table
from kinemesh.estimates.values import BETAS_SHAPE, POSE_SHAPE, to_frames, to_numbers, to_text
from kinemesh.files.arrays import read_npz

_REQUIRED = ("video", "frame", "poses", "betas")
_OPTIONAL = ("dataset", "person", "fps", "repeat", "poses_mirrored", "betas_mirrored", "trans")


def read_rows(path: Path) -> Table:
    """Keys as behaviour contract section 8 says. Raises UserError."""
    columns = read_npz(path, _REQUIRED, _OPTIONAL, what="predictions")
    video = to_text(path, "'video'", columns["video"])
    count = len(video)
    frame = to_frames(path, "'frame'", columns["frame"], count)
    poses = to_numbers(path, "'poses'", columns["poses"], POSE_SHAPE, count, LARGEST_ANGLE)
    betas = to_numbers(path, "'betas'", columns["betas"], BETAS_SHAPE, count)
    fps = np.full(count, np.nan)
    if "fps" in columns:
        fps = columns["fps"]
        fps = to_numbers(path, "'fps'", np.broadcast_to(fps, count) if fps.ndim == 0 else fps, (), count)
    dataset = person = np.full(count, "")
    if "dataset" in columns:
        dataset = to_text(path, "'dataset'", columns["dataset"], count)
    if "person" in columns:
        person = columns["person"]
        person = to_text(path, "'person'", person.astype(str) if person.dtype.kind in "iu" else person, count)
    repeat = mirrored = trans_m = None
    if "trans" in columns:
        trans_m = to_numbers(path, "'trans'", columns["trans"], (3,), count)
    if "repeat" in columns:
        repeat = to_frames(path, "'repeat'", columns["repeat"], count)
    if "poses_mirrored" in columns and "betas_mirrored" in columns:
        mirrored = (
            to_numbers(path, "'poses_mirrored'", columns["poses_mirrored"], POSE_SHAPE, count, LARGEST_ANGLE),
            to_numbers(path, "'betas_mirrored'", columns["betas_mirrored"], BETAS_SHAPE, count),
        )
    return Table(
        path, "this project", dataset, video, person, frame, poses, betas, fps.astype(np.float64),
        repeat=repeat, mirrored=mirrored, trans_m=trans_m,
    )  # fmt: skip
