"""Which datasets a run uses, and what for: files into clips, clips into loaders."""

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from kinemesh.body.assets import BodyAssets, load_body_assets
from kinemesh.config import Config
from kinemesh.data.clips import Clips, cut_clips, first_clips, held_out_videos, image_clips, of_videos
from kinemesh.data.loader import ClipLoader
from kinemesh.data.mix import MixedLoader
from kinemesh.data.sources import Dataset, UsedDataset, load_source
from kinemesh.data.split import Reading, Source, Split, fill_split, place_split
from kinemesh.errors import UserError
from kinemesh.estimates.matching import attach_predictions, usable_clips
from kinemesh.estimates.predictions import check_videos, load_predictions
from kinemesh.protocols import ClipRule
from kinemesh.synthesis.clips import Synthesizer
from kinemesh.synthesis.recipe import DEFAULT, SCORED, changed_recipe
from kinemesh.training.state import TrainedDataset

logger = logging.getLogger(__name__)


@dataclass
class DatasetOpener:
    """Opens the datasets of a run, one by one."""

    config: Config
    device: torch.device
    with_estimate: bool = False  # each has another estimator's bodies, from its file or from `predictions_path`
    predictions_path: Path | None = None
    clip_rules: Sequence[ClipRule] = ()  # what test clips to score; none: those of the config's `eval_clips`
    is_thorough: bool = False  # look at every number
    assets: BodyAssets | None = None  # what keypoints are made with, where a dataset has none or the config asks for it

    def __post_init__(self):
        """Raises `UserError` if the predictions cannot be read, or the config's recipe."""
        config, assets = self.config, self.assets
        self._recipe = changed_recipe(DEFAULT, config.recipe or {})
        body = partial(load_body_assets, config.data_root) if assets is None else (lambda: assets)
        self._predictions = load_predictions(self.predictions_path, body) if self.predictions_path else None
        self._held_out_share = config.held_out_share if self.with_estimate else config.val_split
        self._place = partial(place_split, device=self.device, data_device=config.data_device)
        self._opened: list[Dataset] = []

    def open(self, used: UsedDataset) -> tuple[Dataset, TrainedDataset]:
        """The dataset as it was read, and as the run uses it; raises `UserError` if the file is missing or wrong."""
        config, source, predictions = self.config, used.source, self._predictions
        is_in_file = self.with_estimate and (predictions is None or not source.is_video)
        reading = Reading(used.path, config.sample_stride, is_in_file, is_thorough=self.is_thorough)
        dataset = load_source(source, reading)
        _require_splits(used, dataset)
        if config.fill_missing == "interpolate":
            dataset = dataset._replace(train=fill_split(dataset.train), test=fill_split(dataset.test))
        if predictions is not None:
            dataset = attach_predictions(dataset, predictions, used.splits)
        self._opened.append(dataset)
        # Training validates on the config's clips; to evaluate, only those asked for must be there.
        is_validated = used.is_trained or used.is_selecting
        rules = (config.eval_clips, *self.clip_rules) if is_validated or not self.clip_rules else self.clip_rules
        train_clips, test_clips = _cut(dataset, config, rules if used.is_tested else ())
        held_out_clips = None
        if used.is_selecting and self._held_out_share:
            train_clips, held_out_clips = _hold_out(dataset.train, train_clips, config, self._held_out_share)
        test_split = self._place(dataset.test) if test_clips else None
        tests = {rule: self._load(test_split, clips, config.batch_size) for rule, clips in test_clips.items()}
        test = tests.get(config.eval_clips)
        train_split = self._place(dataset.train) if used.is_trained or held_out_clips is not None else None
        if held_out_clips is not None:
            test = self._load(train_split, held_out_clips, config.batch_size)
        train = None
        if used.is_trained:
            size = source.batch_size or (config.batch_size if source.is_video else config.batch_size_img)
            train = self._load(train_split, train_clips, size, training=True)
        trained = TrainedDataset(
            name=source.name,
            train=train,
            test=test,
            train_epochs=source.train_epochs,
            is_always_validated=source.is_always_validated,
            is_selecting=used.is_selecting,
            scalar_suffix=f"_{source.name}" if source.scalar_suffix is None else source.scalar_suffix,
            tests=tests,
            validated_split="test" if held_out_clips is None else "val",
        )
        return dataset, trained

    def _load(self, split: Split, clips: Clips, batch_size: int, *, training: bool = False) -> ClipLoader:
        config, made = self.config, None
        if split.keypoints_px is None or (training and config.synthesis == "train"):
            if self.assets is None:
                raise UserError(
                    f"{split.dataset} {split.name}: keypoints are made with the body model, which is missing. Expected it first."
                )
            recipe = self._recipe if training else SCORED
            made = Synthesizer(self.assets, recipe, config.fill_missing == "interpolate").to(self.device)
        return ClipLoader(
            split, clips, batch_size=batch_size, device=self.device, with_estimate=self.with_estimate,
            training=training, synthesis=made,
        )  # fmt: skip

    def check_videos(self, names: Iterable[str]) -> None:
        """Raises `UserError` if predictions are of videos that no dataset opened has; `names`: all the config's datasets."""
        if self._predictions is not None and self._opened:
            check_videos(self._predictions, self._opened, names)


