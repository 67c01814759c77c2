"""Puts a run's parts together: the model, the body, and the datasets as loaders."""

import dataclasses
import logging
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from lib.body.assets import BodyAssets
from lib.body.kinematics import JointKinematics
from lib.body.smpl import PosedBody
from lib.config import Config
from lib.data.clips import Clips, cut_clips, first_clips, image_clips
from lib.data.loader import ClipLoader
from lib.data.mean_body import mean_body
from lib.data.predictions import attach_predictions, check_videos, load_predictions, usable_clips
from lib.data.sources import SOURCES, Dataset, Source, load_dataset
from lib.engine.checkpoint import refine_rotation_of
from lib.engine.state import Posing, TrainedDataset
from lib.errors import UserError
from lib.model.mesh import build_refiner, build_regressor
from lib.structures import BodyParams

logger = logging.getLogger(__name__)

# Config keys that set the model's size: a checkpoint must have been written with the same ones.
_MODEL_KEYS = (
    "dim_feat", "dim_rep", "depth", "num_heads", "mlp_ratio", "maxlen", "att_fuse", "hidden_dim", "num_joints",
)  # fmt: skip


def build_model(kind: str, config: Config, assets: BodyAssets) -> nn.Module:
    """A `regressor` or `refiner` with fresh weights."""
    if kind == "refiner":
        return build_refiner(config)
    mean = (torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas))
    return build_regressor(config, *mean)


def build_posing(assets: BodyAssets, device: torch.device) -> Posing:
    """The body on a device, with and without vertices."""
    return Posing(JointKinematics(assets).to(device), PosedBody(assets).to(device))


def model_values(config: Config) -> dict:
    """The config's keys that set the model's size."""
    return {key: getattr(config, key) for key in _MODEL_KEYS}


def as_trained(config: Config, content: dict, path: Path) -> Config:
    """The config with the rotation encoding that a refiner checkpoint was trained with."""
    rotation = refine_rotation_of(content)
    why = "as it records" if "config" in content else "as released checkpoints are, since it records none"
    logger.info("%s: refine_rotation %s, %s", path, rotation, why)
    return dataclasses.replace(config, refine_rotation=rotation)


class UsedDataset(NamedTuple):
    """A dataset that a run reads, and what for."""

    source: Source
    path: Path
    train_epochs: int
    is_trained: bool
    is_tested: bool


def used_datasets(config: Config, *, is_training: bool) -> list[UsedDataset]:
    """What a run reads, by the config alone.

    Raises `UserError` if that is nothing.
    """
    train_epochs = {
        "h36m": config.warmup_h36m,
        "coco": config.warmup_coco,
        "pw3d": config.epochs * config.train_pw3d,
    }
    used = []
    for source in SOURCES.values():
        is_trained = is_training and train_epochs[source.name] > 0
        is_tested = source.is_video and (is_trained or not is_training or source.name == "pw3d")
        file = getattr(config, source.file_key)
        if file and (is_trained or is_tested):
            path = Path(config.data_root) / file
            used.append(UsedDataset(source, path, train_epochs[source.name], is_trained, is_tested))
    if not used:
        raise UserError(
            "the config names no dataset to use. Set dt_file_h36m or dt_file_pw3d, and train_pw3d or warmup_h36m."
        )
    return used


class DatasetOpener:
    """Opens the datasets of a run, one by one.

    `with_estimate`: each has another estimator's bodies, from its file or, with `predictions_path`, from that one.
    """

    def __init__(
        self,
        config: Config,
        device: torch.device,
        *,
        with_estimate: bool = False,
        predictions_path: str | None = None,
    ):
        """Raises `UserError` if the predictions cannot be read."""
        self._config, self._with_estimate = config, with_estimate
        self._predictions = load_predictions(predictions_path) if predictions_path else None
        self._load = partial(ClipLoader, device=device, data_device=config.data_device, with_estimate=with_estimate)
        self._opened: list[Dataset] = []

    def open(self, used: UsedDataset) -> tuple[Dataset, TrainedDataset]:
        """The dataset as it was read, and as the run uses it; raises `UserError` if the file is missing or wrong."""
        config, source, predictions = self._config, used.source, self._predictions
        is_in_file = self._with_estimate and (predictions is None or not source.is_video)
        dataset = load_dataset(source.name, used.path, sample_stride=config.sample_stride, needs_estimate=is_in_file)
        if predictions is not None:
            splits = [name for name, is_needed in (("train", used.is_trained), ("test", used.is_tested)) if is_needed]
            fps = getattr(config, source.fps_key) if source.is_video else 0.0
            dataset = attach_predictions(dataset, predictions, fps, splits)
        self._opened.append(dataset)
        train_clips, test_clips = _cut(dataset, config)
        size = config.batch_size if source.is_video else config.batch_size_img
        trained = TrainedDataset(
            name=source.name,
            train=self._load(dataset.train, train_clips, batch_size=size, training=True) if used.is_trained else None,
            test=self._load(dataset.test, test_clips, batch_size=config.batch_size) if used.is_tested else None,
            train_epochs=used.train_epochs,
            validated_after_training_only=source.name == "h36m",
        )
        return dataset, trained

    def check_videos(self) -> None:
        """Raises `UserError` if the predictions are of videos that none of the datasets opened has."""
        if self._predictions is not None and self._opened:
            check_videos(self._predictions, self._opened)


def open_datasets(
    config: Config,
    device: torch.device,
    *,
    is_training: bool,
    with_estimate: bool = False,
    predictions_path: str | None = None,
) -> tuple[list[TrainedDataset], BodyParams | None]:
    """The datasets that a run needs, and with `mean_pose_baseline` the mean body of the last one's training frames.

    Raises `UserError` if the config names none, or a file is missing or wrong.
    """
    opener = DatasetOpener(config, device, with_estimate=with_estimate, predictions_path=predictions_path)
    datasets = []
    constant = None
    for used in used_datasets(config, is_training=is_training):
        dataset, trained = opener.open(used)
        if config.mean_pose_baseline:
            constant = mean_body(dataset.train, device)
        datasets.append(trained)
    opener.check_videos()
    return datasets, constant


def _cut(dataset: Dataset, config: Config) -> tuple[Clips, Clips | None]:
    """Training and test clips; a dataset of images has one-frame clips and is not tested."""
    if not dataset.source.is_video:
        return first_clips(image_clips(dataset.train.frame_count), config.limit_clips), None
    lengths = dataset.train.video_lengths, dataset.test.video_lengths
    train, test = cut_clips(*lengths, config.clip_len, config.data_stride, eval_clips=config.eval_clips)
    # First what can be used, then the limit: a dry run of a file that covers few videos is then not empty.
    return tuple(
        first_clips(usable_clips(clips, split), config.limit_clips)
        for clips, split in ((train, dataset.train), (test, dataset.test))
    )
