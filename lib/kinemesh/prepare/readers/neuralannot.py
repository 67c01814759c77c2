"""MPI-INF-3DHP by the JSON that Moon et al. publish: SMPL fits in the world, cameras, and measured joints; and what of it is Human3.6M's.

`MPI-INF-3DHP_SMPL_NeuralAnnot.json`, {subject: {sequence: {frame: {`pose` (72), `shape` (10), `trans` (3)}}}}, metres;
`MPI-INF-3DHP_camera_1k.json` with `R`, `t` mm, `focal`, `princpt`; `MPI-INF-3DHP_joint_3d.json` (28, 3), world, mm; and
`MPI-INF-3DHP_1k.json` for the pictures' size. Joints are seen at R x + t. As NeuralAnnot's `MPI-INF-3DHP/demo_smpl.py` reads them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M
from kinemesh.errors import UserError, fail
from kinemesh.prepare.datasets.bodies import camera_body
from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, numbers, step_of, whole, without
from kinemesh.prepare.motions.sequences import POSE_COUNT

WHAT = "the JSON that Moon et al. publish"
_LARGEST_BETA = 3.0  # of a fit; I2L-MeshNet takes the mean shape for one with a larger one
# Of MPI-INF-3DHP's 28 joints those of Human3.6M, as SPIN chooses them, with the right leg first.
_JOINTS_3DHP = [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
_TEST_SUBJECT_3DHP = 8


def find_3dhp(raw: Path) -> list[Item]:
    """One part. Raises UserError where a file is missing."""
    names = [f"MPI-INF-3DHP_{kind}.json" for kind in ("SMPL_NeuralAnnot", "camera_1k", "joint_3d", "1k")]
    found = [next(iter(sorted(raw.rglob(name))), None) for name in names]
    if found[0] is None:
        return []
    if None in found:
        raise UserError(
            f"--raw {raw}: {names[0]} is there, {names[found.index(None)]} is missing. Expected it, of NeuralAnnot's release "
            "(github.com/mks0601/NeuralAnnot_RELEASE)."
        )
    return [Item("MPI-INF-3DHP", tuple(found))]


def read_3dhp(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everybody before every camera that has one; the last subject is the test split, as the set's own test has no fits."""
    fits, cameras, joints, pictures = item.paths
    first = next((entry for section, _, entry in stream_json(pictures, WHAT) if section == "images"), None)
    size = np.array(
        [numbers(pictures, {"size": [(first or {}).get(key)]}, "size", (1,))[0] for key in ("width", "height")]
    )
    views = {(subject, sequence): each for subject, sequence, each in stream_json(cameras, WHAT)}
    measured = joints_by_recording(joints, 28)
    for subject, sequence, frames in stream_json(fits, WHAT):
        split = "test" if whole(fits, subject, "a subject") == _TEST_SUBJECT_3DHP else "train"
        of_sequence = views.get((subject, sequence))
        for number, held in (of_sequence if isinstance(of_sequence, dict) else {}).items():
            world_to_camera, K = camera_of(cameras, held, ("focal", "princpt"))
            bodies = fitted_bodies(fits, frames, world_to_camera, place)
            if bodies is None:
                continue
            named = bodies._replace(name=f"S{subject}_Seq{sequence}_{number}", split=split, image_size=size, K=K)
            if (known := measured.get((subject, sequence))) is not None:
                own = before_camera(known[1][:, _JOINTS_3DHP], world_to_camera)
                yield from with_measured(named, known[0], own, place)
            else:
                yield named


def fitted_bodies(path: Path, held: Any, world_to_camera: np.ndarray, place: Workplace) -> PreparedSequence | None:
    """The bodies of {frame: fit} before a camera (4, 4), which is still to be named; None where there are none."""
    frames = np.array(
        sorted(whole(path, frame, "a frame") for frame in held) if isinstance(held, dict) else [], dtype=np.int64
    )
    if not len(frames):
        return None
    fits = [
        held[str(frame)] if str(frame) in held else fail(path, f"frame {frame} is written otherwise", "plain numbers")
        for frame in frames
    ]
    poses, betas, trans_m = (
        np.stack([numbers(path, fit, key, (count,)) for fit in fits])
        for key, count in (("pose", POSE_COUNT), ("shape", BETA_COUNT), ("trans", 3))
    )
    # One shape for a person: fits of single frames give one each.
    is_wild = np.abs(betas).max(axis=1) > _LARGEST_BETA
    betas[is_wild] = 0
    if (betas == betas[0]).all():
        body = camera_body(place, "neutral", poses, trans_m, betas[0], world_to_camera)
        poses, trans_m, betas = body.poses, body.trans_m, body.betas
    else:
        parts = [
            camera_body(place, "neutral", poses[row : row + 1], trans_m[row : row + 1], betas[row], world_to_camera)
            for row in range(len(poses))
        ]
        poses, trans_m = (np.concatenate([getattr(part, key) for part in parts]) for key in ("poses", "trans_m"))
    said = ("fits with a beta above 3 in the mean shape",) if is_wild.any() else ()
    return PreparedSequence(
        "", frames, np.zeros(2), np.eye(3), poses, betas, trans_m, "", step=step_of(frames), notes=said
    )  # fmt: skip


def with_measured(
    sequence: PreparedSequence,
    frames: np.ndarray,
    joints_m: np.ndarray,
    place: Workplace,
    keypoints_px: np.ndarray | None = None,
) -> Iterator[PreparedSequence]:
    """The frames whose joints (F, 17, 3) in camera axes, and with them keypoints (F, 17, 3), were measured; none, or one sequence."""
    rows = np.searchsorted(frames, sequence.frames)
    is_known = np.isin(sequence.frames, frames)
    if not is_known.any():
        place.drop("without measured joints", len(is_known))
        return
    kept, rows = without(sequence, is_known, "without measured joints", place), rows[is_known]
    kept = kept._replace(joints_m=joints_m[rows], step=step_of(kept.frames))
    yield kept if keypoints_px is None else kept._replace(keypoints_px=keypoints_px[rows], joint_order="h36m17")


def camera_of(path: Path, held: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """World to camera (4, 4), m, and K."""
    world_to_camera, K = np.eye(4), np.eye(3)
    world_to_camera[:3, :3] = numbers(path, held, "R", (3, 3))
    world_to_camera[:3, 3] = numbers(path, held, "t", (3,)) / MM_PER_M
    K[[0, 1], [0, 1]], K[:2, 2] = (numbers(path, held, name, (2,)) for name in names)
    return world_to_camera, K


def before_camera(points_m: np.ndarray, world_to_camera: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the world in the axes of a camera (4, 4)."""
    return points_m @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]


def joints_by_recording(path: Path, count: int) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """By the two names of a recording: frames (F,), and joints (F, count, 3) in m of the world."""
    found = {}
    for outer, inner, held in stream_json(path, WHAT):
        frames = np.array(
            sorted(whole(path, frame, "a frame") for frame in held) if isinstance(held, dict) else [], dtype=np.int64
        )
        if len(frames):
            joints = np.stack([numbers(path, held, str(frame), (count, 3)).astype(np.float32) for frame in frames])
            found[outer, inner] = frames, joints.astype(np.float64) / MM_PER_M
    return found
