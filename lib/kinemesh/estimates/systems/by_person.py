"""Systems whose file is {person: arrays over that person's frames}: WHAM, VIBE, TCMR, PyMAF, PromptHMR.

Sources of the layouts: WHAM `demo.py` and `wham_api.py`, VIBE `demo.py`, TCMR and PyMAF, whose `demo.py` are made of it,
PromptHMR `pipeline/pipeline.py` and `phmr_vid.py`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinemesh.body.params import with_root_turned
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.data.reading import LARGEST_ANGLE
from kinemesh.errors import fail
from kinemesh.estimates.systems.amass import SMPLX_NOTES
from kinemesh.estimates.table import Table, table_of, video_of
from kinemesh.estimates.values import (
    BETAS_SHAPE,
    POSE_SHAPE,
    SMPLX_JOINT_COUNT,
    take_entry,
    to_array,
    to_frames,
    to_name,
    to_numbers,
    to_poses,
    without_hands,
)
from kinemesh.geometry.rotation import axis_angle_to_matrix

_OWN_NAMES = ("wham_output", "vibe_output", "tcmr_output", "pymaf_output", "_output")
_ROOT_FIRST = (("poses_root_cam", 1), ("poses_body", SMPL_JOINT_COUNT - 1))


def read_people(path: Path, content: dict, system: str) -> Table:
    """`pose` (F, 72), `betas` (F, 10) and `frame_ids` a person. Raises UserError."""

    def read(where: str, arrays: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = to_frames(path, f"{where}'frame_ids'", take_entry(path, where, arrays, "frame_ids"))
        pose, betas = (take_entry(path, where, arrays, key) for key in ("pose", "betas"))
        pose = to_numbers(path, f"{where}'pose'", pose, POSE_SHAPE, len(frame), LARGEST_ANGLE)
        return frame, pose, to_numbers(path, f"{where}'betas'", betas, BETAS_SHAPE, len(frame))

    return _joined(path, system, content, read)


def read_wham_api(path: Path, content: dict) -> Table:
    """What `WHAM_API` returns: rotation matrices in camera axes, root and body by themselves. Raises UserError."""

    def read(where: str, arrays: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = "frame_id" if "frame_id" in arrays else "frame_ids"
        frame = to_frames(path, f"{where}'{key}'", take_entry(path, where, arrays, key))
        parts = []
        for name, joints in _ROOT_FIRST:
            part = take_entry(path, where, arrays, name)
            parts.append(to_poses(path, f"{where}'{name}'", part, len(frame), joints))
        betas = take_entry(path, where, arrays, "betas")
        return frame, np.concatenate(parts, axis=1), to_numbers(path, f"{where}'betas'", betas, BETAS_SHAPE, len(frame))

    return _joined(path, "WHAM's API", content, read)


def read_prompthmr(path: Path, content: dict) -> Table:
    """`smplx_cam` of each of `people`; where there is none, `smplx_world` through `camera_world`. Raises UserError."""

    def read(where: str, person: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        frame = to_frames(path, f"{where}'frames'", take_entry(path, where, person, "frames"))
        key = "smplx_cam" if "smplx_cam" in person else "smplx_world"
        body = take_entry(path, where, person, key)
        rotations = take_entry(path, f"{where}'{key}' ", body, "rotmat")
        poses = to_poses(path, f"{where}'{key}' 'rotmat'", rotations, len(frame), SMPLX_JOINT_COUNT)
        if key == "smplx_world":
            poses = through_camera(path, poses, frame, content)
        return frame, without_hands(poses), np.zeros((len(frame), BETA_COUNT), np.float32)

    return _joined(path, "PromptHMR", content["people"], read, SMPLX_NOTES)


def through_camera(path: Path, poses: np.ndarray, frame: np.ndarray, content: dict) -> np.ndarray:
    """Poses of a world (F, n) before the camera of their frames: `camera_world` `Rcw` (N, 3, 3)."""
    where = "'camera_world' 'Rcw'"
    turns = take_entry(path, "'camera_world' ", take_entry(path, "", content, "camera_world"), "Rcw")
    turns = to_array(path, where, turns)
    if turns.ndim != 3 or (len(frame) and frame.max() >= len(turns)):
        fail(path, f"{where} has shape {turns.shape}", "a rotation matrix for each frame of the video")
    turns = to_poses(path, where, turns, len(turns), 1)[frame]
    return with_root_turned(poses, axis_angle_to_matrix(torch.from_numpy(turns)).numpy())


def _joined(path: Path, system: str, people: dict, read: Any, notes: tuple[str, ...] = ()) -> Table:
    names, columns = [], []
    for person, arrays in people.items():
        person = to_name(path, "a person", person)
        columns.append(read(f"person {person[:40]!r} ", arrays))
        names += [person] * len(columns[-1][0])
    if not columns:
        fail(path, "has no people", "at least one")
    frame, poses, betas = (np.concatenate(column) for column in zip(*columns, strict=True))
    return table_of(path, system, (video_of(path, _OWN_NAMES), names), frame, (poses, betas), notes=notes)
