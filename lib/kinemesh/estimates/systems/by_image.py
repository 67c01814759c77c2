"""Systems whose rows are detections in images: HybrIK, CLIFF, MMHuman3D, PyMAF-X.

Sources of the layouts: HybrIK `scripts/demo_video.py` and `demo_video_x.py` with `hybrik/models/layers/smpl/lbs.py`, CLIFF
`demo.py`, MMHuman3D `demo/estimate_smpl.py` and `demo/estimate_smplx.py` (HumanData),
PyMAF-X `apps/demo_smplx.py`.
"""

import re
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import fail_on_array
from kinemesh.estimates.systems.amass import SMPLX_NOTES
from kinemesh.estimates.table import Table, table_of, video_of, videos_and_numbers
from kinemesh.estimates.values import (
    BETAS_SHAPE,
    SMPLX_JOINT_COUNT,
    take_entry,
    to_array,
    to_frames,
    to_numbers,
    to_poses,
    to_text,
    without_hands,
)
from kinemesh.files.arrays import array_names, read_npz, read_object
from kinemesh.geometry.rotation import quaternion_to_matrix

# What CLIFF writes behind the video's name: its backbone.
_OWN_ENDING = re.compile(r"_cliff_\w+$")
_QUATERNIONS = SMPL_JOINT_COUNT * 4


def read_hybrik(path: Path, content: dict) -> Table:
    """`pred_thetas`: 24 rotation matrices, of HybrIK-X 55; in files of 2021 and 2022 24 quaternions, w first.

    `img_path`, which the oldest files lack, names the frames. Raises UserError.
    """
    thetas = to_array(path, "'pred_thetas'", content["pred_thetas"])
    count, notes = len(thetas) if thetas.ndim else 0, ()
    size = thetas.size // count if count else 0
    if size == _QUATERNIONS:
        quaternions = to_numbers(path, "'pred_thetas'", thetas.reshape(count, size), (size,), count).reshape(-1, 4)
        quaternions = torch.nn.functional.normalize(torch.from_numpy(quaternions[:, [1, 2, 3, 0]]), dim=1)
        thetas = quaternion_to_matrix(quaternions).reshape(count, -1).numpy()
    is_smplx = size == SMPLX_JOINT_COUNT * 9
    if "img_path" in content:
        names = to_text(path, "'img_path'", content["img_path"]).tolist()
        count = len(names)
        video, frame = videos_and_numbers(path, "'img_path'", names)
        first_image = int(frame.min())
    else:
        video, frame, first_image = video_of(path, ("res",)), np.arange(count), None
    poses = to_poses(path, "'pred_thetas'", thetas, count, SMPLX_JOINT_COUNT if is_smplx else SMPL_JOINT_COUNT)
    betas = take_entry(path, "", content, "pred_betas")
    if is_smplx:
        poses, betas, notes = without_hands(poses), np.zeros((count, BETA_COUNT), np.float32), SMPLX_NOTES
    betas = to_numbers(path, "'pred_betas'", betas, BETAS_SHAPE, count)
    return table_of(path, "HybrIK", (video, ""), frame, (poses, betas), first_image=first_image, notes=notes)


def read_cliff(path: Path) -> Table:
    """An image may have several rows, whose people are told apart by `global_t`. Raises UserError."""
    keys = ("imgname", "pose", "shape")
    columns = read_npz(path, keys, ("global_t",), what="CLIFF's results")
    names = to_text(path, "'imgname'", columns["imgname"]).tolist()
    count = len(names)
    own = video_of(path.with_stem(_OWN_ENDING.sub("", path.stem)), ())
    video, frame = videos_and_numbers(path, "'imgname'", names, own)
    poses = to_poses(path, "'pose'", columns["pose"], count)
    betas = to_numbers(path, "'shape'", columns["shape"], BETAS_SHAPE, count)
    places_m = None
    if "global_t" in columns:
        places_m = to_numbers(path, "'global_t'", columns["global_t"], (3,), count)
    more = {"first_image": int(frame.min()), "places_m": places_m}
    return table_of(path, "CLIFF", (video, ""), frame, (poses, betas), **more)


def read_pymafx(path: Path, content: dict) -> Table:
    """`pose` (N, 72), whose first 22 joints are SMPL-X's, `frame_ids` from 0, and `orig_cam_t` (N, 3), by which people are
    told apart: `person_ids` are of detections, each in one frame. Raises UserError."""
    frame = to_frames(path, "'frame_ids'", content["frame_ids"])
    count = len(frame)
    poses = without_hands(to_poses(path, "'pose'", content["pose"], count))
    places_m = to_numbers(path, "'orig_cam_t'", take_entry(path, "", content, "orig_cam_t"), (3,), count)
    bodies = poses, np.zeros((count, BETA_COUNT), np.float32)
    return table_of(path, "PyMAF-X", (video_of(path, ()), ""), frame, bodies, places_m=places_m, notes=SMPLX_NOTES)


def read_mmhuman3d(path: Path) -> Table:
    """`frame_id` counts the video's frames from 0; files of SMPL-X have none, and one person. Raises UserError."""
    what, names = "MMHuman3D's inference_result.npz", array_names(path, what="MMHuman3D's inference_result.npz")
    video = video_of(path, ("inference_result",))
    if "smplx" in names:
        body = read_object(path, "smplx", what=what)
        full = to_array(path, "'smplx' 'fullpose'", take_entry(path, "'smplx' ", body, "fullpose"))
        count = len(full) if full.ndim else 0
        poses = without_hands(to_poses(path, "'smplx' 'fullpose'", full, count, SMPLX_JOINT_COUNT))
        bodies = poses, np.zeros((count, BETA_COUNT), np.float32)
        return table_of(path, "MMHuman3D", (video, ""), np.arange(count), bodies, notes=SMPLX_NOTES)
    body = read_object(path, "smpl", what=what)
    root = to_array(path, "'smpl' 'global_orient'", take_entry(path, "'smpl' ", body, "global_orient"))
    count, person = len(root) if root.ndim else 0, ""
    poses = (
        to_poses(path, "'smpl' 'global_orient'", root, count, 1),
        to_poses(
            path, "'smpl' 'body_pose'", take_entry(path, "'smpl' ", body, "body_pose"), count, SMPL_JOINT_COUNT - 1
        ),
    )
    betas = to_numbers(path, "'smpl' 'betas'", take_entry(path, "'smpl' ", body, "betas"), BETAS_SHAPE, count)
    frame = np.arange(count)
    if "frame_id" in names:
        frame = to_frames(path, "'frame_id'", read_object(path, "frame_id", what=what), count)
    if "person_id" in names:
        ids = to_array(path, "'person_id'", read_object(path, "person_id", what=what))
        if ids.shape != (count,) or ids.dtype.kind not in "iuUS":
            fail_on_array(path, "'person_id'", ids, "one number a row")
        person = [str(number) for number in ids.tolist()]
    return table_of(path, "MMHuman3D", (video, person), frame, (np.concatenate(poses, axis=1), betas))
