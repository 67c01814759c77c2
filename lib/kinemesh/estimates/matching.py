"""Finds the prediction of each frame of a dataset: to refine it, or to score it.

A frame without a prediction takes the nearest one of its video within half a second, so that a clip with a short gap
can still be seen by a network; such frames are never scored. Source: behaviour contract section 8.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from kinemesh.data.clips import Clips, repeats
from kinemesh.data.sources import Dataset, Source
from kinemesh.data.split import Split
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import FPS_TOLERANCE, TRACK_STEP, Predictions, row_keys

logger = logging.getLogger(__name__)

# What Split.estimate_state says of a frame.
PREDICTED, BORROWED, NONE = 0, 1, 2
LONGEST_BORROW_S = 0.5


def attach_predictions(
    dataset: Dataset, predictions: Predictions, splits: Sequence[str] = ("train", "test")
) -> Dataset:
    """The dataset with its `splits` given the predictions as estimate, in place of one that its file holds.

    A video takes the predictions of the same name, or, named
    '<video>_<person>', those of one person. A dataset of images, which nothing names, keeps its own estimate.

    Raises UserError if none of a split's videos is predicted, a video holds several people, or rows have another
    frame rate or lie beyond their video's end.
    """
    source = dataset.source
    if not source.is_video:
        if any(getattr(dataset, name).estimate_pose is None for name in splits):
            raise UserError(
                f"--predictions cannot be keyed to {source.title}, which has no videos, and its file holds no "
                f"pred_smpl_pose. Expected an estimate in that file; or leave it out: {source.how_to_leave_out}."
            )
        logger.info("%s: images keep the estimate in their file", source.title)
        return dataset
    attached = {name: _attach(getattr(dataset, name), source, predictions) for name in splits}
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


def predicted_rows(split: Split, source: Source, predictions: Predictions, clips: Clips) -> np.ndarray:
    """(N, T) int64 the row of each clip's frame in `predictions`, -1 where there is none; nothing is borrowed.

    A frame that clips count more than once takes, each time, the row of that `repeat`, or the last there is.
    Raises UserError as `attach_predictions` does.
    """
    track, wanted, keys = _keys_of_frames(split, source, predictions)
    first, stop = (np.searchsorted(keys, wanted, side) for side in ("left", "right"))
    number = np.where(track < 0, 0, stop - first)
    repeat = np.zeros(clips.frames.shape, dtype=np.int64)
    repeat[clips.counted] = repeats(clips.frames[clips.counted])
    rows = first[clips.frames] + np.minimum(repeat, number[clips.frames] - 1)
    return np.where(number[clips.frames] > 0, rows, -1)


def _attach(split: Split, source: Source, predictions: Predictions) -> Split:
    track, wanted, keys = _keys_of_frames(split, source, predictions)
    after = np.searchsorted(keys, wanted)
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(keys) - 1)
    to_after, to_before = np.abs(keys[after] - wanted), np.abs(keys[before] - wanted)
    nearest = np.where(to_before <= to_after, before, after)
    distance = np.minimum(to_before, to_after)
    state = np.where(distance == 0, PREDICTED, np.where(distance <= LONGEST_BORROW_S * split.fps, BORROWED, NONE))
    state[track < 0] = NONE
    poses, betas = predictions.poses[nearest], predictions.betas[nearest]
    poses[state == NONE] = 0  # harmless: no clip that is used has such a frame
    betas[state == NONE] = 0
    return dataclasses.replace(
        split,
        estimate_pose=torch.from_numpy(poses),
        estimate_betas=torch.from_numpy(betas),
        estimate_state=state.astype(np.int8),
    )


def _keys_of_frames(
    split: Split, source: Source, predictions: Predictions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Track (-1: none) and key of each frame of the split (F,), and the keys of the predictions to find it among."""
    chosen = _choose_tracks(split, source, predictions)
    of_world = predictions.world_tracks & {*chosen.tolist()}
    if of_world:
        track = predictions.tracks[min(of_world)]
        raise UserError(
            f"{predictions.path}: bodies of video {track.video!r} are in a world's axes, without its camera. Expected the "
            "camera's; turn them, or give them to infer_wild_mesh.py, which finds the camera."
        )
    _check_rows(split, source, predictions, chosen)
    video = split.video_index
    frame = np.arange(split.frame_count) * split.sample_stride - split.video_file_rows[video]
    return chosen[video], chosen[video] * TRACK_STEP + frame, row_keys(predictions)


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


def _check_rows(split: Split, source: Source, predictions: Predictions, chosen: np.ndarray) -> None:
    """Frame rate and frame numbers of the rows that are used."""
    is_predicted = chosen >= 0
    # A name that comes back gives its predictions to each of its runs of frames: the longest counts.
    length = np.zeros(len(predictions.tracks), dtype=np.int64)
    np.maximum.at(length, chosen[is_predicted], split.video_file_lengths[is_predicted])
    is_used = length[predictions.track] > 0
    other_rate = is_used & (np.abs(predictions.fps - split.fps) > FPS_TOLERANCE * split.fps)
    if other_rate.any():
        row = int(other_rate.argmax())
        raise UserError(
            f"{predictions.place(row)}: 'fps' is {predictions.fps[row]:g}, but {source.title} has {source.fps_key} "
            f"{split.fps:g} in the config. Expected predictions of the dataset's own frames; predict those, or set "
            f"{source.fps_key}."
        )
    too_late = is_used & (predictions.frame >= length[predictions.track])
    if too_late.any():
        row = int(too_late.argmax())
        raise UserError(
            f"{predictions.place(row)}: its video has {length[predictions.track[row]]} frames in {source.title} "
            f"{split.name}. Expected frames of that video, counted from 0, at {split.fps:g} a second; is this another "
            "frame rate, or another cut?"
        )
