"""Keypoints as arrays: npz and npy of our own layout, and the two kinds of npz that VideoPose3D's scripts write.

Sources of the latter, in facebookresearch/VideoPose3D. `data/prepare_data_2d_custom.py`: an object array `positions_2d`
{video: {action: [(F, 17, 2) a camera]}} and `metadata`, COCO-17 unless it says otherwise. `inference/infer_video_d2.py`
(Detectron2) and `infer_video.py` (Detectron): object arrays `keypoints` and `boxes` of a list a frame, whose item 1 is of
people, (P, 4, 17) x, y, logit, probability and (P, 5) with the score, `segments`, and `metadata` {w, h}.
"""

import logging
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kinemesh.errors import UserError, fail, fail_on_array
from kinemesh.files.arrays import array_names, array_of, read_npy, read_npz, read_object
from kinemesh.keypoints.detections import Detections, Reading, Rows, build_detections
from kinemesh.keypoints.formats import BY_COUNT, FORMATS

logger = logging.getLogger(__name__)

AXES = ("people,frames", "frames,people")
_WHAT = "keypoints"
_DETECTRON = "what VideoPose3D's infer_video_d2.py writes: (people, 4, joints) and (people, 5) of each frame"
_SHAPES = "shape (F, joints, 2 or 3) or (people, F, joints, 2 or 3)"
# From here on Detectron2, and by the logit Detectron, draw a joint. Its height is no more: that of a peak over its box,
# which is low in a wide one.
_LEAST_PROBABILITY, _LEAST_LOGIT = 0.05, 2.0
_ORDERS = {"coco": "coco17", "h36m": "h36m17", "halpe26": "halpe26"}


def read_npz_keypoints(path: Path, prefix: str, reading: Reading) -> Detections:
    """An npz of `keypoints`, with `axes` and `joint_order` if it says them; or VideoPose3D's, the video named `prefix`."""
    names = array_names(path, what=_WHAT)
    if "positions_2d" in names:
        return _read_videopose(path, prefix, reading)
    if {"keypoints", "boxes", "segments"} <= set(names):
        return _read_detectron(path, reading)
    if "frame" in names:
        return _read_rows(path, reading)
    arrays = read_npz(path, ("keypoints",), ("axes", "joint_order"), what=_WHAT)
    axes = str(arrays["axes"]) if "axes" in arrays and reading.axes is None else reading.axes
    order = (
        str(arrays["joint_order"]) if "joint_order" in arrays and reading.joint_order == "auto" else reading.joint_order
    )
    return detections_of_array(arrays["keypoints"], reading._replace(axes=axes, joint_order=order), path)


def read_npy_keypoints(path: Path, reading: Reading) -> Detections:
    """An npy of keypoints."""
    return detections_of_array(read_npy(path, what=_WHAT), reading, path)


def write_rows(file: BinaryIO, detections: Detections, made_of: str) -> None:
    """An npz of detections as they are, a row a person and frame, that `read_keypoints` reads; `made_of` says of what."""
    texts = {"joint_order": np.array(detections.joint_order), "made_of": np.array(made_of)}
    columns = {"frame": detections.frame, "person": detections.person, "keypoints": detections.keypoints_px}
    np.savez_compressed(file, **texts, **columns)


def rows_made_of(path: Path) -> str | None:
    """What `write_rows` was told; None if there is no such file, or none that can be read."""
    try:
        return str(read_npz(path, ("made_of",), what=_WHAT)["made_of"])
    except UserError:
        return None


