"""Reads what 2D keypoint detectors write: AlphaPose, MMPose, COCO results, OpenPose folders, H36M-17 npz.

A layout is recognised by its content, whatever the file is called; a joint order by the number of joints, unless it
is named. Sources: behaviour contract section 7 and the documentation of each program's output.
"""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.estimates.readers import NUMBERED_NAME
from kinemesh.estimates.values import fail, to_numbers
from kinemesh.files.arrays import read_npz
from kinemesh.infer.keypoint_formats import FORMATS, format_of_count, to_h36m

logger = logging.getLogger(__name__)

LAYOUTS = (
    "AlphaPose JSON or COCO results (a list of image_id, keypoints), MMPose JSON (instance_info or a list of frame_id, "
    "instances), a folder of OpenPose's *_keypoints.json, or an npz of keypoints (F, 17, 2 or 3) or (people, F, 17, 2 or 3)"
)
# Far more than hours of video hold; a larger file is something else, and would fill the memory.
_LARGEST_FILE = 1 << 30
_LARGEST_FRAME = 10_000_000
_LARGEST_PX = 1_000_000
# MMPose's metadata names what a joint count of 17 leaves open.
_MMPOSE_ORDERS = {
    "coco": "coco17",
    "coco_wholebody": "coco17",
    "halpe26": "halpe26",
    "halpe": "halpe26",
    "h36m": "h36m17",
}


class Detections(NamedTuple):
    """Everybody who was detected, one row a person and frame."""

    frame: np.ndarray  # (N,) int64, counted from 0 in the video
    person: np.ndarray  # (N,) text; "": the file does not say who it is
    keypoints_px: np.ndarray  # (N, K, 3) float32 x, y, confidence in [0, 1]; 0: not seen


class _Rows(NamedTuple):
    """A file's rows as they stand there."""

    frames: list[int]
    people: list[Any]  # None: not said
    keypoints: list[Any]  # flat or nested lists of x, y, confidence


def read_keypoints(path: Path | str, joint_order: str = "auto") -> Detections:
    """Read any of LAYOUTS; `joint_order` is "auto" or a name of FORMATS.

    Raises UserError, one line, for what is missing, damaged, not recognised, or holds what keypoints cannot be.
    """
    path = Path(path)
    if path.is_dir():
        return _detections(path, _read_openpose(path), joint_order)
    if not path.is_file():
        raise UserError(f"{path} not found. Expected {LAYOUTS}.")
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. Expected {LAYOUTS}.") from None
    if is_zip:
        return _read_npz(path, joint_order)
    content = _load_json(path)
    if isinstance(content, list) and content and all(isinstance(item, dict) for item in content):
        if all("image_id" in item for item in content):
            return _detections(path, _read_results(path, content), joint_order)
        if "instances" in content[0] or "keypoint_scores" in content[0]:
            return _detections(path, _read_mmpose(path, content), joint_order)
    if isinstance(content, dict) and "instance_info" in content:
        meta = content.get("meta_info")
        named = _MMPOSE_ORDERS.get(str(meta.get("dataset_name", ""))) if isinstance(meta, dict) else None
        order = named if joint_order == "auto" and named else joint_order
        return _detections(path, _read_mmpose(path, content["instance_info"]), order)
    if isinstance(content, dict) and "people" in content:
        raise UserError(
            f"{path}: one frame of OpenPose's output. Expected all of them: give the folder, {path.parent}."
        )
    if content == []:
        raise UserError(f"{path}: an empty list, nobody was detected. Expected at least one person.")
    held = f"a {type(content).__name__}"
    if isinstance(content, dict):
        held += f" of {', '.join(repr(key)[:40] for key in list(content)[:6])}"
    raise UserError(f"{path}: not recognised, it holds {held}. Expected {LAYOUTS}.")


def detections_of_array(keypoints: np.ndarray, joint_order: str = "auto", path: Path = Path("the array")) -> Detections:
    """People named "0", "1", ... of an array (F, K, 2 or 3) or (people, F, K, 2 or 3), H36M-17 unless named otherwise.

    Whoever is not there has nan, or confidence 0 throughout. Raises UserError, which calls the array `path`.
    """
    if keypoints.dtype.kind not in "fiu" or keypoints.ndim not in (3, 4) or keypoints.shape[-1] not in (2, 3):
        found = f"'keypoints' is an array of {keypoints.dtype} of shape {keypoints.shape}"
        fail(path, found, "shape (F, 17, 2 or 3) or (people, F, 17, 2 or 3)")
    people = keypoints.astype(np.float64).reshape(-1, *keypoints.shape[-3:])
    if people.shape[-1] == 2:
        people = np.concatenate((people, np.ones_like(people[..., :1])), axis=-1)
    people[~np.isfinite(people).all(axis=-1)] = 0
    is_there = (people[..., 2] > 0).any(axis=-1)
    person, frame = np.nonzero(is_there)
    order = "h36m17" if joint_order == "auto" else joint_order
    return _detections(path, _Rows(frame.tolist(), person.tolist(), people[is_there]), order)


