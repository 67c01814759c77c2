"""The files of per-frame SMPL estimators, each read and checked into one table: a row a person and frame.

A layout is recognised by its keys, whatever the file is called. Nothing in a file is run. Source: behaviour contract
section 8, and for HybrIK, WHAM and PHALP the scripts that write the files.
"""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.data.reading import LARGEST_ANGLE
from kinemesh.errors import UserError, fail
from kinemesh.estimates.values import (
    LARGEST_FRAME,
    row_number,
    take_entry,
    to_array,
    to_frames,
    to_numbers,
    to_text,
)
from kinemesh.files.arrays import NoArraysError, read_npz
from kinemesh.files.joblib import load_joblib
from kinemesh.files.pickles import faults_as_user_errors

logger = logging.getLogger(__name__)

LAYOUTS = (
    "an npz with video, frame, poses, betas; HybrIK's res.pk (pred_thetas, pred_betas, img_path); WHAM's "
    "wham_output.pkl ({person: pose, betas, frame_ids}); or the .pkl of 4D-Humans / PHALP ({frame path: tid, smpl})"
)
POSE_SHAPE = (SMPL_JOINT_COUNT * 3,)
BETAS_SHAPE = (BETA_COUNT,)
# Far above float32 and half-precision noise, far below what another convention or a scale gives.
ROTATION_TOLERANCE = 0.02
# Folders and file names that say nothing about which video an image is from.
PLAIN_NAMES = frozenset({"", "img", "imgs", "image", "images", "raw_images", "frame", "frames", "rgb", "color"})
NUMBERED_NAME = re.compile(r"(.*?)[-_. ]*(\d{1,15})(\.[A-Za-z]\w*)?")
_CHUNK = 1 << 15  # rows converted at a time
_OPTIONAL = ("dataset", "person", "fps", "repeat", "poses_mirrored", "betas_mirrored")  # of our own files


class Table(NamedTuple):
    """What one file holds; F rows."""

    path: Path
    dataset: np.ndarray  # (F,) text; "": not said
    video: np.ndarray  # (F,) text
    person: np.ndarray  # (F,) text; "": not said
    frame: np.ndarray  # (F,) int64
    poses: np.ndarray  # (F, 72) float32
    betas: np.ndarray  # (F, 10) float32
    fps: np.ndarray  # (F,) float64, nan: not said
    first_image: int | None = None  # lowest number of an image that frames are named by; None: counted from 0
    repeat: np.ndarray | None = None  # (F,) int64, where a frame has several rows: 0, 1, ...; None: all 0
    mirrored: tuple[np.ndarray, np.ndarray] | None = None  # poses and betas seen in mirrored input, mirrored back


class NotRecognisedError(UserError):
    """A file that can be read, but is none of LAYOUTS."""


def read_estimator_file(path: Path) -> Table:
    """Read one file of any of LAYOUTS.

    Raises NotRecognisedError, or UserError naming file, key and first bad row.
    """
    what = "an estimator's file, for --predictions"
    with faults_as_user_errors(path, what), path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        return _read_ours(path)
    content = load_joblib(path, what=what)
    if isinstance(content, dict) and content:
        if "pred_thetas" in content:
            return _read_hybrik(path, content)
        first = next(iter(content.values()))
        if isinstance(first, dict) and {"pose", "frame_ids"} <= first.keys():
            return _read_wham(path, content)
        if isinstance(first, dict) and {"tid", "smpl"} <= first.keys():
            return _read_phalp(path, content)
    held = f"a {type(content).__name__}"
    if isinstance(content, dict):
        held += f" of {', '.join(repr(key)[:40] for key in list(content)[:6])}" if content else " without keys"
    raise NotRecognisedError(f"{path}: not recognised, it holds {held}. Expected {LAYOUTS}.")


def count_images_from_zero(tables: list[Table]) -> list[Table]:
    """Tables of the same videos with frames counted from 0.

    Images are numbered from 0, or from 1 as by ffmpeg: then no video has an image 0.
    """
    firsts = [table.first_image for table in tables if table.first_image is not None]
    if not firsts or min(firsts) == 0:
        return tables
    if min(firsts) > 1:
        logger.warning("images are numbered from %d; taken as counted from 0", min(firsts))
        return tables
    logger.info("images are numbered from 1, as by ffmpeg: image 1 is taken as frame 0")
    return [table if table.first_image is None else table._replace(frame=table.frame - 1) for table in tables]


