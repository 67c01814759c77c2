"""The whole of `infer_wild_mesh.py`, top to bottom: files in, tracks, files out."""

import argparse
import logging
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.config import load_config
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import CAMERA, FPS, make_video
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import load_predictions
from kinemesh.export.write import write_outputs
from kinemesh.files.npz import read_npy
from kinemesh.files.writing import json_text, write_text_atomically
from kinemesh.infer import Inference, MeshPredictor, Settings
from kinemesh.infer.keypoint_files import Detections, detections_of_array, read_keypoints
from kinemesh.machine.device import keep_freed_memory
from kinemesh.machine.log import set_up_console
from kinemesh.render.video import video_info

logger = logging.getLogger(__name__)

_DEFAULT_FPS = 30.0
# More keypoints than this outside the picture: its size must be another's.
_MOST_OUTSIDE = 0.2
# Programs that count a video's frames differ by a few.
_FRAMES_TOO_MANY_S = 1.0


class _Video(NamedTuple):
    """What keypoints are of."""

    path: Path | None
    image_size: tuple[int, int]
    fps: float
    frame_count: int | None  # None: not said


def run(arguments: argparse.Namespace) -> None:
    """Find the people, predict and place their bodies, write the files. Raises `UserError` for what the user must fix."""
    set_up_console()
    began = time.perf_counter()
    folder = _prepare_folder(Path(arguments.out_path))
    settings = Settings(
        is_pixel=arguments.pixel or arguments.demo,
        is_flip_tested=arguments.tta == "flip",
        clip_len=arguments.clip_len,
        smooth_s=arguments.smooth,
        longest_gap=arguments.max_gap,
        windows=arguments.windows,
        focal_px=CAMERA.focal_px if arguments.demo and arguments.focal is None else arguments.focal,
    )
    if arguments.demo:
        video, detections = _Video(None, CAMERA.image_size, FPS, None), detections_of_array(make_video().keypoints_px)
        predictor = MeshPredictor.load(CHECKPOINT_PATH, device=arguments.device, assets=StandIn().assets)
        logger.info("the body is a stand-in, not SMPL, and the video is made up")
    else:
        video, detections = _video(arguments), read_keypoints(arguments.json_path, arguments.keypoint_format)
        config = load_config(arguments.config, arguments.overrides)
        predictor = MeshPredictor.load(arguments.evaluate, config, arguments.device)
        _log_choices(predictor, settings)
    keep_freed_memory(predictor.device)
    _check_frames(detections, video)
    predictions = load_predictions(arguments.predictions) if arguments.predictions else None
    reference = _load_reference(Path(arguments.ref_3d_motion_path)) if arguments.ref_3d_motion_path else None
    read_s = time.perf_counter() - began
    inference = predictor.infer(
        detections,
        image_size=video.image_size,
        fps=video.fps,
        settings=settings,
        focus=arguments.focus,
        predictions=predictions,
        video_names=tuple(Path(path).stem for path in (arguments.vid_path, arguments.json_path) if path),
        reference=reference,
    )
    last_frame = max(int(track.frame_ids[-1]) for track in inference.tracks)
    frame_count = max(video.frame_count or 0, last_frame + 1)
    written_s = _write(arguments, inference, predictor, folder, video, frame_count)
    seconds = {"read": read_s, **inference.seconds, **{f"write_{name}": taken for name, taken in written_s.items()}}
    seconds["total"] = time.perf_counter() - began
    summary = _summary(arguments, settings, inference, video, frame_count, seconds)
    write_text_atomically(folder / "summary.json", json_text(summary, indent=2) + "\n")
    _report(inference, folder, seconds["total"])


def _prepare_folder(folder: Path) -> Path:
    """Made at once: a wrong name should not cost the whole run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out_path {folder}: cannot be made ({error.strerror}). Give another folder.") from None
    return folder


def _video(arguments: argparse.Namespace) -> _Video:
    """The video's own size and rate, unless a flag says another rate; without a video those of the flags."""
    if not arguments.vid_path:
        if arguments.fps is None:
            logger.info("no --vid_path and no --fps: %g frames a second are taken", _DEFAULT_FPS)
        return _Video(None, arguments.image_size, arguments.fps or _DEFAULT_FPS, None)
    path = Path(arguments.vid_path)
    if not path.is_file():
        raise UserError(f"--vid_path {path} not found. Expected a video file, or --image_size WIDTHxHEIGHT instead.")
    width, height, fps, frame_count = video_info(path)
    if arguments.image_size and arguments.image_size != (width, height):
        given = "x".join(map(str, arguments.image_size))
        raise UserError(f"--image_size {given}: {path} is {width}x{height}. Leave out --image_size.")
    return _Video(path, (width, height), arguments.fps or fps, frame_count)


