"""What the JSON of each program looks like: images, the people in each, and how a person's joints are written.

Layouts are told by their keys, whatever the file is called. Sources: AlphaPose `pPose_nms.write_json` (its own form and
the forms `cmu` and `open`) and `PoseFlow/tracker-general.py`; MMPose `structures/utils.split_instances` and
`mmpose_inferencer`; COCO's annotation and result files; OpenPose `doc/02_output.md`; ultralytics `engine/results.py`;
easy_ViTPose `inference.py` (y before x); MediaPipe's pose landmarks.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import fail
from kinemesh.keypoints.detections import Rows
from kinemesh.keypoints.formats import COCO_NAMES
from kinemesh.keypoints.json_text import as_array

_IMAGE_KEYS = (
    "image_id", "frame_id", "frame", "frame_idx", "frame_index", "frame_number", "image", "image_name", "file_name",
    "filename", "img_name", "imgname",
)  # fmt: skip
_PEOPLE_KEYS = ("instances", "people", "bodies", "detections", "predictions", "results", "persons", "objects")
_POINT_KEYS = ("keypoints", "joints", "pose_keypoints_2d", "landmarks", "pose_landmarks", "keypoints_2d")
_POINT_SCORE_KEYS = ("keypoint_scores", "keypoints_scores", "kp_score", "keypoint_score", "keypoints_score")
_SCORE_KEYS = ("score", "bbox_score", "box_score", "confidence", "scores")
_TRACK_KEYS = ("idx", "track_id", "person_id", "instance_id", "tid")
_LIST_KEYS = ("predictions", "frames", "results", "data", "detections")
_LANDMARKS = ("landmarks", "pose_landmarks")
# MediaPipe's landmarks are parts of the picture, a little beyond its edges; anything larger was made into pixels.
_LARGEST_PART = 3.0


class Frames(NamedTuple):
    """A file's images with the people in each, as they stand there."""

    program: str
    frames: list[tuple[Any, list]]  # image's name or number, entries of people
    place: Callable[[int, Any], str]  # how an error calls a frame's person
    joint_order: str | None = None
    are_images: bool = False
    is_y_first: bool = False


def frames_of(path: Path, content: Any) -> Frames | None:
    """The images of a file's content; None if it is no layout that is known.

    Raises UserError for a layout that is known but damaged, or holds what is not a person.
    """
    if isinstance(content, dict):
        return _frames_of_dict(path, content)
    if not isinstance(content, list) or not content:
        return None
    if all(isinstance(item, list) for item in content):
        if all(isinstance(entry, dict) for item in content for entry in item):
            return Frames("a list of frames", list(enumerate(content)), _place_in_frame)
        return None
    if not all(isinstance(item, dict) for item in content):
        return None
    image_key = next((key for key in _IMAGE_KEYS if key in content[0]), None)
    people_key = next((key for key in _PEOPLE_KEYS if key in content[0]), None)
    if people_key is None and any(key in content[0] for key in ("pose_landmarks", "landmarks")) and image_key is None:
        return Frames(
            "MediaPipe", [(number, [item]) for number, item in enumerate(content)], _place_in_frame, "mediapipe33"
        )
    if people_key is not None:
        if image_key is None:
            fail(path, f"a frame has no '{'frame_id' if people_key == 'instances' else _IMAGE_KEYS[0]}'", "one in each")
        frames = [
            (_entry(path, "a frame", item, image_key), _people(path, item, people_key, image_key)) for item in content
        ]
        return Frames("MMPose" if people_key == "instances" else "a list of frames", frames, _place_in_frame)
    if not any(key in content[0] for key in (*_POINT_KEYS, *_POINT_SCORE_KEYS)) and image_key is None:
        return None
    if image_key is None:
        return Frames("one image", [(0, content)], _place_in_frame)
    program = "AlphaPose" if "idx" in content[0] or "box" in content[0] else "COCO results"
    frames = [(_entry(path, f"row {row}", item, image_key), [item]) for row, item in enumerate(content)]
    return Frames(program, frames, lambda number, _: f"row {number}")