def _read_rows(path: Path, reading: Reading) -> Detections:
    """What `write_rows` writes."""
    arrays = read_npz(path, ("frame", "keypoints"), ("person", "joint_order"), what=_WHAT)
    frame, keypoints = arrays["frame"], arrays["keypoints"]
    person = arrays.get("person", np.full(len(frame) if frame.ndim else 0, ""))
    if frame.dtype.kind not in "iu" or keypoints.dtype.kind not in "fiu" or keypoints.ndim != 3:
        found = f"{frame.dtype} {frame.shape} and {keypoints.dtype} {keypoints.shape}"
        fail(path, f"'frame' and 'keypoints' are {found}", "whole numbers (N,) and numbers (N, joints, 2 or 3)")
    if not frame.shape == person.shape == keypoints.shape[:1]:
        lengths = f"{frame.shape}, {person.shape}, {keypoints.shape[:1]}"
        fail(path, f"'frame', 'person', 'keypoints' have rows {lengths}", "a row a person and frame")
    order = str(arrays["joint_order"]) if "joint_order" in arrays else None
    rows = Rows("rows of frames", frame.tolist(), person.tolist(), list(keypoints), [np.nan] * len(frame), (), order, 0)
    return build_detections(path, rows, reading._replace(first_frame=reading.first_frame or 0))


def detections_of_array(
    keypoints: np.ndarray, reading: Reading | None = None, path: Path = Path("the array")
) -> Detections:
    """People named "0", "1", ... of an array (F, J, 2 or 3) or (people, F, J, 2 or 3), H36M-17 unless named otherwise.

    Whoever is not there has nan, or confidence 0 throughout. Raises UserError, which calls the array `path`, also for
    four axes of which neither a key nor `reading.axes` says which is time, where people would be more than frames.
    """
    reading = reading or Reading()
    if keypoints.dtype.kind not in "fiu" or keypoints.ndim not in (3, 4) or keypoints.shape[-1] not in (2, 3):
        fail_on_array(path, "'keypoints'", keypoints, _SHAPES)
    if 0 in keypoints.shape[:-1]:
        fail(path, f"'keypoints' is an empty array of shape {keypoints.shape}", f"{_SHAPES}, of somebody")
    if keypoints.ndim == 4:
        keypoints = keypoints.swapaxes(0, 1) if _is_frames_first(path, keypoints.shape, reading.axes) else keypoints
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and counts as missing
        people = keypoints.astype(np.float32).reshape(-1, *keypoints.shape[-3:])
    if people.shape[-1] == 2:
        people = np.concatenate((people, np.ones_like(people[..., :1])), axis=-1)
    people[~np.isfinite(people).all(axis=-1)] = 0
    is_there = (people[..., 2] > 0).any(axis=-1)
    person, frame = np.nonzero(is_there)
    order = "h36m17" if keypoints.shape[-2] not in BY_COUNT or keypoints.shape[-2] == 17 else None
    rows = Rows(
        "an array", frame.tolist(), person.tolist(), list(people[is_there]), [np.nan] * len(frame), joint_order=order
    )
    as_it_stands = reading._replace(first_frame=0, frame_count=reading.frame_count or people.shape[1])
    return build_detections(path, rows, as_it_stands)


def _is_frames_first(path: Path, shape: tuple[int, ...], axes: str | None) -> bool:
    if axes is not None:
        axes = axes.replace(" ", "")
        if axes not in AXES:
            raise UserError(f"{path}: axes {axes[:40]!r}. Expected {' or '.join(AXES)}.")
        return axes == "frames,people"
    if shape[0] > shape[1]:
        raise UserError(
            f"{path}: 'keypoints' of shape {shape} are {shape[0]} people of {shape[1]} frames, or {shape[0]} frames of "
            f"{shape[1]} people. Expected to be told: --keypoint_axes {' or '.join(AXES)}."
        )
    return False


