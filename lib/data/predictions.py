"""Attaches a per-frame estimator's bodies to a dataset, by video and frame: what `--predictions` gives to refine.

A frame without a prediction takes the nearest one of its video within half a second, so that a clip with a short gap
can still be seen; such frames are never scored. Source: behaviour contract section 8.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lib.data.clips import Clips
from lib.data.estimator_files import LAYOUTS, NotRecognisedError, Table, count_images_from_zero, read_estimator_file
from lib.data.sources import Dataset, Source, Split
from lib.errors import UserError

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".pkl", ".pk")
# What Split.estimate_state says of a frame.
PREDICTED, BORROWED, NONE = 0, 1, 2
LONGEST_BORROW_S = 0.5
# 29.97 is written for 30, 59.94 for 60.
FPS_TOLERANCE = 0.005
# Above any frame number, so that track and frame make one number that sorts by both.
_TRACK_STEP = 1 << 40


class Track(NamedTuple):
    """One person in one video."""

    dataset: str  # "": not said
    video: str
    person: str  # "": not said


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """An estimator's bodies; F rows, sorted by track and then frame, no pair of them twice."""

    path: Path
    tracks: list[Track]
    track: np.ndarray  # (F,) int64 into `tracks`
    frame: np.ndarray  # (F,) int64 from 0
    poses: np.ndarray  # (F, 72) float32 axis-angle, camera coordinates
    betas: np.ndarray  # (F, 10) float32
    fps: np.ndarray  # (F,) float64, nan where the file does not say
    files: list[Path]
    file: np.ndarray  # (F,) int64 into `files`
    file_row: np.ndarray  # (F,) int64 the row there, for errors

    def place(self, index: int) -> str:
        """File, row, video, frame and person of a row, for errors."""
        track = self.tracks[self.track[index]]
        person = f", person {track.person!r}" if track.person else ""
        within = f"video {track.video!r}, frame {self.frame[index]}{person}"
        return f"{self.files[self.file[index]]}: row {self.file_row[index]} ({within})"

    def tracks_of(self, dataset: str) -> list[int]:
        """Numbers of the tracks that may belong to a dataset."""
        return [number for number, track in enumerate(self.tracks) if track.dataset in ("", dataset)]


def load_predictions(path: str | Path) -> Predictions:
    """Read a file of any layout of lib.data.estimator_files, or all such files in a folder and the folders in it.

    Raises UserError, one line, for what cannot be read, is not recognised, or holds rows that cannot be right.
    """
    path = Path(path)
    if path.is_dir():
        tables = _read_folder(path)
    elif path.exists():
        tables = [read_estimator_file(path)]
    else:
        raise UserError(f"--predictions {path} not found. Expected a file or a folder of files: {LAYOUTS}.")
    predictions = _merge(path, count_images_from_zero(tables))
    videos = len({track.video for track in predictions.tracks})
    people, rows = len(predictions.tracks), len(predictions.frame)
    logger.info("%s: %d predictions, %d people in %d videos", path, rows, people, videos)
    return predictions


def check_videos(predictions: Predictions, datasets: Iterable[Dataset]) -> None:
    """Raise UserError if predictions are of a video that none of the loaded datasets has, in either split.

    Rows that name a dataset are held against that one alone, and ignored if it is not loaded.
    """
    known = {
        dataset.source.name: {*dataset.train.video_names, *dataset.test.video_names}
        for dataset in datasets
        if dataset.source.is_video
    }
    is_known: dict[tuple[str, str], bool] = defaultdict(bool)
    for track in predictions.tracks:
        names = {track.video, f"{track.video}_{track.person}"}
        held_against = [track.dataset] if track.dataset else list(known)
        is_known[track.dataset, track.video] |= any(name not in known or names & known[name] for name in held_against)
    for number, track in enumerate(predictions.tracks):
        if not is_known[track.dataset, track.video]:
            some = next((name for names in known.values() for name in sorted(names)), "")
            raise UserError(
                f"{predictions.place(int(np.searchsorted(predictions.track, number)))}: no dataset of the config has "
                f"this video. Expected names as in the dataset files, such as {some!r}; rename or leave out its rows."
            )


