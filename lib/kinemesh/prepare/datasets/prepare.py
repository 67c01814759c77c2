"""Makes a dataset of a source's files: bodies and keypoints of every sequence, checked against one another, written."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import H36M_MIRROR_ORDER, MM_PER_M
from kinemesh.errors import UserError
from kinemesh.prepare.datasets.keypoints import KeypointFile, Proof, joints_m, noisy, prove, see
from kinemesh.prepare.datasets.sequences import (
    NONE,
    OF_THE_SET,
    PROJECTED,
    Item,
    PreparedSequence,
    Workplace,
    stretches,
    without,
)
from kinemesh.prepare.datasets.sources import SOURCES, DatasetSource
from kinemesh.prepare.datasets.write import (
    DatasetWriter,
    count_sequence,
    lines,
    provenance_of,
    write_dataset,
)
from kinemesh.prepare.motions.sequences import Bodies, BodyMissingError, find_in
from kinemesh.prepare.summary import Summary

logger = logging.getLogger(__name__)

_FEWEST_SEEN = 0.1
_NEAREST_M = 0.2
_FEWEST_SHOWN = 8


class Request(NamedTuple):
    """What the user asked for."""

    source: str
    raw: Path
    out: Path
    data_root: Path | None  # None: the stand-in, not SMPL
    betas: str
    keypoints: str = OF_THE_SET  # or projected, none, or a file
    licence: str = ""
    is_dry: bool = False


def prepare_dataset(request: Request, bodies: Bodies | None = None) -> Summary:
    """Read a source below `raw` and write the dataset. Raises UserError, one line, for what the user has to mend.

    `bodies` may be given by who prepares several: those of `data_root`.
    """
    source = SOURCES[request.source]
    items = _items(request, source)
    preparation = _Preparation(request, source, bodies)
    if request.is_dry:
        begun = nullcontext(_Dry())
    else:
        said = provenance_of(
            request.source, request.licence or source.licence, request.betas, preparation.place.bodies.model
        )
        square_px = source.square_px if request.out.suffix == ".pkl" else None
        begun = contextmanager(write_dataset)(request.out, said, _work(request, items), square_px)
    with begun as dataset:
        summary = dataset.summary
        for item in summary.left_to_do(items, "parts", every=10):
            preparation.add(item, dataset)
        if not summary.sequences:
            why = (
                summary.told
                or [f"dropped: {why}" for why, _ in summary.dropped.most_common(1)]
                or [f"expected {source.expected}"]
            )
            raise UserError(f"--raw {request.raw}: nothing in it can be used: {why[0]}")
        if not request.is_dry:
            dataset.writer.provenance["detector"] = preparation.detector(summary)
    for text in summary.told:
        logger.warning("left out: %s", text)
    for line in lines(summary):
        logger.info("%s", line)
    return summary


def _items(request: Request, source: DatasetSource) -> list[Item]:
    items = find_in(request.raw, source.find, source.expected)
    size = sum(path.stat().st_size for path in _files(items))
    logger.info("%s: %d parts, %.2f GB", request.raw, len(items), size / 1e9)
    return items


def _files(items: list[Item]) -> set[Path]:
    return {path for item in items for path in item.paths if path.is_file()}


def _work(request: Request, items: list[Item]) -> dict:
    """What tells this work from another, so that only the same goes on."""
    return {
        "choices": [
            request.source,
            request.data_root and str(request.data_root.resolve()),
            request.betas,
            request.keypoints,
        ],
        "items": [item.name for item in items],
        "sizes": sorted([path.name, path.stat().st_size] for path in _files(items)),
    }


class _Dry:
    """Counts, and writes nothing."""

    def __init__(self):
        self.summary = Summary()

    def append(self, sequence: PreparedSequence, keypoints_px: np.ndarray | None, proof: Proof | None) -> None:
        count_sequence(self.summary, sequence, proof)

    def finish_item(self, item: Item) -> None:
        self.summary.parts += 1


class _Preparation:
    """What is done to every sequence."""

    def __init__(self, request: Request, source: DatasetSource, bodies: Bodies | None):
        self.source, self.choice = source, request.keypoints
        bodies = bodies or Bodies(request.data_root, instead="--betas ignore")
        self.place = Workplace(bodies, request.betas)
        self.given = None
        if self.choice not in (OF_THE_SET, PROJECTED, NONE):
            self.given = KeypointFile(Path(self.choice), source.counted_from)
        self.is_projected = False

    def add(self, item: Item, dataset: "DatasetWriter | _Dry") -> None:
        """Everything of an item. What cannot be read is counted and told; a body's file that is missing is an error."""
        before = dataset.summary.sequences
        try:
            for sequence in self.source.read(item, self.place):
                for part in self._usable(sequence, dataset.summary):
                    self._add(part, dataset)
        except BodyMissingError:
            raise
        except UserError as error:
            if dataset.summary.sequences > before:  # half of a file is no dataset
                raise
            dataset.summary.unreadable += 1
            dataset.summary.tell(str(error))
        dataset.summary.dropped.update(self.place.dropped)
        for frames, error_mm in self.place.refit_mm:
            dataset.summary.add("refit", frames, mm=error_mm)
        self.place.dropped.clear()
        self.place.refit_mm.clear()
        dataset.finish_item(item)

    def detector(self, summary: Summary) -> str:
        """What found the keypoints, for the manifest."""
        if self.choice == NONE:
            return "none: made on the fly"
        if self.given is not None:
            return f"{self.given.path.name}, {', '.join(summary.orders)}"
        parts = [self.source.detector] if summary.orders and self.choice == OF_THE_SET else []
        return ", ".join(parts + ["projected, with the errors of docs/synthesis.md"] * self.is_projected)

    def _usable(self, sequence: PreparedSequence, summary: Summary) -> Iterator[PreparedSequence]:
        """The stretches whose bodies stand before the camera and agree with the joints that were measured."""
        if not (sequence.K[..., [0, 1], [0, 1]] > 0).all() or not (sequence.image_size >= 1).all():
            self.place.drop("of sequences without a camera", len(sequence.poses))
            return
        joints = joints_m(sequence, self.place.kinematics)
        is_kept = joints[..., 2].min(axis=1) > _NEAREST_M
        self.place.drop("behind the camera, or nearer than 0.2 m", (~is_kept).sum())
        if self.given is None and sequence.keypoints_px is None and self.choice != NONE:
            px, size = see(sequence, self.place.kinematics).px, np.atleast_2d(sequence.image_size)[:, None]
            shown = ((px >= 0) & (px < size)).all(axis=-1).sum(axis=1) >= _FEWEST_SHOWN
            self.place.drop(f"fewer than {_FEWEST_SHOWN} of 17 joints in the picture", (is_kept & ~shown).sum())
            is_kept &= shown
        if sequence.joints_m is not None:
            apart = _apart_mm(joints, sequence.joints_m)
            if np.median(_apart_mm(joints[:, list(H36M_MIRROR_ORDER)], sequence.joints_m)) < np.median(apart):
                self.place.drop("of sequences whose measured joints have left and right exchanged", len(joints))
                return
            if sequence.split == "train":  # what is tested on is not chosen by how well it fits
                fits = apart <= self.source.largest_fit_mm
                reason = f"fits more than {self.source.largest_fit_mm:g} mm off the measured joints"
                self.place.drop(reason, (is_kept & ~fits).sum())
                is_kept &= fits
            if is_kept.any():
                summary.add("joints", int(is_kept.sum()), mm=float(apart[is_kept].mean()))
        if not is_kept.any():
            return
        kept = sequence if is_kept.all() else sequence.rows(is_kept)
        yield from stretches(kept) if kept.pictures is None else (kept,)

    def _add(self, sequence: PreparedSequence, dataset: "DatasetWriter | _Dry") -> None:
        seen = see(sequence, self.place.kinematics)
        keypoints, proof = None, None
        points, order = sequence.keypoints_px, sequence.joint_order
        if self.given is not None:
            points, order = self.given.of(sequence, seen)
        if points is not None:
            keypoints, proof = prove(points, order, seen)
            if proof is None or proof.frames < _FEWEST_SEEN * len(points):
                self.place.drop("of sequences with keypoints in less than a tenth of the frames", len(points))
                return
            if proof.is_mirrored:
                self.place.drop("of sequences whose keypoints show left and right exchanged", len(points))
                return
            if sequence.pictures is not None:
                is_seen = (keypoints[..., 2] > 0).any(axis=1)
                keypoints, sequence = (
                    keypoints[is_seen],
                    without(sequence, is_seen, "pictures without keypoints", self.place),
                )
        if self.choice == NONE:
            keypoints = None
        elif self.choice == PROJECTED or points is None:
            keypoints, self.is_projected = noisy(sequence, seen, self.source.fps), True
        dataset.append(sequence, keypoints, proof)


def _apart_mm(joints_m: np.ndarray, measured_m: np.ndarray) -> np.ndarray:
    """(F,) mean distance of joints (F, 17, 3) from measured ones, mean on mean."""
    apart = joints_m - measured_m
    return np.linalg.norm(apart - apart.mean(axis=1, keepdims=True), axis=-1).mean(axis=1) * MM_PER_M