def _read_videopose(path: Path, prefix: str, reading: Reading) -> Detections:
    content = read_object(path, "positions_2d", what=_WHAT)
    if not isinstance(content, dict):
        fail(path, "'positions_2d' is no dict of videos", "VideoPose3D's {video: {action: [(F, 17, 2)]}}")
    found = {}
    for video, actions in content.items():
        for action, cameras in actions.items() if isinstance(actions, dict) else ():
            for number, array in enumerate(cameras if isinstance(cameras, list | tuple | np.ndarray) else ()):
                name = f"{video}/{action}" + (f"/{number}" if len(cameras) > 1 else "")
                found[name] = array
    chosen = {name: array for name, array in found.items() if name.startswith(prefix)}
    if len(chosen) != 1:
        some = ", ".join(list(found)[:6])
        raise UserError(f"{path}: holds {len(found)} videos: {some}. Expected one, named behind the path: {path}/NAME.")
    ((name, array),) = chosen.items()
    array = np.asarray(array)
    if array.ndim != 3:
        fail_on_array(path, f"'positions_2d' {name}", array, "(F, joints, 2 or 3)")
    order = reading.joint_order if reading.joint_order != "auto" else _videopose_order(path, array.shape[1])
    return detections_of_array(array, reading._replace(joint_order=order), path)


def _videopose_order(path: Path, joint_count: int) -> str:
    name = _metadata(path).get("layout_name")
    if name in _ORDERS:
        return _ORDERS[name]
    if joint_count not in FORMATS["coco17"].joint_counts:
        fail(
            path,
            f"'positions_2d' holds {joint_count} joints and 'layout_name' {str(name)[:40]!r}",
            "--keypoint_format NAME",
        )
    return "coco17"


def _metadata(path: Path) -> dict:
    said = read_object(path, "metadata", what=_WHAT) if "metadata" in array_names(path, what=_WHAT) else {}
    return said if isinstance(said, dict) else {}


def _read_detectron(path: Path, reading: Reading) -> Detections:
    _check_size(path, reading.image_size)
    frames, boxes = (read_object(path, key, what=_WHAT) for key in ("keypoints", "boxes"))
    if not all(isinstance(column, list | np.ndarray) and np.shape(column)[:1] for column in (frames, boxes)):
        fail(path, "'keypoints' or 'boxes' is no list of frames", _DETECTRON)
    if len(frames) != len(boxes):
        fail(path, f"'keypoints' are of {len(frames)} frames, 'boxes' of {len(boxes)}", _DETECTRON)
    rows = Rows("Detectron", [], [], [], [], listed=range(len(frames)), counted_from=0)
    for frame in range(len(frames)):
        points = _of_people(path, f"'keypoints' of frame {frame}", frames[frame])
        box = _of_people(path, f"'boxes' of frame {frame}", boxes[frame])
        if not points.size or not box.size:
            continue
        if points.ndim != 3 or points.shape[1] != 4 or box.shape != (len(points), 5):
            fail(path, f"frame {frame} holds keypoints of shape {points.shape}, boxes of shape {box.shape}", _DETECTRON)
        x, y, logit, probability = points.swapaxes(0, 1)
        is_seen = logit >= _LEAST_LOGIT if logit.any() else probability >= _LEAST_PROBABILITY
        rows.keypoints.extend(np.stack((x, y, is_seen), axis=-1))
        rows.scores.extend(box[:, 4].tolist())
        rows.images.extend([frame] * len(points))
        rows.people.extend([None] * len(points))
    return build_detections(path, rows, reading._replace(frame_count=reading.frame_count or len(frames)))


def _of_people(path: Path, what: str, classes: Any) -> np.ndarray:
    """The numbers of a frame's item 1, empty if there is nobody."""
    try:
        array = array_of(classes[1])
    except (ValueError, TypeError, LookupError):
        fail(path, f"{what} are no list of arrays", _DETECTRON)
    if array.dtype.kind not in "fiu":
        fail(path, f"{what} are an array of {array.dtype}", _DETECTRON)
    return array


def _check_size(path: Path, image_size: tuple[int, int] | None) -> None:
    """Raise UserError if the file says that its pictures are of another size."""
    said = _metadata(path)
    size = said.get("w"), said.get("h")
    if image_size is not None and None not in size and size != image_size:
        wanted = "x".join(map(str, image_size))
        raise UserError(
            f"{path}: keypoints of pictures of {str(size[0])[:9]}x{str(size[1])[:9]}, not {wanted}. Give those."
        )
