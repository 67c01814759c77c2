"""BEDLAM, Black et al., CVPR 2023, and BEDLAM2: npz of labels, a row a person and picture. No picture is needed.

`imgname` ("seq_000000/seq_000000_0000.png"), `sub` (the person, within a sequence; not in BEDLAM2, which has one person's pictures behind another's), `pose_cam` (N, 165) of SMPL-X or (N, 72) of
SMPL, axis-angle, `shape` (N, 10, 11 or 16), `trans_cam` (N, 3) and `cam_ext` (N, 4, 4), whose translations add up to the body's,
`cam_int` (N, 3, 3), `gtkps` (N, K, 2 or 3), in pixels, among them the 22 body joints: the first ones in BEDLAM, behind others in
BEDLAM2. So GVHMR's `bedlam.py`, Multi-HMR's `bedlam.py` and CameraHMR's `dataset_train.py` read them. Where among `gtkps` the joints
stand is found, not believed: where the body lies on them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.chain import joint_positions
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import fail
from kinemesh.files.arrays import array_names, read_npz
from kinemesh.geometry.camera import project
from kinemesh.prepare.datasets.bodies import CameraBody, shaped_by_pixels, smpl_poses
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, numbers, step_of, stretches, texts
from kinemesh.prepare.motions.sequences import POSE_COUNT

_WHAT = "BEDLAM's labels"
_KEYS = ("imgname", "pose_cam", "shape", "trans_cam", "cam_ext", "cam_int", "gtkps")
_SMPLX_COUNT, _SHARED_JOINTS = 165, 22
_FRAME = re.compile(r"(\d+)\.\w+$")
_FEW = 8  # frames that tell where the joints are
# Of the person's size: joints of SMPL-X and of SMPL are not quite in one place.
_ON_JOINTS = 0.03


def find_bedlam(raw: Path) -> list[Item]:
    """A part for each file of labels; of a scene that is there at 30 frames a second, not that at 6 too."""
    paths = [
        path for path in sorted(raw.rglob("*.npz")) if {"pose_cam", "trans_cam"} <= set(array_names(path, what=_WHAT))
    ]
    full = {path.name.replace("30fps", "6fps") for path in paths if "30fps" in path.name}
    return [Item(path.name, (path,)) for path in paths if path.name not in full]


def read_bedlam(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everybody of a file, sequence by sequence."""
    path = item.paths[0]
    given = read_npz(path, _KEYS, ("sub",), what=_WHAT)
    names = texts(path, given, "imgname")
    count = len(names)
    values = {
        key: numbers(path, given, key, (count, *shape))
        for key, shape in (
            ("pose_cam", (None,)), ("shape", (None,)), ("trans_cam", (3,)), ("cam_ext", (4, 4)), ("cam_int", (3, 3)),
            ("gtkps", (None, None)),
        )
    }  # fmt: skip
    if values["pose_cam"].shape[1] not in (POSE_COUNT, _SMPLX_COUNT) or values["gtkps"].shape[2] < 2:
        fail(path, f"'pose_cam' has shape {values['pose_cam'].shape}", "(N, 165) of SMPL-X or (N, 72) of SMPL")
    frames = np.array([int(found[1]) if (found := _FRAME.search(name)) else -1 for name in names.tolist()])
    if (frames < 0).any():
        fail(path, f"'imgname' has {names[frames < 0][0][:60]!r}", "names that end in the frame's number")
    folders = np.array([name.rpartition("/")[0] for name in names.tolist()])
    if "sub" in given:
        people = texts(path, given, "sub", count)
    else:  # people follow one another: somebody else's frames begin anew
        begins = np.r_[True, (folders[1:] != folders[:-1]) | (frames[1:] <= frames[:-1])]
        people = np.char.add("person_", np.cumsum(begins).astype(str))
    _, tracks = np.unique(np.char.add(np.char.add(folders, "|"), people), return_inverse=True)
    order = np.lexsort((frames, tracks))
    first: int | None = None
    for rows in np.split(order, np.flatnonzero(np.diff(tracks[order])) + 1):
        own = {key: array[rows] for key, array in values.items()}
        body, first = _body(own, first, place)
        if body is None:
            place.drop("of people whose body lies on none of their gtkps", len(rows))
            continue
        K = own["cam_int"]
        # The camera looks through the picture's middle, whichever way it is held.
        size = np.round(2 * K[0, :2, 2])
        name = f"{path.stem}_{folders[rows[0]]}_{people[rows[0]]}".replace("/", "_")
        notes = (*body.notes, f"joints from number {first} of gtkps on")
        whole = PreparedSequence(
            name, frames[rows], size, K, body.poses, body.betas, body.trans_m, "train", video=folders[rows[0]],
            step=step_of(frames[rows]), notes=notes,
        )  # fmt: skip
        yield from stretches(whole)


def _body(own: dict, first: int | None, place: Workplace) -> tuple[CameraBody | None, int]:
    """Somebody's body, and with which of gtkps his joints begin: where those of the one before did, or where the body lies."""
    poses, trans_m = own["pose_cam"], own["trans_cam"] + own["cam_ext"][:, :3, 3]
    is_smpl = poses.shape[1] == POSE_COUNT
    poses = poses if is_smpl else smpl_poses(poses[:, :3], poses[:, 3:])
    few = np.linspace(0, len(poses) - 1, min(len(poses), _FEW)).round().astype(int)

    def fitted(start: int, rows: np.ndarray | slice) -> tuple[CameraBody, float]:
        px = np.ones((len(poses[rows]), SMPL_JOINT_COUNT, 3))
        px[:, :_SHARED_JOINTS, :2] = own["gtkps"][rows, start : start + _SHARED_JOINTS, :2]
        px[:, _SHARED_JOINTS:] = 0
        K = own["cam_int"][rows]
        if is_smpl:
            body = CameraBody(poses[rows], own["shape"][0, :BETA_COUNT], trans_m[rows], ("SMPL's own labels",))
        else:
            body = shaped_by_pixels(place, poses[rows], trans_m[rows], K, px)
        return body, _error(body, K, px[:, :_SHARED_JOINTS, :2], place)

    starts = range(own["gtkps"].shape[1] - _SHARED_JOINTS + 1)
    for start in (*(() if first is None else (first,)), *starts):
        if start in starts and fitted(start, few)[1] < _ON_JOINTS:
            return fitted(start, slice(None))[0], start
    return None, first or 0


def _error(body: CameraBody, K: np.ndarray, px: np.ndarray, place: Workplace) -> float:
    """Median distance of SMPL's joints from (F, n, 2) in parts of the person's size."""
    rotations = rotations_from_axis_angle(torch.from_numpy(body.poses)).numpy()
    joints = joint_positions(rotations, place.bodies.neutral.rest_joints_m(body.betas))[0] + body.trans_m[:, None]
    seen = project(joints[:, :_SHARED_JOINTS], K[:, None, [0, 1], [0, 1]], K[:, None, :2, 2])
    size = np.maximum(np.ptp(seen, axis=1).max(axis=1), 1.0)
    return float(np.median(np.linalg.norm(seen - px, axis=-1) / size[:, None]))