def rows_of(path: Path, frames: Frames) -> Rows:
    """One row a person of all frames. Raises UserError naming frame or row, and what was found there."""
    columns: tuple[list, list, list, list] = ([], [], [], [])
    normalised = set()
    for number, (image, people) in enumerate(frames.frames):
        place = frames.place(number, image)
        for entry in people:
            if isinstance(entry, np.ndarray):
                entry = {"keypoints": entry}
            if not isinstance(entry, dict):
                fail(path, f"{place} holds {str(entry)[:40]!r}", "a person's keypoints")
            for points, is_part in _points_of(path, place, entry):
                if frames.is_y_first and points.size:
                    if points.ndim != 2 or points.shape[1] != 3:
                        fail(path, f"{place} 'keypoints' have shape {points.shape}", "y, x, score of each joint")
                    points = points[:, [1, 0, 2]]
                normalised.add(is_part)
                named = entry["attributes"] if isinstance(entry.get("attributes"), dict) else {}  # as CVAT does
                track = next((given[key] for given in (entry, named) for key in _TRACK_KEYS if key in given), None)
                for column, value in zip(columns, (image, track, points, _score(entry)), strict=True):
                    column.append(value)
    order = "mediapipe33" if normalised == {True} and frames.joint_order is None else frames.joint_order
    counted_from = 1 if frames.program == "MMPose" else None  # every frame is listed, from 0 or from 1
    return Rows(
        frames.program, *columns, counted_from=counted_from, listed=[image for image, _ in frames.frames], joint_order=order,
        are_images=frames.are_images, is_normalised=normalised == {True},
    )  # fmt: skip


def _frames_of_dict(path: Path, content: dict) -> Frames | None:
    if "instance_info" in content:
        frames = content["instance_info"]
        if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
            fail(path, "'instance_info' is not a list of frames", "frame_id and instances in each")
        if frames and "instances" not in frames[0]:
            frames = [{"frame_id": 0, "instances": frames}]
        listed = [
            (_entry(path, "a frame", frame, "frame_id"), _people(path, frame, "instances", "frame_id"))
            for frame in frames
        ]
        return Frames("MMPose", listed, _place_in_frame)
    if isinstance(content.get("annotations"), list):
        return _coco_annotations(path, content)
    if isinstance(content.get("keypoints"), list) and all(isinstance(item, dict) for item in content["keypoints"]):
        frames = [(number, _with_track(people)) for number, people in enumerate(content["keypoints"])]
        return Frames("easy_ViTPose", frames, _place_in_frame, is_y_first=True)
    for key in ("people", "bodies"):
        if isinstance(content.get(key), list):
            return Frames("OpenPose" if key == "people" else "AlphaPose", [(path.name, content[key])], _place_in_file)
        if key in content:
            fail(path, f"'{key}' is no list", "OpenPose's output")
    for key in _LIST_KEYS:
        if isinstance(content.get(key), list):
            return frames_of(path, content[key])
    if content and all(_is_frame(item) for item in content.values()):
        frames = [(image, item if isinstance(item, list) else _people_of(item)) for image, item in content.items()]
        return Frames(
            "AlphaPose or PoseFlow by image",
            [(_number_if_bare(image), people) for image, people in frames],
            _place_in_frame,
        )
    return None


def _coco_annotations(path: Path, content: dict) -> Frames:
    """COCO's annotation file; without a list of images, rows of frame_id and keypoints."""
    images = content.get("images")
    images = images if isinstance(images, list) and all(isinstance(image, dict) for image in images) else []
    rows = content["annotations"]
    if not all(isinstance(row, dict) for row in rows):
        fail(path, "'annotations' is not a list of people", "image_id and keypoints in each")
    named = [(image.get("id"), image.get("file_name", image.get("id"))) for image in images]
    names = {number: name for number, name in named if isinstance(number, int | str) and isinstance(name, int | str)}
    sizes = {(str(image.get("width")), str(image.get("height"))) for image in images}
    people: dict[Any, list] = {name: [] for name in names.values()}
    for number, row in enumerate(rows):
        key = next((key for key in _IMAGE_KEYS if key in row), "image_id")
        image = _entry(path, f"annotation {number}", row, key)
        if not isinstance(image, int | float | str):
            fail(path, f"annotation {number} is of image {str(image)[:40]!r}", "an image's number or name")
        image = names.get(image, image)
        if any(key in row for key in _POINT_KEYS):
            people.setdefault(image, []).append(row)
    return Frames("COCO annotations", list(people.items()), _place_in_frame, are_images=len(sizes) > 1)