def mixed(datasets: list[TrainedDataset], sources: Iterable[Source], epochs: int) -> list[TrainedDataset]:
    """The datasets with those that have a weight trained on as one, in the place of the first of them."""
    weights = {source.name: source.weight for source in sources if source.weight is not None}
    members = [dataset for dataset in datasets if dataset.name in weights and dataset.train is not None]
    if not members:
        return datasets
    loader = MixedLoader([member.train for member in members], [weights[member.name] for member in members])
    # By its weights: a run that goes on with others would have another order.
    name = "mix of " + ", ".join(f"{member.name} {weights[member.name]:g}" for member in members)
    mix = TrainedDataset(name=name, train=loader, test=None, train_epochs=epochs)
    place = datasets.index(members[0])
    others = [dataclasses.replace(each, train=None) if each in members else each for each in datasets]
    return [*others[:place], mix, *others[place:]]


def _require_splits(used: UsedDataset, dataset: Dataset) -> None:
    advice = {"train": "train_epochs: 0", "test": "validate: False"}
    for name in used.splits:
        if getattr(dataset, name).frame_count == 0:
            raise UserError(
                f"{used.path}: has no '{name}' frames. Expected some; add them, or set {advice[name]} for "
                f"'{used.source.name}' under datasets."
            )


def _cut(dataset: Dataset, config: Config, clip_rules: Sequence[ClipRule]) -> tuple[Clips, dict[ClipRule, Clips]]:
    """Training clips, and test clips by rule; a dataset of images has one-frame clips and is not tested."""
    if not dataset.source.is_video:
        return first_clips(image_clips(dataset.train.frame_count), config.limit_clips), {}
    lengths = dataset.train.video_lengths, dataset.test.video_lengths
    cut = partial(cut_clips, *lengths, config.clip_len, config.data_stride)
    # First what can be used, then the limit: a dry run of a file that covers few videos is then not empty.
    train = first_clips(usable_clips(cut()[0], dataset.train), config.limit_clips)
    tests = {rule: usable_clips(cut(eval_clips=rule)[1], dataset.test) for rule in dict.fromkeys(clip_rules)}
    return train, {rule: first_clips(clips, config.limit_clips) for rule, clips in tests.items()}


def _hold_out(split: Split, train_clips: Clips, config: Config, share: float) -> tuple[Clips, Clips]:
    """Training clips without the held-out videos, and the clips of those, cut as test clips are."""
    is_held_out = held_out_videos(split.video_names, share)
    lengths = split.video_lengths[:0], split.video_lengths  # as a test split is cut
    _, clips = cut_clips(*lengths, config.clip_len, config.data_stride, eval_clips=config.eval_clips)
    kept = of_videos(train_clips, split, ~is_held_out)
    held_out = first_clips(of_videos(usable_clips(clips, split), split, is_held_out), config.limit_clips)
    logger.info(
        "%s: %d of %d training videos held out (%s %g): %d clips to validate on, %d to train on",
        split.dataset, is_held_out.sum(), len(is_held_out), "val_split" if config.val_split else "refine_trust: auto,", share, len(held_out.frames), len(kept.frames),
    )  # fmt: skip
    return kept, held_out
