"""Values from somebody's file as checked arrays, or one UserError that names file, key and first bad row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.data.reading import LARGEST_ANGLE
from kinemesh.errors import fail, fail_on_array
from kinemesh.files.arrays import LONGEST_TEXT, array_of, is_characters

LARGEST_FRAME = 1 << 31
# Beyond it is nothing of a body, in whatever unit.
LARGEST_NUMBER = 1e6
POSE_SHAPE = (SMPL_JOINT_COUNT * 3,)
BETAS_SHAPE = (BETA_COUNT,)
# Root and 21 joints, which SMPL, SMPL+H and SMPL-X have in common.
SHARED_JOINT_COUNT = 22
SMPLX_JOINT_COUNT = 55
# Far above float32 and half-precision noise, far below what another convention or a scale gives.
ROTATION_TOLERANCE = 0.02
_CHUNK = 1 << 15  # rows converted at a time


def row_number(row: int) -> str:
    """How a row is named in an error, unless the caller knows better."""
    return f"row {row}"


def take_entry(path: Path, where: str, content: Any, key: str) -> Any:
    """`content[key]` of a dict that must have it."""
    if not isinstance(content, dict) or key not in content:
        fail(path, f"{where}'{key}' is missing", f"a dict with '{key}', as its program writes")
    return content[key]


def to_name(path: Path, where: str, value: Any) -> str:
    """A person's or a file's name: text, or a number of at most 64 bits."""
    if isinstance(value, int | np.integer) and abs(value) < 1 << 63:
        return str(value)
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and is_characters([value]):
        return str(value)
    found = "a number of many digits" if isinstance(value, int) else f"{repr(value)[:60]}"
    return fail(path, f"{where} is {found}", f"text of at most {LONGEST_TEXT} characters, or a number")


def to_array(path: Path, where: str, value: Any) -> np.ndarray:
    """Whatever the file holds, as an array."""
    if isinstance(value, torch.Tensor):
        value = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
    try:
        return array_of(value)
    except ValueError as error:
        return fail(path, f"{where} is {error}", "an array")


def to_frames(path: Path, where: str, value: Any, row_count: int | None = None) -> np.ndarray:
    """(F,) int64 frame numbers, none negative."""
    array = to_array(path, where, value)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        fail_on_array(path, where, array, "whole numbers, one a row")
    _check_row_count(path, where, len(array), row_count)
    is_bad = (array < 0) | (array > LARGEST_FRAME)
    if is_bad.any():
        row = int(is_bad.argmax())
        fail(path, f"{where} row {row} is {array[row]}", "frames counted from 0")
    return array.astype(np.int64)


def to_number(path: Path, where: str, value: Any) -> float:
    """One number, whatever array the file holds it in."""
    array = to_array(path, where, value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        fail_on_array(path, where, array, "one number")
    return array.item()


def to_text(path: Path, where: str, value: Any, row_count: int | None = None) -> np.ndarray:
    """(F,) text, at least one row."""
    array = to_array(path, where, value)
    if array.dtype.kind == "O" and array.ndim == 1 and all(isinstance(item, str) for item in array):
        array = to_array(path, where, array.tolist())
    if array.ndim != 1 or array.dtype.kind not in "US":
        fail_on_array(path, where, array, "text, one a row")
    _check_row_count(path, where, len(array), row_count)
    if len(array) == 0:
        fail(path, f"{where} has no rows", "at least one")
    try:
        array = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        is_text = is_characters(array)
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        fail(path, f"{where} holds what is not text", "text, one a row")
    return array


def to_numbers(
    path: Path,
    where: str,
    value: Any,
    shape: tuple[int, ...],
    row_count: int,
    largest: float = LARGEST_NUMBER,
    place: Callable[[int], str] = row_number,
) -> np.ndarray:
    """(F, *shape) float32, writable, finite, and at most `largest`."""
    array = to_array(path, where, value)
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.shape[1:] != shape:
        expected = f"numbers of shape ({', '.join(map(str, ('rows', *shape)))})"
        fail_on_array(path, where, array, expected)
    _check_row_count(path, where, len(array), row_count)
    with np.errstate(over="ignore"):
        values = np.require(array, np.float32, ["C", "W"])
    if values.size == 0:
        return values
    extreme = max(-values.min(), values.max())  # nan where there is any
    if not np.isfinite(extreme):
        row = int((~np.isfinite(values)).reshape(len(values), -1).any(1).argmax())
        fail(path, f"{where} {place(row)} holds nan or infinity", "finite numbers")
    if extreme > largest:
        row = int((np.abs(values) > largest).reshape(len(values), -1).any(1).argmax())
        is_angle = largest == LARGEST_ANGLE
        fault = f"holds {'an angle of ' if is_angle else ''}{np.abs(values[row]).max():.4g}"
        expected = "axis-angle in radians, not degrees" if is_angle else f"numbers of at most {largest:g}"
        fail(path, f"{where} {place(row)} {fault}", expected)
    return values


def to_poses(
    path: Path,
    where: str,
    value: Any,
    row_count: int,
    joint_count: int = SMPL_JOINT_COUNT,
    place: Callable[[int], str] = row_number,
) -> np.ndarray:
    """(F, 3 joint_count) float32 axis-angle, of axis-angle or of rotation matrices, flat or not; UserError for others."""
    array = to_array(path, where, value)
    sizes = {joint_count * 3: "axis-angle", joint_count * 9: "matrices"}
    size = array.size // len(array) if array.ndim > 1 and len(array) else 0
    if size not in sizes or array.dtype.kind not in "fiu":
        expected = (
            f"({row_count}, {joint_count * 3}) axis-angle or ({row_count}, {joint_count}, 3, 3) rotation matrices"
        )
        fail_on_array(path, where, array, expected)
    array = array.reshape(len(array), size)
    if sizes[size] == "axis-angle":
        return to_numbers(path, where, array, (size,), row_count, LARGEST_ANGLE, place)
    rotations = to_numbers(path, where, array, (size,), row_count, place=place)
    return _axis_angle(path, where, rotations.reshape(-1, joint_count, 3, 3), place)


def without_hands(poses: np.ndarray) -> np.ndarray:
    """SMPL's pose (F, 72) of one that begins with the joints it shares with SMPL+H and SMPL-X; hands as at rest."""
    out = np.zeros((len(poses), *POSE_SHAPE), dtype=poses.dtype if poses.dtype.kind == "f" else np.float64)
    out[:, : SHARED_JOINT_COUNT * 3] = poses[:, : SHARED_JOINT_COUNT * 3]
    return out


def _axis_angle(path: Path, where: str, rotations: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
    """(F, 3 J) float32 from J rotation matrices a row; UserError if they are none."""
    poses = []
    for start, matrices in enumerate(torch.from_numpy(rotations).split(_CHUNK)):
        excess = (matrices @ matrices.mT - torch.eye(3)).abs().amax((1, 2, 3))
        is_bad = (excess > ROTATION_TOLERANCE) | (torch.linalg.det(matrices) < 0).any(1)
        if is_bad.any():
            row = int(is_bad.int().argmax())
            fault = f"is not a rotation (R R^T is {excess[row]:.3g} from the identity)"
            if excess[row] <= ROTATION_TOLERANCE:
                fault = "is a reflection"
            fail(path, f"{where} {place(row + start * _CHUNK)} {fault}", f"{rotations.shape[1]} rotation matrices")
        poses.append(axis_angle_from_rotations(matrices))
    return torch.cat(poses).numpy()


def _check_row_count(path: Path, where: str, row_count: int, expected: int | None) -> None:
    if expected is not None and row_count != expected:
        fail(path, f"{where} has {row_count} rows", f"as many as there are frames, {expected}")
