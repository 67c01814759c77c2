"""The table of published data sets that are prepared: where each is from, and what reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace
from kinemesh.prepare.readers.gvhmr import find_gvhmr, read_gvhmr
from kinemesh.prepare.readers.pw3d import find_3dpw, read_3dpw


class DatasetSource(NamedTuple):
    """A published data set."""

    find: Callable[[Path], list[Item]]
    read: Callable[[Item, Workplace], Iterator[PreparedSequence]]
    expected: str  # below --raw, and where it is from
    licence: str
    detector: str  # of the set's own keypoints
    fps: float = 30.0
    square_px: float | None = 1920.0  # side of the square that a released pickle's pictures are in; None: as they are
    counted_from: int = 0  # of a video's pictures
    largest_fit_mm: float = float("inf")  # from joints that were measured


SOURCES = {
    "3dpw": DatasetSource(
        find_3dpw,
        read_3dpw,
        "3DPW's sequenceFiles (virtualhumans.mpi-inf.mpg.de/3DPW, after registration), as sequenceFiles/train/downtown_bar_00.pkl",
        "3DPW: non-commercial scientific research, virtualhumans.mpi-inf.mpg.de/3DPW/license.html",
        "3DPW's poses2d (OpenPose)",
    ),
    "gvhmr-support": DatasetSource(
        find_gvhmr,
        read_gvhmr,
        "GVHMR's hmr4d_support folders of 3DPW, EMDB or RICH (github.com/zju3dv/GVHMR, docs/INSTALL.md)",
        "those of 3DPW, EMDB and RICH, each non-commercial scientific research",
        "ViTPose, of GVHMR's hmr4d_support",
    ),
}
