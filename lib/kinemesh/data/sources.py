"""The datasets of a run, the released three and the config's own, and their files: a pickle or a folder, read once.

Source: behaviour contract section 1.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.config import Config, DatasetEntry
from kinemesh.data.folders import read_content
from kinemesh.data.reading import SplitReader
from kinemesh.data.split import Reading, Source, Split
from kinemesh.errors import UserError

logger = logging.getLogger(__name__)


RELEASED = {
    source.name: source
    for source in (
        Source(
            "h36m", "H36M", None, "dt_file_h36m", 0, Config.fps_h36m, "fps_h36m", needs_confidence=False,
            is_always_validated=False, selection_rank=2, scalar_suffix="",
        ),
        Source("coco", "COCO", None, "dt_file_coco", 0, None, "", (640.0, 640.0)),
        Source("pw3d", "3DPW", None, "dt_file_pw3d", 0, Config.fps_pw3d, "fps_pw3d", (1920.0, 1920.0), selection_rank=1),
    )
}  # fmt: skip


def sources_of(config: Config) -> list[Source]:
    """The datasets that a config names, in the order in which an epoch trains on them: the released ones come first."""
    epochs = {"h36m": config.warmup_h36m, "coco": config.warmup_coco, "pw3d": config.epochs * config.train_pw3d}
    released = [
        source._replace(
            file=getattr(config, source.file_key),
            train_epochs=epochs[source.name],
            fps=getattr(config, source.fps_key) if source.is_video else None,
        )
        for source in RELEASED.values()
    ]
    return [source for source in released if source.file] + [_own(entry, config) for entry in config.datasets]


def _own(entry: DatasetEntry, config: Config) -> Source:
    return own_source(entry.name, entry.fps)._replace(
        file=entry.file,
        train_epochs=config.epochs if entry.train_epochs is None else entry.train_epochs,
        selection_rank=0 if entry.selects else 9,
        weight=entry.weight,
        batch_size=entry.batch_size,
        is_validated=entry.is_validated,
    )


def own_source(name: str, fps: float | None) -> Source:
    """A dataset of the layout of docs/data.md; without `fps` it has single images."""
    where = f"of '{name}' under datasets"
    return Source(name, name, None, f"file {where}", 0, fps, f"fps {where}", needs_confidence=False, is_own=True)


class UsedDataset(NamedTuple):
    """A dataset that a run reads, and what for."""

    source: Source
    path: Path
    is_trained: bool
    is_tested: bool
    is_selecting: bool  # whether `best_epoch.bin` is chosen on it

    @property
    def splits(self) -> list[str]:
        """The names of those that are read."""
        return ["train"] * self.is_trained + ["test"] * self.is_tested


def used_datasets(sources: Iterable[Source], root: Path, *, is_training: bool) -> list[UsedDataset]:
    """What a run reads of a config's sources, files in `root`.

    Raises `UserError` if that is nothing.
    """
    used = []
    for source in sources:
        is_trained = is_training and source.train_epochs > 0
        is_scored = source.is_video and source.is_validated
        is_tested = is_scored and (is_trained or not is_training or source.is_always_validated)
        if is_trained or is_tested:
            used.append(UsedDataset(source, root / source.file, is_trained, is_tested, False))
    if not used:
        raise UserError(
            "the config names no dataset to use. Set dt_file_h36m or dt_file_pw3d, and train_pw3d or warmup_h36m; or "
            "datasets."
        )
    tested = [each for each in used if each.is_tested]
    if is_training and tested:
        selecting = min(tested, key=lambda each: each.source.selection_rank)
        used[used.index(selecting)] = selecting._replace(is_selecting=True)
    return used


class Dataset(NamedTuple):
    """What a dataset file holds; a split that a file of one's own lacks has no frames."""

    source: Source
    train: Split
    test: Split

    def describe(self) -> str:
        """One line for the log."""
        parts = []
        for split in (self.train, self.test):
            videos = len(split.video_names)
            within = f" in {videos:,} video{'s' * (videos != 1)}" if self.source.is_video else ""
            parts.append(f"{split.frame_count:,} {split.name} frames{within}")
        return f"{self.source.title}: {', '.join(parts)}"


def load_dataset(
    name: str,
    path: str | Path,
    *,
    fps: float | None = None,
    sample_stride: int = 1,
    needs_estimate: bool = False,
    is_thorough: bool = False,
) -> Dataset:
    """Read a dataset, a pickle or a folder, every `sample_stride`-th frame of it.

    `name` is h36m, coco or pw3d for the released layouts, any other for that of docs/data.md. `fps`: frames a second of
    the file; None: 50 for h36m, 30 for pw3d, single images for others. `needs_estimate`: the file must hold another
    estimator's `pred_smpl_pose` and `pred_smpl_shape` too; if not asked for they are not kept, as where
    kinemesh.estimates.matching gives others. `is_thorough`: look at every number of a folder, however many there are.
    Raises UserError for a file that cannot be read, or whose arrays are not what the contract says.
    """
    source = RELEASED.get(name) or own_source(name, fps)
    if fps is not None and source.is_video:
        source = source._replace(fps=fps)
    return load_source(source, Reading(Path(path), sample_stride, needs_estimate, is_thorough=is_thorough))


def load_source(source: Source, reading: Reading) -> Dataset:
    """Read a dataset's file; raises UserError as `load_dataset` does."""
    what = f"the {source.title} dataset pickle ({source.file_key} in the config)"
    content, is_mapped = read_content(reading.path, what, source.fps)
    return dataset_of(content, source, reading._replace(is_mapped=is_mapped))


def dataset_of(content: dict, source: Source, reading: Reading) -> Dataset:
    """The dataset in what kinemesh.data.folders.read_content gave, whose arrays are taken out of it."""
    path = reading.path
    splits = []
    for name in ("train", "test"):
        arrays = content.pop(name, None)
        if arrays is None and source.is_own:
            splits.append(_empty_split(source, name, reading))
            continue
        if not isinstance(arrays, dict):
            state = "is missing" if arrays is None else f"is a {type(arrays).__name__}"
            raise UserError(
                f"{path}: '{name}' {state}. Expected the {source.title} dataset pickle ({source.file_key} in the config), "
                "with a dict of per-frame arrays there."
            )
        splits.append(SplitReader(source, name, arrays, reading).read())
    dataset = Dataset(source, *splits)
    logger.info("%s", dataset.describe())
    return dataset


def _empty_split(source: Source, name: str, reading: Reading) -> Split:
    none = np.zeros(0, dtype=np.int64)
    return Split(
        dataset=source.name, title=source.title, name=name, keypoints_px=None, confidence=None,
        image_size=torch.ones(2), smpl_pose=torch.zeros(0, 3 * SMPL_JOINT_COUNT), smpl_shape=torch.zeros(0, BETA_COUNT),
        estimate_pose=None, estimate_betas=None, video_names=[], video_lengths=none, video_file_rows=none,
        video_file_lengths=none, sample_stride=reading.sample_stride, fps=source.fps or 0.0,
    )  # fmt: skip