def _load_json(path: Path) -> Any:
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise UserError(
            f"{path}: {size >> 20} MiB, expected at most {_LARGEST_FILE >> 20}. Split the video into parts."
        )
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError, OSError) as error:
        raise UserError(f"{path}: not valid JSON ({str(error)[:120]}). Expected {LAYOUTS}.") from None


def _read_results(path: Path, items: list[dict]) -> _Rows:
    """AlphaPose's list and COCO's: they differ in how an image is named and in `idx`, the track."""
    numbers, is_padded = [], False
    for row, item in enumerate(items):
        image = item["image_id"]
        match = NUMBERED_NAME.fullmatch(image.replace("\\", "/").split("/")[-1]) if isinstance(image, str) else None
        if match is not None:
            is_padded |= bool(match[1]) or (match[2].startswith("0") and len(match[2]) > 1)
            image = int(match[2])
        numbers.append(_frame_number(path, f"'image_id' row {row}", image))
    # A video's frames are called 0.jpg, 1.jpg, ... by AlphaPose itself; images by whoever made them, ffmpeg from 1 on.
    if is_padded and min(numbers) == 1:
        logger.info("%s: images are numbered from 1, as by ffmpeg: image 1 is taken as frame 0", path)
        numbers = [number - 1 for number in numbers]
    people = [next((item[key] for key in ("idx", "track_id") if key in item), None) for item in items]
    return _Rows(numbers, people, [_entry(path, f"row {row}", item, "keypoints") for row, item in enumerate(items)])


def _read_mmpose(path: Path, frames: Any) -> _Rows:
    """A list of frames, or of one image's instances."""
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        fail(path, "'instance_info' is not a list of frames", "frame_id and instances in each")
    if frames and "instances" not in frames[0]:
        frames = [{"frame_id": 0, "instances": frames}]
    rows = _Rows([], [], [])
    numbers = [_frame_number(path, "'frame_id'", _entry(path, "a frame", frame, "frame_id")) for frame in frames]
    # Every frame is listed, with or without people, so that the first one tells where counting starts.
    first = 1 if numbers and min(numbers) == 1 else 0
    for number, frame in zip(numbers, frames, strict=True):
        where = f"frame {number}"
        instances = _entry(path, where, frame, "instances")
        if not isinstance(instances, list):
            fail(path, f"{where} 'instances' is no list", "one entry a person")
        for instance in instances:
            points = _entry(path, where, instance, "keypoints")
            scores = _entry(path, where, instance, "keypoint_scores")
            if not (isinstance(points, list) and isinstance(scores, list) and len(points) == len(scores)):
                fail(path, f"{where} 'keypoints' and 'keypoint_scores' differ in length", "one score a keypoint")
            if not all(isinstance(point, list) and len(point) == 2 for point in points):
                fail(path, f"{where} 'keypoints' are not pairs of x and y", "2D keypoints in pixels")
            rows.frames.append(number - first)
            rows.people.append(next((instance[key] for key in ("track_id", "instance_id") if key in instance), None))
            rows.keypoints.append([[*point, score] for point, score in zip(points, scores, strict=True)])
    return rows


