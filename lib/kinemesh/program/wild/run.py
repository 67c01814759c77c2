"""The whole of `infer_wild_mesh.py`, top to bottom: files in, tracks, files out."""

import argparse
import functools
import logging
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.video import CAMERA, FPS, make_video
from kinemesh.detect.detector import open_detector
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import at_rate, load_predictions
from kinemesh.export.scene import Footage
from kinemesh.export.write import OutputChoices, output_names, summary_of_outputs, write_outputs
from kinemesh.files.arrays import read_npy
from kinemesh.infer import Inference, MeshPredictor, Settings
from kinemesh.infer.doubts import DOUBTED, DOUBTED_IF_FITTED, Measure, warn_of_misfit
from kinemesh.infer.people import keypoints_of
from kinemesh.keypoints import Detections, Reading, read_keypoints
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.machine.log import set_up_console, silenced
from kinemesh.program.wild.folder import (
    claim_folder,
    inputs_of,
    remove_other_results,
    require_other_results,
    run_all,
    runs_of_folder,
    write_summary,
)
from kinemesh.program.wild.predictor import Choice, default_checkpoint, load_predictor
from kinemesh.program.wild.video import (
    KEYPOINTS_FILE,
    Source,
    camera_path_of,
    check_frames,
    chosen_part,
    detect_keypoints,
    focal_px_of,
    open_source,
)
from kinemesh.structures import Timeline
from kinemesh.world.finding import describe_world

logger = logging.getLogger(__name__)

# Formats that separate pictures have, too.
_TIMELESS = ("npz", "npy")
_DRAWN = ("mp4", "sheet")
# More keypoints than this outside the picture: its size must be another's.
_MOST_OUTSIDE = 0.2


def run(arguments: argparse.Namespace) -> None:
    """Find the people, predict and place their bodies, write the files. Raises `UserError` for what the user must fix."""
    set_up_console()
    runs = runs_of_folder(arguments)
    if arguments.is_default_wanted:
        arguments.evaluate = default_checkpoint()
    load = functools.cache(lambda: load_predictor(Choice.of(arguments)))
    if runs is None:
        _run_one(arguments, load)
    else:
        run_all(arguments, runs, lambda run: _run_one(run, load))


