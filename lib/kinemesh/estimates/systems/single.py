"""Systems with a file for one person: GVHMR, GEM, and the former's package of that name, TRAM, smplcodec.

Sources of the layouts: GVHMR `tools/demo/demo.py` (frames are the video's, whatever its rate), GEM-SMPL
`scripts/demo/demo_smpl.py` in NVlabs/GENMO, `save_npz` of the package gvhmr, TRAM `scripts/estimate_humans.py` and
`lib/models/hmr_vimo.py`, smplcodec `smplcodec/codec.py`.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.body.params import with_root_turned
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import fail
from kinemesh.estimates.systems.amass import SMPLX_NOTES, before_a_camera, neutral_shapes
from kinemesh.estimates.table import Table, table_of, video_of
from kinemesh.estimates.values import (
    BETAS_SHAPE,
    SHARED_JOINT_COUNT,
    take_entry,
    to_array,
    to_frames,
    to_number,
    to_numbers,
    to_poses,
    without_hands,
)
from kinemesh.files.arrays import read_npz
from kinemesh.geometry.camera import UP_TURNS

SMPLCODEC = "smplcodec"
# Keys of the bodies before the camera, and in a world with y up.
GVHMR_KEYS = ("smpl_params_incam", "smpl_params_global")
GEM_KEYS = ("body_params_incam", "body_params_global")
_OWN_NAMES = ("hmr4d_results", "smpl_params")
# smplcodec's numbers of models, with their joints, and of genders.
_CODEC_MODELS = {0: ("SMPL", SMPL_JOINT_COUNT), 1: ("SMPL+H", SHARED_JOINT_COUNT), 2: ("SMPL-X", SHARED_JOINT_COUNT)}
_CODEC_GENDERS = ("neutral", "male", "female")
_CODEC_PERSON = re.compile(r"subject-(\d+)")  # PromptHMR's


def read_gvhmr(path: Path, content: dict, system: str, keys: tuple[str, str]) -> Table:
    """`body_pose` (F, 63) and `global_orient` (F, 3) of SMPL-X, by preference before the camera. Raises UserError."""
    key = keys[0] if keys[0] in content else keys[1]
    entries = [take_entry(path, f"'{key}' ", content[key], name) for name in ("global_orient", "body_pose")]
    video = video_of(path, _OWN_NAMES).removesuffix("_mix")
    return _smplx_person(path, system, video, f"'{key}' ", entries, is_world=key == keys[1])


def read_gvhmr_npz(path: Path, names: list[str]) -> Table:
    """What `save_npz` of the package gvhmr writes: the same by `camera_` and `world_`, and `fps`. Raises UserError."""
    side = "camera_" if "camera_body_pose" in names else "world_"
    keys = (f"{side}global_orient", f"{side}body_pose")
    given = read_npz(path, keys, ("fps",), what="the npz of gvhmr")
    rate = float(to_number(path, "'fps'", given["fps"])) if "fps" in given else None
    video = video_of(path, _OWN_NAMES)
    entries = [given[key] for key in keys]
    return _smplx_person(path, "gvhmr", video, side, entries, is_world=side == "world_", fps=rate)


def _smplx_person(
    path: Path, system: str, video: str, where: str, entries: list[Any], *, is_world: bool, **more
) -> Table:
    root = to_array(path, f"{where}'global_orient'", entries[0])
    count = len(root) if root.ndim else 0
    poses = (
        to_poses(path, f"{where}'global_orient'", root, count, 1),
        to_poses(path, f"{where}'body_pose'", entries[1], count, SHARED_JOINT_COUNT - 1),
    )
    poses = without_hands(np.concatenate(poses, axis=1))
    if is_world:
        poses = with_root_turned(poses, UP_TURNS["camera"].T)
        more["world_up"] = "y"
    bodies = poses, np.zeros((count, BETA_COUNT), np.float32)
    return table_of(path, system, (video, ""), np.arange(count), bodies, notes=SMPLX_NOTES, **more)


def read_tram(path: Path, content: dict) -> Table:
    """`results/<video>/hps/hps_track_<number>.npy`, before the camera: `camera.npy` is not needed. Raises UserError."""
    frame = to_frames(path, "'frame'", take_entry(path, "", content, "frame"))
    poses = to_poses(path, "'pred_rotmat'", content["pred_rotmat"], len(frame))
    betas = to_numbers(path, "'pred_shape'", take_entry(path, "", content, "pred_shape"), BETAS_SHAPE, len(frame))
    is_own = path.stem.startswith("hps_track_")
    video = video_of(path, (path.stem,), ("hps",)) if is_own else path.stem
    person = path.stem.removeprefix("hps_track_") if is_own else ""
    return table_of(path, "TRAM", (video, person), frame, (poses, betas))


def read_smplcodec(path: Path) -> Table:
    """`bodyPose` (F, 22, 3) of SMPL-X or SMPL+H, (F, 24, 3) of SMPL, in a world; `shapeParameters`. Raises UserError."""
    numbers = ("smplVersion", "gender", "frameRate")
    given = read_npz(path, ("bodyPose",), (*numbers, "shapeParameters"), what="smplcodec's .smpl")
    version, gender, rate = (to_number(path, f"'{key}'", given[key]) if key in given else None for key in numbers)
    version, gender = 2 if version is None else version, gender or 0
    if version not in _CODEC_MODELS or gender not in range(len(_CODEC_GENDERS)):
        fail(path, f"'smplVersion' is {version}, 'gender' {gender}", "0, 1 or 2: SMPL, SMPL+H or SMPL-X, of 0, 1 or 2")
    model, joints = _CODEC_MODELS[version]
    count = len(given["bodyPose"]) if given["bodyPose"].ndim else 0
    poses = to_poses(path, "'bodyPose'", given["bodyPose"], count, joints)
    whose = (model, _CODEC_GENDERS[int(gender)])
    shape, notes = neutral_shapes(path, "'shapeParameters'", given.get("shapeParameters"), whose, count)
    poses, up = before_a_camera(poses if model == "SMPL" else without_hands(poses), "y")
    person = _CODEC_PERSON.fullmatch(path.stem)
    names = (path.resolve().parent.name, person[1]) if person else (path.stem, "")
    more = {"fps": rate, "notes": notes, "world_up": up}
    return table_of(path, SMPLCODEC, names, np.arange(count), (poses, shape), **more)