def _read_ours(path: Path) -> Table:
    try:
        columns = read_npz(path, ("video", "frame", "poses", "betas"), _OPTIONAL, what="predictions")
    except NoArraysError:
        raise NotRecognisedError(f"{path}: not recognised, a zip archive without arrays. Expected {LAYOUTS}.") from None
    video = to_text(path, "'video'", columns["video"])
    count = len(video)
    frame = to_frames(path, "'frame'", columns["frame"], count)
    poses = to_numbers(path, "'poses'", columns["poses"], POSE_SHAPE, count, LARGEST_ANGLE)
    betas = to_numbers(path, "'betas'", columns["betas"], BETAS_SHAPE, count)
    fps = np.full(count, np.nan)
    if "fps" in columns:
        fps = columns["fps"]
        fps = to_numbers(path, "'fps'", np.broadcast_to(fps, count) if fps.ndim == 0 else fps, (), count)
    dataset = person = np.full(count, "")
    if "dataset" in columns:
        dataset = to_text(path, "'dataset'", columns["dataset"], count)
    if "person" in columns:
        person = columns["person"]
        person = to_text(path, "'person'", person.astype(str) if person.dtype.kind in "iu" else person, count)
    repeat = mirrored = None
    if "repeat" in columns:
        repeat = to_frames(path, "'repeat'", columns["repeat"], count)
    if "poses_mirrored" in columns and "betas_mirrored" in columns:
        mirrored = (
            to_numbers(path, "'poses_mirrored'", columns["poses_mirrored"], POSE_SHAPE, count, LARGEST_ANGLE),
            to_numbers(path, "'betas_mirrored'", columns["betas_mirrored"], BETAS_SHAPE, count),
        )
    return Table(
        path, dataset, video, person, frame, poses, betas, fps.astype(np.float64), repeat=repeat, mirrored=mirrored
    )


def _read_hybrik(path: Path, content: dict) -> Table:
    names = to_text(path, "'img_path'", take_entry(path, "", content, "img_path")).tolist()
    rotations = to_numbers(path, "'pred_thetas'", content["pred_thetas"], (SMPL_JOINT_COUNT * 9,), len(names))
    betas = to_numbers(path, "'pred_betas'", take_entry(path, "", content, "pred_betas"), BETAS_SHAPE, len(names))
    poses = _axis_angle(path, "'pred_thetas'", rotations)
    video, frame = _images(path, "'img_path'", names)
    return _table(path, video, [""] * len(names), frame, poses, betas, int(frame.min()))


def _read_wham(path: Path, content: dict) -> Table:
    video = path.resolve().parent.name if path.stem == "wham_output" else path.stem
    people, frames, poses, betas = [], [], [], []
    for person, arrays in content.items():
        where = f"person {str(person)[:40]!r} "
        frame = to_frames(path, f"{where}'frame_ids'", take_entry(path, where, arrays, "frame_ids"))
        pose = take_entry(path, where, arrays, "pose")
        shape = take_entry(path, where, arrays, "betas")
        poses.append(to_numbers(path, f"{where}'pose'", pose, POSE_SHAPE, len(frame), LARGEST_ANGLE))
        betas.append(to_numbers(path, f"{where}'betas'", shape, BETAS_SHAPE, len(frame)))
        frames.append(frame)
        people += [str(person)] * len(frame)
    return _table(
        path, [video] * len(people), people, *(np.concatenate(column) for column in (frames, poses, betas)), None
    )