def _run_one(arguments: argparse.Namespace, load: Callable[[], MeshPredictor]) -> dict:
    """One video's people: what its summary.json holds. The predictor is loaded when the inputs have been read."""
    began = time.perf_counter()
    folder = claim_folder(arguments)
    source = Source(None, CAMERA.image_size, FPS, np.zeros(0)) if arguments.demo else _open_source(arguments)
    settings = Settings(
        is_pixel=arguments.pixel or arguments.demo,
        is_flip_tested=arguments.tta == "flip",
        clip_len=arguments.clip_len,
        smooth_s=arguments.smooth,
        longest_gap=arguments.max_gap,
        windows=arguments.windows,
        focal_px=focal_px_of(arguments, source),
        is_relinked=arguments.relink,
        up=arguments.up,
        fit=arguments.fit,
    )
    detector, detected_s = None, 0.0
    if arguments.demo:
        detections = detections_of_array(make_video().keypoints_px)
    elif arguments.json_path:
        detections = read_keypoints(arguments.json_path, _reading(arguments, source))
        check_frames(detections, source)
        _check_places(detections, source.image_size)
    else:
        asked = time.perf_counter()
        detector = open_detector(arguments.detector, arguments.device)
        detect_keypoints(detector, source, folder / KEYPOINTS_FILE, arguments.start, arguments.end)
        detected_s = time.perf_counter() - asked
        detections = read_keypoints(folder / KEYPOINTS_FILE, _reading(arguments, source))
    detections, first, stop = chosen_part(detections, source, arguments.start, arguments.end)
    predictor = load()
    if predictor.config is not None and not arguments.demo:
        _log_choices(predictor, settings)
    predictions = None
    if arguments.predictions:
        predictions = load_predictions(arguments.predictions, lambda: predictor.assets)
        predictions = at_rate(predictions, source.fps, arguments.predictions_fps)
    reference = _load_reference(Path(arguments.ref_3d_motion_path)) if arguments.ref_3d_motion_path else None
    read_s = time.perf_counter() - began - detected_s
    given = {
        "predictions": predictions,
        "video_names": tuple(Path(path).stem for path in (arguments.vid_path, arguments.json_path) if path),
        "reference": reference,
        "path": camera_path_of(arguments, source, detections),
    }
    inference = predictor.infer(
        detections, image_size=source.image_size, fps=source.fps, settings=settings, focus=arguments.focus, **given
    )
    measure = _measure(predictor, source, settings, given | {"reference": None})
    limit = DOUBTED_IF_FITTED if settings.fit == "keypoints" and reference is None else DOUBTED
    warn_of_misfit(inference.people, detections, source.image_size, measure, limit)
    timeline = _timeline(detections, source, inference, first, stop)
    formats = _formats(arguments, detections)
    footage = Footage(inference.camera, timeline, source.path, inference.world)
    if set(formats) & set(_DRAWN):
        shown = {track.name: keypoints_of(track, inference.detected) for track in inference.tracks}
        footage = footage._replace(keypoints_px=shown, is_sound_kept=arguments.fps is None)
    choices = OutputChoices(formats, arguments.axes, arguments.bvh_names, arguments.side_view)
    # Should this be stopped from here on, the folder tells whose files it holds.
    names = [*output_names(inference.tracks, formats), *([KEYPOINTS_FILE] if detector else [])]
    require_other_results(arguments, names)
    owner = {"inputs": inputs_of(arguments), "files": names}
    remove_other_results(arguments, kept=names)
    write_summary(folder, owner | {"unfinished": True})
    written_s = write_outputs(inference.tracks, folder, footage, choices, predictor.assets, predictor.device)
    seconds = {
        "read": read_s,
        "detect": detected_s,
        **inference.seconds,
        **{f"write_{name}": taken for name, taken in written_s.items()},
    }
    seconds["total"] = time.perf_counter() - began
    summary = (
        owner | {"detector": detector and detector.facts} | _summary(arguments, settings, inference, source, timeline)
    )
    summary["written"] = summary_of_outputs(footage, choices)
    if predictions is not None:
        summary["predictions_notes"] = list(predictions.notes)
    summary["seconds"] = {stage: round(taken, 3) for stage, taken in seconds.items()}
    write_summary(folder, summary | {"command": shlex.join(["python", "infer_wild_mesh.py", *sys.argv[1:]])})
    _report(inference, folder, seconds["total"])
    return summary


def _open_source(arguments: argparse.Namespace) -> Source:
    return open_source(
        arguments.vid_path,
        image_size=arguments.image_size,
        fps=arguments.fps,
        keypoint_fps=arguments.keypoint_fps,
    )


def _reading(arguments: argparse.Namespace, source: Source) -> Reading:
    return Reading(
        joint_order=arguments.keypoint_format,
        first_frame=arguments.first_frame,
        least_score=arguments.least_score,
        image_size=source.image_size,
        frame_count=len(source.time_s) or None,
        axes=arguments.keypoint_axes,
    )


def _measure(predictor: MeshPredictor, source: Source, settings: Settings, given: dict) -> Measure:
    """Everybody's mean error in parts of their size, were the keypoints read otherwise."""

    def measure(detections: Detections, image_size: tuple[int, int], is_relinked: bool) -> float:
        tried = replace(settings, is_relinked=is_relinked or settings.is_relinked)
        with silenced():
            people = predictor.infer(detections, image_size=image_size, fps=source.fps, settings=tried, **given).people
        errors, frames = zip(
            *((facts["reprojection_error_of_size"], facts["frames"]) for facts in people.values()), strict=True
        )
        return float(np.average(errors, weights=frames))

    return measure


def _timeline(
    detections: Detections, source: Source, inference: Inference, first: int, stop: int | None
) -> Timeline | None:
    """The frames that outputs cover; none of separate pictures, whose numbers are no places in time."""
    if detections.are_images:
        return None
    end = max(len(source.time_s), *(int(track.frame_ids[-1]) + 1 for track in inference.tracks))
    return source.timeline(first, end if stop is None else min(stop, end))


