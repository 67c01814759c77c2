"""Motions of one person in AMASS's arrays: of AMASS, of `infer_wild_mesh.py` (`<id>.npz`), and of whoever writes them so.

AMASS's layouts, of which only the numbers that are read: SMPL+H `poses` (F, 156) = root 3, body 63, hands 90; SMPL-X
`poses` (F, 165) = root, body 63, jaw, eyes 6, hands 90, or `root_orient` and `pose_body`; a rate. Source: the data set's
download page and Mahmood et al., AMASS, ICCV 2019.
"""

from pathlib import Path

import numpy as np
import torch

from kinemesh.body.params import with_root_turned
from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.data.reading import LARGEST_ANGLE
from kinemesh.errors import UserError, fail, fail_on_array
from kinemesh.estimates.table import Table, table_of
from kinemesh.estimates.values import POSE_SHAPE, to_frames, to_numbers, to_poses, without_hands
from kinemesh.files.arrays import array_names, read_npz
from kinemesh.geometry.camera import UP_TURNS, axis_upward
from kinemesh.geometry.rotation import axis_angle_to_matrix

GENDERS = ("female", "male", "neutral")  # in this order: one name holds the other
RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "framerate")
LAYOUTS = {156: "SMPL+H", 165: "SMPL-X"}
PARTS = ("root_orient", "pose_body")
SMPLX_NOTES = ("hands and face dropped", "SMPL-X's betas are not SMPL's: mean shape")


def read_motion(path: Path) -> Table:
    """Bodies of the file's frames, in camera axes: its own, or where `trans` is of a world those of a level camera.

    Raises UserError.
    """
    what = "SMPL parameters"
    given = read_arrays(path, ("poses", "betas", "gender", "camera", "frame_ids", "trans", *PARTS), what)
    found = with_parts_joined(given)
    if found is None:
        fail(path, "has no 'poses', and no 'root_orient' and 'pose_body' (F, 63)", what)
    poses, layout = found
    count = len(poses)
    if layout == "SMPL":
        poses = to_poses(path, "'poses'", poses, count)
    else:
        poses = without_hands(to_numbers(path, "'poses'", poses, poses.shape[1:], count, LARGEST_ANGLE))
    shape, notes = neutral_shapes(path, "'betas'", given.get("betas"), (layout, gender_of(given.get("gender"))), count)
    frame = np.arange(count)
    if "frame_ids" in given:
        frame = to_frames(path, "'frame_ids'", given["frame_ids"], count)
    # Files of one video's people lie in its folder; motions of whole videos have their names.
    names = (path.resolve().parent.name, path.stem) if "frame_ids" in given else (path.stem, "")
    # As all of AMASS has it.
    otherwise = "camera" if layout == "SMPL" else "z"
    poses, up = (poses, "") if "camera" in given else before_a_camera(poses, otherwise)
    whose = "this project" if "camera" in given else f"AMASS's arrays, {layout}"
    more = {"fps": given["rate"], "notes": notes, "world_up": up}
    if "camera" in given and "trans" in given:
        more["trans_m"] = to_numbers(path, "'trans'", given["trans"], (3,), count)
    return table_of(path, whose, names, frame, (poses, shape), **more)


def neutral_shapes(
    path: Path, where: str, betas: np.ndarray | None, whose: tuple[str, str], count: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Betas (F, 10) of SMPL's neutral body, and what there is to say, of `whose`, a model and one of GENDERS.

    The mean shape stands for one of another shape space. Raises UserError.
    """
    model, gender = whose
    if model == "SMPL-X":
        betas, notes = None, SMPLX_NOTES
    else:
        notes = ("hands dropped",) if model == "SMPL+H" else ()
    if betas is not None and gender != "neutral":
        betas, notes = None, (*notes, f"betas of a {gender} body are not the neutral one's: mean shape")
    if betas is None:
        return np.zeros((count, BETA_COUNT), dtype=np.float32), notes
    if betas.ndim not in (1, 2) or betas.shape[-1] < BETA_COUNT:
        fail_on_array(path, where, betas, f"{BETA_COUNT} or more numbers")
    betas = betas[..., :BETA_COUNT]
    every = np.broadcast_to(betas, (count, BETA_COUNT)) if betas.ndim == 1 or len(betas) == 1 else betas
    return to_numbers(path, where, every, (BETA_COUNT,), count), notes


def before_a_camera(poses: np.ndarray, otherwise: str) -> tuple[np.ndarray, str]:
    """The poses (F, 72) in camera axes, and which axis of a world was up; "": they were in camera axes already.

    A pelvis at rest has its own y axis up. `otherwise`, one of UP_TURNS: where pelvises do not show it.
    """
    root = axis_angle_to_matrix(torch.from_numpy(poses[:, :3]))
    up = axis_upward(root[:, :, 1].mean(dim=0).double().numpy()) or otherwise
    if up == "camera":
        return poses, ""
    return with_root_turned(poses, UP_TURNS["camera"].T @ UP_TURNS[up]), up


def with_parts_joined(given: dict) -> tuple[np.ndarray, str] | None:
    """Poses and the model that they are of, SMPL (F, 72), SMPL+H or SMPL-X; None where the file has none."""
    poses, parts = given.get("poses"), [given[part] for part in PARTS if part in given]
    if poses is not None and poses.ndim == 3 and poses.shape[2] == 3:
        poses = poses.reshape(len(poses), -1)
    if poses is None and [part.shape[1:] for part in parts] == [(3,), (63,)] and len(parts[0]) == len(parts[1]):
        return np.concatenate(parts, axis=1), "SMPL-X"
    if poses is None or poses.ndim != 2:
        return None
    layout = LAYOUTS.get(poses.shape[1], "SMPL" if poses.shape[1:] == POSE_SHAPE else None)
    return layout and (poses, layout)


def read_arrays(path: Path, wanted: tuple[str, ...], what: str) -> dict:
    """Those of the arrays that are there, and `rate`, a float, or None where no key says it. Raises UserError."""
    rate = next((key for key in RATES if key in array_names(path, what=what)), None)
    given = read_npz(path, (), (*wanted, rate) if rate else wanted, what=what)
    if rate is None:
        return {**given, "rate": None}
    array = given.pop(rate)
    if array.size != 1 or array.dtype.kind not in "fiu":
        fail(path, f"'{rate}' is {array.dtype} of shape {array.shape}", "one number")
    return {**given, "rate": float(array.reshape(-1)[0])}


def gender_of(array: np.ndarray | None) -> str:
    """One of GENDERS; neutral where nothing is said. Raises UserError for anything else."""
    if array is None:
        return "neutral"
    text = array.reshape(-1)[0] if array.size and array.dtype.kind in "US" else ""
    text = (text.decode("latin-1") if isinstance(text, bytes) else str(text)).lower()
    found = next((gender for gender in GENDERS if gender in text), None)
    if found is None:
        raise UserError(f"'gender' is {text[:40]!r}, expected one of {', '.join(GENDERS)}.")
    return found