def attach_predictions(
    dataset: Dataset, predictions: Predictions, fps: float, splits: Sequence[str] = ("train", "test")
) -> Dataset:
    """The dataset with its `splits` given the predictions as estimate, in place of one that its file holds.

    `fps` is the frame rate of the dataset's file. A video takes the predictions of the same name, or, named
    '<video>_<person>', those of one person. A dataset of images, which nothing names, keeps its own estimate.

    Raises UserError if none of a split's videos is predicted, a video holds several people, or rows have another
    frame rate or lie beyond their video's end.
    """
    source = dataset.source
    if not source.is_video:
        if any(getattr(dataset, name).estimate_pose is None for name in splits):
            raise UserError(
                f"--predictions cannot be keyed to {source.title}, which has no videos, and its file holds no "
                f"pred_smpl_pose. Expected an estimate in that file; or leave it out: --set {source.file_key}=null."
            )
        logger.info("%s: images keep the estimate in their file", source.title)
        return dataset
    attached = {name: _attach(getattr(dataset, name), source, predictions, fps) for name in splits}
    return dataset._replace(**attached)


def usable_clips(clips: Clips, split: Split) -> Clips:
    """The clips whose every frame has a body to refine, with borrowed ones not counted.

    Raises UserError if none is left.
    """
    if split.estimate_state is None:
        return clips
    state = split.estimate_state[clips.frames]
    counted = clips.counted & (state == PREDICTED)
    is_usable = (state != NONE).all(1) & counted.any(1)
    predicted, borrowed, missing = np.bincount(split.estimate_state, minlength=3).tolist()
    left_out = len(is_usable) - int(is_usable.sum())
    where = f"{split.dataset} {split.name}"
    logger.info(
        "%s: %d frames predicted, %d take the nearest prediction within %g s and are not scored, %d have none; "
        "%d of %d clips left out",
        where, predicted, borrowed, LONGEST_BORROW_S, missing, left_out, len(is_usable),
    )  # fmt: skip
    if left_out and left_out == len(is_usable):
        raise UserError(
            f"{where}: each of the {left_out} clips has a frame more than {LONGEST_BORROW_S:g} s from any prediction. "
            "Expected predictions of all frames; predict every frame, or lower clip_len."
        )
    return Clips(clips.frames[is_usable], counted[is_usable])


def _read_folder(folder: Path) -> list[Table]:
    tables = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
        try:
            tables.append(read_estimator_file(path))
        except NotRecognisedError as error:
            logger.warning("skipped: %s", error)
    if not tables:
        raise UserError(f"--predictions {folder}: no file in this folder is recognised. Expected {LAYOUTS}.")
    return tables


def _merge(path: Path, tables: list[Table]) -> Predictions:
    sizes = [len(table.frame) for table in tables]
    dataset, video, person, frame, poses, betas, fps = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("dataset", "video", "person", "frame", "poses", "betas", "fps")
    )
    # Text is compared row with row before, and named once a run: much faster than sorting it.
    is_new = (video[1:] != video[:-1]) | (person[1:] != person[:-1]) | (dataset[1:] != dataset[:-1])
    bounds = np.concatenate([[0], np.flatnonzero(is_new) + 1, [len(video)]])
    numbers: dict[tuple[str, str, str], int] = {}
    heads = zip(*(column[bounds[:-1]].tolist() for column in (dataset, video, person)), strict=True)
    track = np.repeat([numbers.setdefault(head, len(numbers)) for head in heads], np.diff(bounds))
    order = np.lexsort((frame, track))
    predictions = Predictions(
        path=path,
        tracks=[Track(*head) for head in numbers],
        track=track[order],
        frame=frame[order],
        poses=poses[order],
        betas=betas[order],
        fps=fps[order],
        files=[table.path for table in tables],
        file=np.repeat(np.arange(len(tables)), sizes)[order],
        file_row=np.concatenate([np.arange(size) for size in sizes])[order],
    )
    is_repeated = np.diff(_keys(predictions)) == 0
    if is_repeated.any():
        row = int(is_repeated.argmax()) + 1
        earlier = f"row {predictions.file_row[row - 1]} of {predictions.files[predictions.file[row - 1]]}"
        raise UserError(
            f"{predictions.place(row)} repeats {earlier}. Expected one row a video, frame and person; "
            "remove one, or tell people apart by 'person'."
        )
    return predictions