def _check_frames(detections: Detections, video: _Video) -> None:
    """Whether the keypoints can be of this video."""
    last = int(detections.frame.max())
    if video.frame_count and last >= video.frame_count + _FRAMES_TOO_MANY_S * video.fps:
        raise UserError(
            f"{video.path}: has {video.frame_count} frames, but there are keypoints of frame {last}. "
            "Expected keypoints of this video; is this another cut, or another frame rate?"
        )
    points = detections.keypoints_px[detections.keypoints_px[..., 2] > 0][:, :2]
    is_outside = ((points < 0) | (points > video.image_size)).any(axis=-1)
    if len(points) and is_outside.mean() > _MOST_OUTSIDE:
        logger.warning(
            "%.0f %% of the keypoints lie outside the picture of %dx%d: is this its size?",
            100 * is_outside.mean(), *video.image_size,
        )  # fmt: skip


def _load_reference(path: Path) -> np.ndarray:
    """(F, 17, 3) of an npy file of numbers."""
    if not path.is_file():
        raise UserError(f"--ref_3d_motion_path {path} not found. Expected an npy file of shape (F, 17, 3).")
    reference = read_npy(path, what="an npy file of shape (F, 17, 3)")
    if reference.dtype.kind not in "fiu" or reference.shape[1:] != (17, 3):
        found = f"{reference.dtype} {reference.shape}"
        raise UserError(f"{path}: holds {found}. Expected numbers of shape (F, 17, 3): one person's 3D motion.")
    if not np.isfinite(reference).all():
        raise UserError(f"{path}: holds nan or infinity. Expected finite numbers of shape (F, 17, 3).")
    return reference.astype(np.float64)


def _log_choices(predictor: MeshPredictor, settings: Settings) -> None:
    if not settings.is_pixel and not predictor.config.finetune and not predictor.config.crop_input:
        logger.info("this model saw keypoints by the picture's width only: --pixel may suit it better")


def _write(
    arguments: argparse.Namespace,
    inference: Inference,
    predictor: MeshPredictor,
    folder: Path,
    video: _Video,
    frame_count: int,
) -> dict[str, float]:
    """Seconds spent on each format."""
    return write_outputs(
        inference.tracks,
        inference.camera,
        predictor.assets,
        folder,
        formats=[name for name in arguments.formats if name != "mp4" or not arguments.no_render],
        fps=video.fps,
        frame_count=frame_count,
        video_path=video.path,
        is_side_view=arguments.side_view,
        device=predictor.device,
    )


def _summary(
    arguments: argparse.Namespace,
    settings: Settings,
    inference: Inference,
    video: _Video,
    frame_count: int,
    seconds: dict[str, float],
) -> dict:
    return {
        "command": shlex.join(["python", "infer_wild_mesh.py", *sys.argv[1:]]),
        "checkpoint": str(CHECKPOINT_PATH.name if arguments.demo else arguments.evaluate),
        "settings": asdict(settings) | {"clip_len": inference.clip_len},
        "video": str(video.path) if video.path else None,
        "image_size": list(video.image_size),
        "focal_px": inference.camera.focal_px,
        "fps": video.fps,
        "frames": frame_count,
        "people": inference.people,
        "seconds": {stage: round(taken, 3) for stage, taken in seconds.items()},
    }


def _report(inference: Inference, folder: Path, total_s: float) -> None:
    logger.info("windows of %d frames", inference.clip_len)
    for name, facts in inference.people.items():
        gaps = f"{facts['gaps_interpolated']} gaps filled, {facts['gaps_left_open']} left open"
        logger.info(
            "person %s: %d frames (%s), confidence %.2f, reprojection error %.1f px",
            name, facts["frames"], gaps, facts["mean_confidence"], facts["reprojection_error_px"],
        )  # fmt: skip
    frames = sum(facts["frames"] for facts in inference.people.values())
    network_s = sum(inference.seconds.values())
    logger.info(
        "%d bodies, %.0f a second without reading and writing; everything in %.1f s; written to %s",
        frames, frames / network_s, total_s, folder,
    )  # fmt: skip
