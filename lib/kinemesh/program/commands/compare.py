"""Scores files of predicted bodies, one or several side by side, without any network."""

import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.config import Config
from kinemesh.data.clips import Clips, cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import Dataset, load_source, sources_of
from kinemesh.data.split import Reading, place_split
from kinemesh.errors import UserError
from kinemesh.estimates.matching import predicted_rows
from kinemesh.estimates.predictions import Predictions, check_videos
from kinemesh.evaluation.evaluate import Evaluation, collect
from kinemesh.evaluation.fitting import FittedSides, Fitting
from kinemesh.evaluation.intervals import Interval
from kinemesh.evaluation.paths.facts import Body, PathScorer
from kinemesh.evaluation.scoring import Prediction, Scoring
from kinemesh.evaluation.tables import TITLES, aligned, differences, intervals, world_line
from kinemesh.machine.progress import progress
from kinemesh.protocols import Protocol, by_clip_rule
from kinemesh.structures import BodyParams

logger = logging.getLogger(__name__)

# What a verdict is about, the headline first; accelerations in the unit of the protocol.
COMPARED = ("mpjpe", "pa_mpjpe", "mpve")
# What is added to a file's name where its bodies were fitted.
FITTED_TOO = ", fitted"
_UNITS = {"accel_error": "mm per frame squared", "accel_error_m_s2": "m/s^2"}


def load_compared(config: Config, files: dict[str, Predictions]) -> list[Dataset]:
    """The datasets of the config that every file predicts a video of.

    Raises UserError if there is none, or a file predicts a video that no dataset has.
    """
    sources = sources_of(config)
    named = [source for source in sources if source.is_video and source.is_validated]
    root, stride = Path(config.data_root), config.sample_stride
    datasets = [load_source(source, Reading(root / source.file, stride)) for source in named]
    for predictions in files.values():
        check_videos(predictions, datasets, [source.name for source in sources])
    predicted = [dataset for dataset in datasets if all(_has_video(dataset, other) for other in files.values())]
    for dataset in datasets:
        if dataset not in predicted:
            logger.info("%s: not scored, since not every file predicts one of its test videos", dataset.source.title)
    if not predicted:
        raise UserError(
            "no dataset has a test video that every file predicts. Expected files of the test videos of "
            f"{' or '.join(source.title for source in named) or 'dt_file_h36m or dt_file_pw3d'}; name the dataset in "
            "the config, or leave a file out."
        )
    return predicted


def _has_video(dataset: Dataset, predictions: Predictions) -> bool:
    names = set(dataset.test.video_names)
    tracks = (predictions.tracks[number] for number in predictions.tracks_of(dataset.source.name))
    return any(track.video in names or f"{track.video}_{track.person}" in names for track in tracks)


def score_files(
    dataset: Dataset,
    files: dict[str, Predictions],
    body: PosedBody,
    config: Config,
    protocols: Sequence[Protocol],
    fitting: Fitting | None = None,
    paths: PathScorer | None = None,
) -> dict[str, Evaluation]:
    """Every file as one side, by protocol; all are scored on the frames that each of them predicts.

    With `fitting` each file is one more side, fitted to the keypoints of all frames that it predicts. A file with both
    halves of the flip test is averaged as the protocol says, unless the config has `flip: False`. With `paths` files that say
    where bodies are before the camera are scored by that, too, where the dataset does.
    """
    results: dict[str, Evaluation] = {}
    for rule, chosen in by_clip_rule(protocols, config.eval_clips).items():
        results |= _score_clips(dataset, files, body, config, chosen, rule, (fitting, paths))
    return {protocol.name: results[protocol.name] for protocol in protocols}