def _formats(arguments: argparse.Namespace, detections: Detections) -> list[str]:
    """What is written; of separate pictures nothing that plays in time."""
    formats = [name for name in arguments.formats if name not in _DRAWN or not arguments.no_render]
    in_time = [name for name in formats if name not in _TIMELESS]
    if detections.are_images and in_time:
        logger.info("separate pictures have no time: %s left out", ", ".join(in_time))
        formats = [name for name in formats if name in _TIMELESS]
    return formats


def _check_places(detections: Detections, image_size: tuple[int, int]) -> None:
    """Whether the keypoints can be of pictures of this size."""
    points = detections.keypoints_px[detections.keypoints_px[..., 2] > 0][:, :2]
    is_outside = ((points < 0) | (points > image_size)).any(axis=-1)
    if len(points) and is_outside.mean() > _MOST_OUTSIDE:
        logger.warning(
            "%.0f %% of the keypoints lie outside the picture of %dx%d: is this its size?",
            100 * is_outside.mean(), *image_size,
        )  # fmt: skip


def _load_reference(path: Path) -> np.ndarray:
    """(F, 17, 3) of an npy file of numbers."""
    if not path.is_file():
        raise UserError(f"--ref_3d_motion_path {path} not found. Expected an npy file of shape (F, 17, 3).")
    reference = read_npy(path, what="an npy file of shape (F, 17, 3)")
    if reference.dtype.kind not in "fiu" or reference.shape[1:] != (17, 3) or len(reference) == 0:
        found = f"{reference.dtype} {reference.shape}"
        raise UserError(f"{path}: holds {found}. Expected numbers of shape (F, 17, 3): one person's 3D motion.")
    if not np.isfinite(reference).all():
        raise UserError(f"{path}: holds nan or infinity. Expected finite numbers of shape (F, 17, 3).")
    return reference.astype(np.float64)


def _log_choices(predictor: MeshPredictor, settings: Settings) -> None:
    if not settings.is_pixel and not predictor.config.finetune and not predictor.config.crop_input:
        logger.info("this model saw keypoints by the picture's width only: --pixel may suit it better")


def _summary(
    arguments: argparse.Namespace,
    settings: Settings,
    inference: Inference,
    source: Source,
    timeline: Timeline | None,
) -> dict:
    if timeline is None:
        pictures = np.concatenate([track.frame_ids for track in inference.tracks])
        covered = {"frames": len(np.unique(pictures))}
    else:
        covered = {"is_rate_constant": timeline.is_constant, "first_frame": timeline.first_frame}
        covered["frames"] = len(timeline.time_s)
    return {
        "checkpoint": CHECKPOINT_PATH.name if arguments.demo else arguments.evaluate,
        "predictions": arguments.predictions,
        "settings": asdict(settings) | {"clip_len": inference.clip_len},
        "video": str(source.path) if source.path else None,
        "image_size": list(source.image_size),
        "focal_px": inference.camera.focal_px,
        "fps": source.fps,
        **covered,
        "people": inference.people,
        "world": None if inference.world is None else describe_world(inference.world),
    }


def _report(inference: Inference, folder: Path, total_s: float) -> None:
    if inference.clip_len is not None:
        logger.info("windows of %d frames", inference.clip_len)
    for name, facts in inference.people.items():
        gaps = f"{facts['gaps_interpolated']} gaps filled, {facts['gaps_left_open']} left open"
        logger.info(
            "person %s: %d frames (%s), confidence %.2f, reprojection error %.1f px",
            name, facts["frames"], gaps, facts["mean_confidence"], facts["reprojection_error_px"],
        )  # fmt: skip
        if "fit" in facts:
            fit = facts["fit"]
            logger.info(
                "person %s: fitted to keypoints, reprojection error %.1f px before; the body kept as it was in %d frames",
                name, fit["reprojection_error_before_px"], fit["frames_kept"],
            )  # fmt: skip
    frames = sum(facts["frames"] for facts in inference.people.values())
    network_s = sum(inference.seconds.values())
    logger.info(
        "%d bodies, %.0f a second without reading and writing; everything in %.1f s; written to %s",
        frames, frames / network_s, total_s, folder,
    )  # fmt: skip
