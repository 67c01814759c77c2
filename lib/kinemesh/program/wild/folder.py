"""Folders in and out: many videos in one run, and whose results an output folder holds."""

import argparse
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kinemesh.errors import UserError
from kinemesh.files.writing import faults_of_writing, json_text, require_other_file, write_text_atomically
from kinemesh.render.image_folder import IMAGE_ENDINGS

logger = logging.getLogger(__name__)

SUMMARY_FILE = "summary.json"
_VIDEO_ENDINGS = (
    ".mp4", ".mov", ".m4v", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".mpg", ".mpeg", ".ts", ".mts",
    ".m2ts", ".ogv", ".mxf", ".gif",
)  # fmt: skip
# Flags that name files which are read.
_READ = ("vid_path", "json_path", "ref_3d_motion_path", "camera", "evaluate", "config")
# What detectors call the keypoints of walk.mp4.
_KEYPOINT_NAMES = ("{}.json", "{}.npz", "{}", "results_{}.json")


def runs_of_folder(arguments: argparse.Namespace) -> list[argparse.Namespace] | None:
    """The flags of one run for each video of the folder --vid_path; None if it is a video, or a folder of images.

    Raises UserError where a video has no keypoints, or more than one file of them.
    """
    folder = Path(arguments.vid_path or "")
    if not arguments.vid_path or not folder.is_dir():
        return None
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    except OSError as error:
        raise UserError(f"--vid_path {folder}: cannot be read ({error.strerror}). Give another folder.") from None
    videos = [path for path in files if path.suffix.lower() in _VIDEO_ENDINGS]
    images = [path for path in files if path.suffix.lower() in IMAGE_ENDINGS]
    if videos and images:
        raise UserError(
            f"--vid_path {folder}: holds videos and images ({videos[0].name}, {images[0].name}). Expected a folder of videos, "
            "or one of a video's frames as images. Move the others away."
        )
    if images:
        return None
    if not videos:
        raise UserError(f"--vid_path {folder}: holds neither videos nor images. Expected a video, or a folder of them.")
    if arguments.ref_3d_motion_path:
        raise UserError("--ref_3d_motion_path is of one person in one video. Give that video as --vid_path.")
    if arguments.json_path and not Path(arguments.json_path).is_dir():
        raise UserError(
            f"--json_path {arguments.json_path}: expected a folder of each video's keypoints, as --vid_path is one."
        )
    stems = [path.stem for path in videos]
    if len(set(stems)) < len(stems):
        twin = next(stem for stem in stems if stems.count(stem) > 1)
        raise UserError(f"--vid_path {folder}: two videos are called {twin}. Rename one, as outputs are named by them.")
    keypoints = [_keypoints_of(stem, Path(arguments.json_path)) if arguments.json_path else None for stem in stems]
    missing = [stem for stem, path in zip(stems, keypoints, strict=True) if arguments.json_path and path is None]
    if missing:
        raise UserError(
            f"--json_path {arguments.json_path}: no keypoints for {len(missing)} of {len(videos)} videos "
            f"({', '.join(missing[:5])}). Expected {' or '.join(name.format(missing[0]) for name in _KEYPOINT_NAMES)} there."
        )
    return [
        argparse.Namespace(
            **vars(arguments)
            | {
                "vid_path": str(video),
                "json_path": path and str(path),
                "out_path": str(Path(arguments.out_path) / video.stem),
            }
        )
        for video, path in zip(videos, keypoints, strict=True)
    ]


def _keypoints_of(stem: str, folder: Path) -> Path | None:
    found = [folder / name.format(stem) for name in _KEYPOINT_NAMES if (folder / name.format(stem)).exists()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise UserError(f"--json_path {folder}: {names} may both be of {stem}. Leave one of them there.")
    if not found:
        return None
    alphapose = found[0] / "alphapose-results.json"
    return alphapose if alphapose.is_file() else found[0]


def run_all(
    arguments: argparse.Namespace, runs: list[argparse.Namespace], run_one: Callable[[argparse.Namespace], dict]
) -> None:
    """One video after the other and one summary of all; a video that fails does not keep the others from it.

    Raises UserError at the end if any failed.
    """
    began = time.perf_counter()
    folder = claim_folder(arguments)
    videos, failed = {}, []
    for number, run in enumerate(runs, start=1):
        name = Path(run.vid_path).name
        logger.info("video %d of %d: %s", number, len(runs), name)
        try:
            videos[name] = {"folder": Path(run.out_path).name} | run_one(run)
        except UserError as error:
            logger.warning("%s: %s", name, error)
            videos[name] = {"error": str(error)}
            failed.append(name)
        summary = {"inputs": inputs_of(arguments), "videos": videos, "seconds": round(time.perf_counter() - began, 3)}
        write_summary(folder, summary)
    if failed:
        raise UserError(
            f"{len(failed)} of {len(runs)} videos failed ({', '.join(failed[:5])}); the others are written. "
            f"{folder / SUMMARY_FILE} says why."
        )
    logger.info("%d videos in %.1f s; written to %s", len(runs), time.perf_counter() - began, folder)


def claim_folder(arguments: argparse.Namespace) -> Path:
    """The folder --out_path, made at once: a wrong name should not cost the whole run.

    Raises UserError if it cannot be made, or holds another input's results and --overwrite is not given.
    """
    folder = Path(arguments.out_path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out_path {folder}: cannot be made ({error.strerror}). Give another folder.") from None
    held, names = _results_held(folder)
    require_other_results(arguments, names)
    if held is None or held == inputs_of(arguments):
        return folder
    if not arguments.overwrite:
        what = held.get("vid_path") or held.get("json_path") or "the demo"
        raise UserError(
            f"--out_path {folder}: holds the results of {what}. Give another folder, or --overwrite to replace them."
        )
    return folder


def require_other_results(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Raises UserError if a result of these names, which is to be replaced or removed, is what the run reads."""
    inputs = [path for flag in _READ if (path := getattr(arguments, flag, None)) and os.path.isfile(path)]
    for name in names:
        # Of folders of keypoints and pictures no result is read; of one of predictions each is.
        require_other_file(Path(arguments.out_path) / name, (*inputs, arguments.predictions))


def remove_other_results(arguments: argparse.Namespace, kept: Sequence[str] = ()) -> None:
    """What --overwrite replaces: the files that the folder's summary lists, where it is another input's, but those `kept`."""
    folder = Path(arguments.out_path)
    held, names = _results_held(folder)
    if held is not None and held != inputs_of(arguments):
        for path in (folder / name for name in names if name not in kept):
            if path.is_file():
                with faults_of_writing(path):
                    path.unlink()


def write_summary(folder: Path, summary: dict) -> None:
    write_text_atomically(folder / SUMMARY_FILE, json_text(summary, indent=2) + "\n")


def inputs_of(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Which video and keypoints a run is of; both None: the demo."""
    paths = {name: getattr(arguments, name) for name in ("vid_path", "json_path")}
    return {name: str(Path(path).resolve()) if path else None for name, path in paths.items()}


def _results_held(folder: Path) -> tuple[dict | None, list[str]]:
    """The inputs of the results in a folder, None where nothing says, and the results' names."""
    path = folder / SUMMARY_FILE
    try:
        summary = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None, []
    if not isinstance(summary, dict) or not isinstance(summary.get("inputs"), dict):
        return None, []
    names = summary.get("files")
    names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return summary["inputs"], [name for name in names if Path(name).name == name]