def _read_openpose(folder: Path) -> _Rows:
    files = sorted(folder.glob("*_keypoints.json"))
    if not files:
        raise UserError(f"{folder}: no *_keypoints.json in this folder. Expected {LAYOUTS}.")
    rows = _Rows([], [], [])
    for path in files:
        match = NUMBERED_NAME.fullmatch(path.name.removesuffix("_keypoints.json"))
        if match is None:
            raise UserError(
                f"{path}: no frame number in its name. Expected names such as video_000000000012_keypoints.json."
            )
        number = _frame_number(path, "its number", int(match[2]))
        people = _entry(path, "the file", _load_json(path), "people")
        if not isinstance(people, list):
            fail(path, "'people' is no list", "OpenPose's output")
        for person in people:
            rows.frames.append(number)
            points = _entry(path, "a person", person, "pose_keypoints_2d")
            if not isinstance(points, list) or len(points) != 3 * FORMATS["body25"].joint_counts[0]:
                found = f"{len(points)} numbers" if isinstance(points, list) else type(points).__name__
                fail(path, f"'pose_keypoints_2d' holds {found}", "75, those of the BODY_25 model")
            rows.keypoints.append(points)
            name = person.get("person_id", -1)
            name = name[0] if isinstance(name, list) and len(name) == 1 else name
            rows.people.append(None if name == -1 else name)
    return rows


def _read_npz(path: Path, joint_order: str) -> Detections:
    arrays = read_npz(path, ("keypoints",), what="keypoints")
    return detections_of_array(arrays["keypoints"], joint_order, path)


def _detections(path: Path, rows: _Rows, joint_order: str) -> Detections:
    """Rows in the order of frames, joints as H36M-17."""
    if not rows.frames:
        raise UserError(f"{path}: nobody was detected in it. Expected at least one person.")
    flat = [np.ravel(_row_array(path, row, points)) for row, points in enumerate(rows.keypoints)]
    sizes = {len(points) for points in flat}
    if len(sizes) > 1:
        row = next(row for row, points in enumerate(flat) if len(points) != len(flat[0]))
        fail(path, f"'keypoints' row {row} holds {len(flat[row])} numbers, row 0 {len(flat[0])}", "one joint order")
    keypoints = to_numbers(path, "'keypoints'", np.stack(flat), (len(flat[0]),), len(flat))
    if keypoints.shape[1] % 3:
        fail(path, f"'keypoints' holds {keypoints.shape[1]} numbers a person", "x, y, confidence of each joint")
    keypoints = keypoints.reshape(len(keypoints), -1, 3)
    farthest = np.abs(keypoints[..., :2]).max(axis=(1, 2), initial=0)
    if farthest.max() > _LARGEST_PX:
        row = int(farthest.argmax())
        fail(path, f"'keypoints' row {row} holds {farthest[row]:.4g}", f"pixels, at most {_LARGEST_PX}")
    count = keypoints.shape[1]
    order = format_of_count(count) if joint_order == "auto" else joint_order
    if order is None or count not in FORMATS[order].joint_counts:
        known = "; ".join(f"{row.title} ({' or '.join(map(str, row.joint_counts))})" for row in FORMATS.values())
        wanted = (
            known
            if order is None
            else f"{' or '.join(map(str, FORMATS[order].joint_counts))}, as --keypoint_format says"
        )
        fail(path, f"'keypoints' holds {count} joints a person", wanted)
    logger.info("%s: %d detections, %s", path, len(keypoints), FORMATS[order].title)
    keypoints[..., 2] = keypoints[..., 2].clip(0, 1)
    frame = np.array(rows.frames, dtype=np.int64)
    person = np.array([_person_name(path, row, person) for row, person in enumerate(rows.people)])
    by_frame = np.argsort(frame, kind="stable")
    return Detections(frame[by_frame], person[by_frame], to_h36m(keypoints, order)[by_frame])


def _row_array(path: Path, row: int, points: Any) -> np.ndarray:
    try:
        array = np.asarray(points)
    except (ValueError, OverflowError):
        array = None
    if array is None or array.dtype.kind not in "fiu":
        fail(path, f"'keypoints' row {row} are not numbers", "x, y, confidence of each joint")
    return array


def _person_name(path: Path, row: int, person: Any) -> str:
    """A track's name as text; AlphaPose writes 1, 1.0 or [1.0]."""
    if isinstance(person, list) and len(person) == 1:
        person = person[0]
    if isinstance(person, float) and person.is_integer():
        person = int(person)
    if person is None or (isinstance(person, int | str) and not isinstance(person, bool)):
        return "" if person is None else str(person)
    return fail(path, f"the track of row {row} is {str(person)[:40]!r}", "a number or a name")


def _frame_number(path: Path, where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_FRAME:
        fail(
            path,
            f"{where} is {str(value)[:60]!r}",
            f"a frame number from 0 to {_LARGEST_FRAME}, or a name that ends in one",
        )
    return value


def _entry(path: Path, where: str, content: Any, key: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        fail(path, f"{where} has no '{key}'", f"'{key}' in each, as its program writes")
    return content[key]