def _read_phalp(path: Path, content: dict) -> Table:
    places: list[tuple[int, str]] = []  # number of the frame in the file, person
    bodies: list[dict] = []
    for number, (name, people) in enumerate(content.items()):
        where = f"frame {str(name)[-60:]!r} "
        tracks, smpl = take_entry(path, where, people, "tid"), take_entry(path, where, people, "smpl")
        if not (isinstance(tracks, list) and isinstance(smpl, list) and len(tracks) == len(smpl)):
            fail(path, f"{where}'smpl' is not a list as long as 'tid'", "one body a person")
        # A track that was not seen keeps its last body for a while: that is no prediction for this frame.
        unseen = people.get("tracked_time")
        unseen = unseen if isinstance(unseen, list) and len(unseen) == len(tracks) else [0] * len(tracks)
        if not all(isinstance(track, int | np.integer | str) for track in tracks):
            fail(path, f"{where}'tid' is not a list of numbers", "one number a person")
        for track, body, frames_unseen in zip(tracks, smpl, unseen, strict=True):
            if not (isinstance(frames_unseen, int | np.integer) and frames_unseen > 0):
                places.append((number, str(track)))
                bodies.append(body)
    if not bodies:
        fail(path, "no frame has a body", "at least one")
    names = list(content)
    first_image = None
    if all(isinstance(name, tuple) and len(name) == 2 for name in names):  # video and time stamp: never were images
        videos = [Path(str(video)).stem for video, _ in names]
        numbers = to_frames(path, "'time'", [people.get("time") for people in content.values()])
    else:
        videos, numbers = _images(path, "'frame path'", [str(name) for name in names])
        first_image = int(numbers.min())

    def place(row: int) -> str:
        number, person = places[row]
        return f"of frame {str(names[number])[-60:]!r} person {person!r}"

    def stacked(key: str, shape: tuple[int, ...]) -> np.ndarray:
        arrays = [
            to_array(path, f"'smpl' {key!r}", body.get(key) if isinstance(body, dict) else None) for body in bodies
        ]
        for row, array in enumerate(arrays):
            if array.shape != shape:
                fail(path, f"'smpl' {key!r} {place(row)} has shape {array.shape}", f"shape {shape}")
        return to_numbers(path, f"'smpl' {key!r}", np.stack(arrays), shape, len(arrays), place=place)

    rotations = np.concatenate((stacked("global_orient", (1, 3, 3)), stacked("body_pose", (23, 3, 3))), axis=1)
    poses = _axis_angle(path, "'smpl'", rotations, place)
    betas = stacked("betas", BETAS_SHAPE)
    rows = np.array([number for number, _ in places])
    people_names = [person for _, person in places]
    return _table(path, np.array(videos)[rows], people_names, numbers[rows], poses, betas, first_image)


def _table(path, video, person, frame, poses, betas, first_image) -> Table:
    if len(frame) == 0:
        fail(path, "has no rows", "at least one")
    unsaid = np.full(len(frame), "")
    fps = np.full(len(frame), np.nan)
    return Table(path, unsaid, np.array(video), np.array(person), frame, poses, betas, fps, first_image)


def _images(path: Path, where: str, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Video and number of each image. The video is the image's folder, unless that is one such as `img`: then what
    stands before the number, or else the folder above."""
    videos, numbers = [], np.empty(len(names), dtype=np.int64)
    for row, name in enumerate(names):
        *folders, file = name.replace("\\", "/").split("/")
        match = NUMBERED_NAME.fullmatch(file)
        if match is None or int(match[2]) > LARGEST_FRAME:
            fail(path, f"{where} row {row} is {name[-60:]!r}", "a name that ends in the frame number")
        numbers[row] = int(match[2])
        is_plain = not folders or folders[-1].lower() in PLAIN_NAMES
        if is_plain and match[1].lower() not in PLAIN_NAMES:
            videos.append(match[1])
        else:
            telling = [folder for folder in folders if folder.lower() not in PLAIN_NAMES | {".", ".."}]
            videos.append(telling[-1] if telling else path.stem)
    return videos, numbers


def _axis_angle(path: Path, where: str, rotations: np.ndarray, place: Callable[[int], str] = row_number) -> np.ndarray:
    """(F, 72) float32 from 24 rotation matrices a row; UserError if they are none."""
    poses = []
    for start, part in enumerate(torch.from_numpy(rotations).split(_CHUNK)):
        matrices = part.reshape(len(part), SMPL_JOINT_COUNT, 3, 3)
        excess = (matrices @ matrices.mT - torch.eye(3)).abs().amax((1, 2, 3))
        is_bad = (excess > ROTATION_TOLERANCE) | (torch.linalg.det(matrices) < 0).any(1)
        if is_bad.any():
            row = int(is_bad.int().argmax())
            fault = f"is not a rotation (R R^T is {excess[row]:.3g} from the identity)"
            if excess[row] <= ROTATION_TOLERANCE:
                fault = "is a reflection"
            fail(path, f"{where} {place(row + start * _CHUNK)} {fault}", f"{SMPL_JOINT_COUNT} rotation matrices")
        poses.append(axis_angle_from_rotations(matrices))
    return torch.cat(poses).numpy()