def _keys(predictions: Predictions) -> np.ndarray:
    """(F,) int64, rising, one for each pair of track and frame."""
    return predictions.track * _TRACK_STEP + predictions.frame


def _attach(split: Split, source: Source, predictions: Predictions, fps: float) -> Split:
    chosen = _choose_tracks(split, source, predictions)
    _check_rows(split, source, predictions, chosen, fps)
    video = split.video_index
    frame = np.arange(split.frame_count) * split.sample_stride - split.video_file_rows[video]
    wanted = chosen[video] * _TRACK_STEP + frame
    keys = _keys(predictions)
    after = np.searchsorted(keys, wanted)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(keys) - 1)
    to_after, to_before = np.abs(keys[after] - wanted), np.abs(keys[before] - wanted)
    nearest = np.where(to_before <= to_after, before, after)
    distance = np.minimum(to_before, to_after)
    state = np.where(distance == 0, PREDICTED, np.where(distance <= LONGEST_BORROW_S * fps, BORROWED, NONE))
    state[chosen[video] < 0] = NONE
    poses, betas = predictions.poses[nearest], predictions.betas[nearest]
    poses[state == NONE] = 0  # harmless: no clip that is used has such a frame
    betas[state == NONE] = 0
    return dataclasses.replace(
        split,
        estimate_pose=torch.from_numpy(poses),
        estimate_betas=torch.from_numpy(betas),
        estimate_state=state.astype(np.int8),
    )


def _choose_tracks(split: Split, source: Source, predictions: Predictions) -> np.ndarray:
    """(videos,) int64 the track of each video of the split, -1 for none."""
    by_video, by_person = defaultdict(list), defaultdict(list)
    for number in predictions.tracks_of(source.name):
        track = predictions.tracks[number]
        by_video[track.video].append(number)
        by_person[f"{track.video}_{track.person}"].append(number)
    chosen = np.full(len(split.video_names), -1, dtype=np.int64)
    for index, name in enumerate(split.video_names):
        candidates = by_video.get(name) or by_person.get(name) or []
        if len(candidates) > 1:
            people = ", ".join(repr(predictions.tracks[number].person) for number in candidates[:6])
            raise UserError(
                f"{predictions.path}: video {name!r} of {source.title} {split.name} has predictions of "
                f"{len(candidates)} people ({people}). Expected one; keep the rows of the right person, or set "
                f"'video' to '<video>_<person>' in both files."
            )
        if candidates:
            chosen[index] = candidates[0]
    if (chosen < 0).all():
        videos = list(by_video)
        theirs = f"{len(videos)} others, such as {videos[0]!r}" if videos else "none of this dataset"
        raise UserError(
            f"{predictions.path}: none of the {len(chosen)} videos of {source.title} {split.name}, such as "
            f"{split.video_names[0]!r}, is in it; it has {theirs}. Expected names as in the dataset file; rename one "
            "or the other."
        )
    return chosen


def _check_rows(split: Split, source: Source, predictions: Predictions, chosen: np.ndarray, fps: float) -> None:
    """Frame rate and frame numbers of the rows that are used."""
    is_predicted = chosen >= 0
    # A name that comes back gives its predictions to each of its runs of frames: the longest counts.
    length = np.zeros(len(predictions.tracks), dtype=np.int64)
    np.maximum.at(length, chosen[is_predicted], split.video_file_lengths[is_predicted])
    is_used = length[predictions.track] > 0
    other_rate = is_used & (np.abs(predictions.fps - fps) > FPS_TOLERANCE * fps)
    if other_rate.any():
        row = int(other_rate.argmax())
        raise UserError(
            f"{predictions.place(row)}: 'fps' is {predictions.fps[row]:g}, but {source.title} has {source.fps_key} "
            f"{fps:g} in the config. Expected predictions of the dataset's own frames; predict those, or set "
            f"{source.fps_key}."
        )
    too_late = is_used & (predictions.frame >= length[predictions.track])
    if too_late.any():
        row = int(too_late.argmax())
        raise UserError(
            f"{predictions.place(row)}: its video has {length[predictions.track[row]]} frames in {source.title} "
            f"{split.name}. Expected frames of that video, counted from 0, at {fps:g} a second; is this another "
            "frame rate, or another cut?"
        )
