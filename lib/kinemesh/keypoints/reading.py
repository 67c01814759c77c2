"""Reads a file or folder of keypoints, whoever wrote it: what it is follows from its content, never from its name.

docs/keypoints.md has the table of programs, files, how each is recognised and what is read.
"""

from pathlib import Path

from kinemesh.errors import UserError
from kinemesh.keypoints.arrays import detections_of_array, read_npy_keypoints, read_npz_keypoints
from kinemesh.keypoints.detections import Detections, Reading, build_detections
from kinemesh.keypoints.folders import only_file, read_folder
from kinemesh.keypoints.formats import BY_COUNT, joint_order_said
from kinemesh.keypoints.frames import chosen_rows
from kinemesh.keypoints.json_layouts import frames_of, rows_of
from kinemesh.keypoints.json_text import as_array, load_json

__all__ = ["LAYOUTS", "Reading", "read_keypoints"]

LAYOUTS = (
    "AlphaPose, MMPose, OpenPose, COCO, ultralytics, easy_ViTPose or MediaPipe JSON, a folder of one file an image, or an "
    "npz of keypoints; docs/keypoints.md lists them"
)


def read_keypoints(path: Path | str, reading: Reading | None = None) -> Detections:
    """Read a file or folder of any layout of docs/keypoints.md.

    `path` may go on behind a file or folder of several videos: FOLDER/PREFIX. Raises UserError, one line, for what is
    missing, damaged, not recognised, or holds what keypoints cannot be.
    """
    path, reading = Path(path), reading or Reading()
    try:
        path, prefix = _split(path)
        if path.is_dir() and (only := only_file(path, prefix)):
            path, prefix = only, ""
        if path.is_dir():
            rows = read_folder(path, prefix, LAYOUTS, is_order_known=reading.joint_order != "auto")
            return build_detections(path, rows, reading)
        if not path.is_file():
            raise UserError(f"{path} not found. Expected {LAYOUTS}.")
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}. Expected {LAYOUTS}.") from None
    if start.startswith(b"PK"):
        return read_npz_keypoints(path, prefix, reading)
    if start == b"\x93NUMPY":
        return read_npy_keypoints(path, reading)
    return _read_json(path, prefix, reading)


def _split(path: Path) -> tuple[Path, str]:
    """A path that is there, and the name behind it of one of its videos: FOLDER/PREFIX, FILE/NAME."""
    for above in path.parents if not path.exists() else ():
        if above.is_file():
            return above, str(path.relative_to(above))
        if above.is_dir():
            is_prefix = path.parent == above and any(file.name.startswith(path.name) for file in above.iterdir())
            return (above, path.name) if is_prefix else (path, "")
    return path, ""


def _read_json(path: Path, prefix: str, reading: Reading) -> Detections:
    content = load_json(path, LAYOUTS)
    if content == []:
        raise UserError(f"{path}: an empty list, nobody was detected. Expected at least one person.")
    frames = frames_of(path, content)
    array = as_array(content.get("keypoints") if isinstance(content, dict) else content) if frames is None else None
    if array is not None and array.ndim in (3, 4):
        order = BY_COUNT.get(array.shape[-2]) if reading.joint_order == "auto" else reading.joint_order
        return detections_of_array(array, reading._replace(joint_order=order or "auto"), path)
    if frames is None:
        held = f"a {type(content).__name__}"
        if isinstance(content, dict):
            held += f" of {', '.join(repr(key)[:40] for key in list(content)[:6])}"
        raise UserError(f"{path}: not recognised, it holds {held}. Expected {LAYOUTS}.")
    if prefix:
        chosen = chosen_rows([image for image, _ in frames.frames], prefix)
        frames = frames._replace(frames=[frames.frames[place] for place in chosen])
        if not chosen:
            raise UserError(f"{path}: no image in it begins with {prefix!r}. Expected the name of one of its videos.")
    order = joint_order_said(path, content) if reading.joint_order == "auto" else None
    del content
    rows = rows_of(path, frames)
    if not rows.images:
        raise UserError(f"{path}: nobody was detected in it. Expected at least one person.")
    return build_detections(path, rows._replace(joint_order=order or rows.joint_order), reading)