def _score_clips(dataset, files, body, config, protocols, rule, beside) -> dict[str, Evaluation]:
    fitting, paths = beside
    split, source, device = dataset.test, dataset.source, next(body.buffers()).device
    lengths = dataset.train.video_lengths, split.video_lengths
    limits = {"eval_clips": rule, "limit_clips": config.limit_clips}
    clips = cut_clips(*lengths, config.clip_len, config.data_stride, **limits)[1]
    rows = {label: predicted_rows(split, source, predictions, clips) for label, predictions in files.items()}
    counted = clips.counted & np.all([found >= 0 for found in rows.values()], axis=0)
    for label, found in rows.items():
        left_out = int((clips.counted & (found >= 0)).sum() - counted.sum())
        if left_out:
            logger.warning(
                "%s %s clips: %d frames of %s are not scored, since another file lacks them",
                source.title, rule, left_out, label,
            )  # fmt: skip
    placed = place_split(split, device, config.data_device)
    loader = ClipLoader(placed, Clips(clips.frames, counted), batch_size=config.batch_size, device=device)
    halves = {label: _halves(predictions, config.flip) for label, predictions in files.items()}
    scoring = Scoring(protocols, list(files), split.video_lengths, body, device=device, detailed=True)
    fitted = None
    if fitting is not None:
        names = {label: label + FITTED_TOO for label in files}
        fitted = FittedSides(fitting, names, protocols, loader, body, detailed=True)
    batches = zip(loader.bounds, loader.batches(), strict=True)
    with torch.inference_mode():
        for (start, stop), batch in progress(batches, len(loader), f"{source.name} {rule} clips", every=100):
            # Where a frame is not predicted, any row will do: it is not counted.
            places = {label: np.maximum(found[start:stop], 0) for label, found in rows.items()}
            predictions = {
                label: Prediction(*(_bodies(half, places[label], device) for half in halves[label])) for label in files
            }
            scoring.add(batch, predictions)
            if fitted is not None:
                is_known = {label: torch.from_numpy(found[start:stop] >= 0).to(device) for label, found in rows.items()}
                fitted.add(batch, predictions, is_known)
        if fitted is not None:
            fitted.finish()
    results = collect(scoring, loader, config.eval_clips, any(len(pair) > 1 for pair in halves.values()), fitted)
    scored, first = np.unique(clips.frames[counted], return_index=True)
    for label, predictions in files.items() if paths is not None else ():
        if predictions.trans_m is not None:
            own = rows[label][counted][first]
            placed = Body(predictions.poses[own], predictions.betas[own], predictions.trans_m[own])
            figures = paths.score_file(placed, split, scored, split.fps / split.sample_stride)
            for evaluation in results.values():
                evaluation.sides[label].metrics |= figures
    return results


def _halves(predictions: Predictions, flip: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Poses and betas, and where they are to be averaged those of mirrored input."""
    own = predictions.poses, predictions.betas
    return [own, predictions.mirrored] if flip and predictions.mirrored is not None else [own]


def _bodies(half: tuple[np.ndarray, np.ndarray], places: np.ndarray, device: torch.device) -> BodyParams:
    poses, betas = (torch.from_numpy(part[places]).to(device) for part in half)
    return params_from_axis_angle(poses, betas)


def comparison_table(dataset: str, evaluation: Evaluation) -> str:
    """One line a file: means with their 95 % intervals."""
    shown = (*COMPARED, evaluation.protocol.acceleration)
    rows = [(f"{dataset}, {evaluation.protocol.name}", "frames", *(TITLES[metric] for metric in shown), "coverage")]
    for label, side in evaluation.sides.items():
        found = intervals(side, shown)
        cells = ["{:.2f} [{:.2f}, {:.2f}]".format(*found[metric]) if metric in found else "-" for metric in shown]
        rows.append((label, str(side.metrics["frames"]), *cells, f"{evaluation.coverage:.1%}"))
    placed = [(label, side.metrics) for label, side in evaluation.sides.items() if "wa_mpjpe_100" in side.metrics]
    return "\n".join((*aligned(rows), *(world_line(*one) for one in placed)))


def file_differences(evaluation: Evaluation) -> dict[tuple[str, str], dict[str, Interval]]:
    """For each pair of files, second minus first: mean, low and high of each metric, paired by video.

    Fitted bodies are compared with each other, and with the same file's unfitted ones.
    """
    sides = evaluation.sides
    return {
        (one, other): differences(sides[other], sides[one])
        for one, other in combinations(sides, 2)
        if one.endswith(FITTED_TOO) == other.endswith(FITTED_TOO) or one + FITTED_TOO == other
    }


def verdict(pair: tuple[str, str], found: dict[str, Interval], protocol: Protocol, video_count: int) -> str:
    """What a difference comes to, in a sentence: lower is better, and an interval around 0 tells nothing."""
    first, second = pair
    if video_count < 2:
        return f"{second} against {first}: one video, so that no interval and no difference can be told"
    metrics = [metric for metric in (*COMPARED, protocol.acceleration) if metric in found]
    groups = {
        f"{second} is better than {first}": [metric for metric in metrics if found[metric][2] < 0],
        f"{second} is worse than {first}": [metric for metric in metrics if found[metric][1] > 0],
        f"no difference between {second} and {first} can be told": [
            metric for metric in metrics if found[metric][1] <= 0 <= found[metric][2]
        ],
    }
    return "; ".join(
        f"{words}: {', '.join(_difference_words(metric, found[metric]) for metric in chosen)}"
        for words, chosen in groups.items()
        if chosen
    )


def _difference_words(metric: str, interval: Interval) -> str:
    mean, low, high = interval
    title = TITLES[metric].split(" m/s")[0]
    unit = _UNITS.get(metric, "mm")
    if high < 0:
        return f"{title} {-mean:.1f} {unit} lower [{-high:.1f}, {-low:.1f}]"
    if low > 0:
        return f"{title} {mean:.1f} {unit} higher [{low:.1f}, {high:.1f}]"
    return f"{title} {mean:+.1f} {unit} [{low:+.1f}, {high:+.1f}]"