def _points_of(path: Path, place: str, entry: dict) -> Iterator[tuple[np.ndarray, bool]]:
    """A person's joints (joints, 2 or 3) or flat, and whether they are parts of the picture; several of MediaPipe's."""
    scores = next((entry[key] for key in _POINT_SCORE_KEYS if key in entry), None)
    key = next((key for key in _POINT_KEYS if key in entry), None)
    if key is None:
        fail(path, f"{place} has no 'keypoints'", "'keypoints' in each, as its program writes")
    value = entry[key]
    if value is None and key in _LANDMARKS:  # nobody in this frame
        return
    if isinstance(value, dict) and {"x", "y"} <= value.keys():
        columns = [as_array(value["x"]), as_array(value["y"])]
        scores = value.get("visible")
        is_sound = all(column is not None and column.ndim == 1 and len(column) == len(columns[0]) for column in columns)
        value = np.stack(columns, axis=1) if is_sound else None
    elif isinstance(value, dict):
        value = _by_name(value)
    points = value if isinstance(value, np.ndarray) else as_array(value)
    if points is None or points.ndim > 3 or points.ndim == 0:
        fail(path, f"'keypoints' {place} are not numbers", "x, y, confidence of each joint")
    if key in _LANDMARKS and points.size:
        people = points if points.ndim == 3 else points[None]
        for one in people:
            if one.ndim != 2 or one.shape[1] < 3:
                fail(path, f"'{key}' {place} has shape {one.shape}", "x, y, visibility of each landmark")
            columns = one[:, [0, 1, 3]] if one.shape[1] >= 4 else one
            yield columns, bool(np.nanmax(np.abs(columns[:, :2]), initial=0) <= _LARGEST_PART)
        return
    if scores is not None:
        confidence = scores if isinstance(scores, np.ndarray) else as_array(scores)
        confidence = None if confidence is None else confidence.ravel()
        if points.ndim == 1 and points.size % 2 == 0:
            points = points.reshape(-1, 2)
        if confidence is None or len(confidence) != len(points):
            fail(path, f"{place} 'keypoints' and 'keypoint_scores' differ in length", "one score a keypoint")
        if points.size and (points.ndim != 2 or points.shape[1] != 2):
            fail(path, f"{place} 'keypoints' are not pairs of x and y", "2D keypoints in pixels")
        points = np.concatenate((points.reshape(-1, 2), confidence[:, None]), axis=1)
    if points.ndim == 3:
        points = points[0] if len(points) == 1 else fail(path, f"{place} 'keypoints' are several people's", "one's")
    yield points, False


def _by_name(joints: dict) -> np.ndarray | None:
    """(17, 3) of joints that stand under COCO's names; None if that is not what they are."""
    known = {re.sub(r"[^a-z]", "", name.lower()): point for name, point in joints.items()}
    points = [as_array(known.get(name.replace("_", ""), [np.nan] * 3)) for name in COCO_NAMES]
    if any(point is None or point.shape not in ((2,), (3,)) for point in points):
        return None
    rows = np.array([[*point, 1.0][:3] for point in points], dtype=np.float32)
    return rows if np.isfinite(rows).all(axis=1).sum() > len(rows) // 2 else None


def _score(entry: dict) -> float:
    for key in _SCORE_KEYS:
        value = entry.get(key)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(min(max(value, -1e9), 1e9))
    return float("nan")


def _with_track(people: dict) -> list[dict]:
    """easy_ViTPose's {track: joints} of one frame."""
    return [{"keypoints": points, "track_id": track} for track, points in people.items()]


def _is_frame(item: Any) -> bool:
    if isinstance(item, dict):
        return isinstance(_people_of(item), list)
    return isinstance(item, list) and all(
        isinstance(entry, dict) and any(key in entry for key in _POINT_KEYS) for entry in item
    )


def _people_of(item: dict) -> Any:
    return next((item[key] for key in _PEOPLE_KEYS if key in item), None)


def _people(path: Path, frame: dict, key: str, image_key: str) -> list:
    people = _entry(path, f"frame {str(frame.get(image_key))[:60]}", frame, key)
    if not isinstance(people, list):
        fail(path, f"frame {str(frame.get(image_key))[:60]} '{key}' is no list", "one entry a person")
    return people


def _number_if_bare(image: str) -> Any:
    return int(image) if re.fullmatch(r"0|[1-9]\d{0,14}", image, re.ASCII) else image


def _place_in_frame(_number: int, image: Any) -> str:
    return f"frame {str(image)[-60:]}"


def _place_in_file(_number: int, _image: Any) -> str:
    return "a person"


def _entry(path: Path, where: str, content: Any, key: str) -> Any:
    if not isinstance(content, dict) or key not in content:
        fail(path, f"{where} has no '{key}'", f"'{key}' in each, as its program writes")
    return content[key]
