"""Human3.6M and MPI-INF-3DHP by the JSON that Moon et al. publish: SMPL fits in the world, cameras, and measured joints.

Human3.6M: `Human36M_subject{S}_smpl_param.json` (3DMPPE, I2L-MeshNet, Pose2Mesh) or `Human36M_subject{S}_SMPL_NeuralAnnot.json`,
{action: {subaction: {frame: {`pose` (72), `shape` (10), `trans` (3)}}}}, metres; `_camera.json`, {camera: {`R`, `t` mm, `f`, `c`}};
`_joint_3d.json`, {action: {subaction: {frame: (17, 3)}}}, world, mm. MPI-INF-3DHP: `MPI-INF-3DHP_SMPL_NeuralAnnot.json`,
{subject: {sequence: {frame: ...}}}, `MPI-INF-3DHP_camera_1k.json` with `R`, `t`, `focal`, `princpt`, `MPI-INF-3DHP_joint_3d.json`
(28, 3), and `MPI-INF-3DHP_1k.json` for the pictures' size. Joints are seen at R x + t. As I2L-MeshNet's `data/Human36M` and NeuralAnnot's
`Human3.6M/demo_smpl.py` and `MPI-INF-3DHP/demo_smpl.py` read them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M
from kinemesh.data.reading import CAMERA_IMAGE_SIZES
from kinemesh.errors import UserError, fail
from kinemesh.prepare.datasets.bodies import camera_body
from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, numbers, step_of, whole
from kinemesh.prepare.motions.sequences import POSE_COUNT

_WHAT = "the JSON that Moon et al. publish"
_WHERE_H36M = (
    "Human36M's annotations of 3DMPPE or I2L-MeshNet (github.com/mks0601/I2L-MeshNet_RELEASE), or NeuralAnnot's"
)
_TRAIN_SUBJECTS, _TEST_SUBJECTS = (1, 5, 6, 7, 8), (9, 11)
_CAMERAS = ("54138969", "55011271", "58860488", "60457274")  # as they number them, from 1
# As they number them, from 2.
_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether",
)  # fmt: skip
_LARGEST_BETA = 3.0  # of a fit; I2L-MeshNet takes the mean shape for one with a larger one
# Of MPI-INF-3DHP's 28 joints those of Human3.6M, as SPIN chooses them, with the right leg first.
_JOINTS_3DHP = [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
_TEST_SUBJECT_3DHP = 8


def find_h36m(raw: Path) -> list[Item]:
    """A part for each subject. Raises UserError where cameras or joints of one are missing."""
    items = []
    for subject in (*_TRAIN_SUBJECTS, *_TEST_SUBJECTS):
        stem = f"Human36M_subject{subject}"
        fits = [*sorted(raw.rglob(f"{stem}_smpl_param.json")), *sorted(raw.rglob(f"{stem}_SMPL_NeuralAnnot.json"))]
        if not fits:
            continue
        others = []
        for kind in ("camera", "joint_3d"):
            found = sorted(raw.rglob(f"{stem}_{kind}.json"))
            if not found:
                raise UserError(
                    f"--raw {raw}: {fits[0].name} is there, {stem}_{kind}.json is missing. Expected it, of {_WHERE_H36M}."
                )
            others.append(found[0])
        items.append(Item(fits[0].name, (fits[0], *others), subject))
    return items


def read_h36m(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everything that one subject does, before each of the four cameras."""
    fits, cameras, joints = item.paths
    held: dict[str, dict] = {}
    for number, key, value in stream_json(cameras, _WHAT):
        held.setdefault(str(number), {})[key] = value
    views = {whole(cameras, number, "a camera"): _camera(cameras, held[number], ("f", "c")) for number in held}
    measured = _joints(joints, 17)
    split = "train" if item.key in _TRAIN_SUBJECTS else "test"
    for action, subaction, frames in stream_json(fits, _WHAT):
        act, subact = whole(fits, action, "an action"), whole(fits, subaction, "a subaction")
        name = _ACTIONS[act - 2] if 2 <= act < 2 + len(_ACTIONS) else f"act{act}"
        for number, (world_to_camera, K) in views.items():
            if not 1 <= number <= len(_CAMERAS):
                fail(cameras, f"camera {number}", "cameras 1 to 4")
            camera = _CAMERAS[number - 1]
            video = f"s_{item.key:02d}_act_{act:02d}_subact_{subact:02d}_ca_{number:02d}"
            yield from _sequence(
                fits, frames, world_to_camera, measured.get((action, subaction)), place,
                PreparedSequence(
                    f"S{item.key}_{name}_{subaction}.{camera}", *_NOTHING, split, action=name, camera=camera, video=video
                )._replace(image_size=np.array(CAMERA_IMAGE_SIZES[camera]), K=K),
            )  # fmt: skip


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
    first = next((entry for section, _, entry in stream_json(pictures, _WHAT) if section == "images"), None)
    size = np.array(
        [numbers(pictures, {"size": [(first or {}).get(key)]}, "size", (1,))[0] for key in ("width", "height")]
    )
    views = {(subject, sequence): each for subject, sequence, each in stream_json(cameras, _WHAT)}
    measured = _joints(joints, 28)
    for subject, sequence, frames in stream_json(fits, _WHAT):
        split = "test" if whole(fits, subject, "a subject") == _TEST_SUBJECT_3DHP else "train"
        of_sequence = views.get((subject, sequence))
        for number, held in (of_sequence if isinstance(of_sequence, dict) else {}).items():
            world_to_camera, K = _camera(cameras, held, ("focal", "princpt"))
            known = measured.get((subject, sequence))
            own = None if known is None else (known[0], known[1][:, _JOINTS_3DHP])
            name = f"S{subject}_Seq{sequence}_{number}"
            yield from _sequence(
                fits, frames, world_to_camera, own, place,
                PreparedSequence(name, *_NOTHING, split)._replace(image_size=size, K=K),
            )  # fmt: skip


# Frames, picture, camera and body of a sequence that is still to be read.
_NOTHING = (
    np.zeros(0, np.int64),
    np.zeros(2),
    np.eye(3),
    np.zeros((0, POSE_COUNT)),
    np.zeros(BETA_COUNT),
    np.zeros((0, 3)),
)


def _sequence(
    path: Path,
    held: Any,
    world_to_camera: np.ndarray,
    measured: tuple[np.ndarray, np.ndarray] | None,
    place: Workplace,
    named: PreparedSequence,
) -> Iterator[PreparedSequence]:
    """The bodies of {frame: fit} before a camera, with those joints that were measured."""
    frames = np.array(
        sorted(whole(path, frame, "a frame") for frame in held) if isinstance(held, dict) else [], dtype=np.int64
    )
    if not len(frames):
        return
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
        poses, trans_m = body.poses, body.trans_m
        betas = body.betas
    else:
        parts = [
            camera_body(place, "neutral", poses[row : row + 1], trans_m[row : row + 1], betas[row], world_to_camera)
            for row in range(len(poses))
        ]
        poses, trans_m = (np.concatenate([getattr(part, key) for part in parts]) for key in ("poses", "trans_m"))
    joints_m = None
    if measured is not None:
        rows = np.searchsorted(measured[0], frames).clip(max=len(measured[0]) - 1)
        is_known = measured[0][rows] == frames
        place.drop("without measured joints", (~is_known).sum())
        joints_m = measured[1][rows] @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        chosen = np.flatnonzero(is_known)
        frames, poses, trans_m, joints_m = (values[chosen] for values in (frames, poses, trans_m, joints_m))
        betas = betas if betas.ndim == 1 else betas[chosen]
    if len(frames):
        said = ("fits with a beta above 3 in the mean shape",) if is_wild.any() else ()
        yield named._replace(
            frames=frames, poses=poses, betas=betas, trans_m=trans_m, joints_m=joints_m, step=step_of(frames), notes=said
        )  # fmt: skip


def _camera(path: Path, held: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """World to camera (4, 4), m, and K."""
    world_to_camera, K = np.eye(4), np.eye(3)
    world_to_camera[:3, :3] = numbers(path, held, "R", (3, 3))
    world_to_camera[:3, 3] = numbers(path, held, "t", (3,)) / MM_PER_M
    K[[0, 1], [0, 1]], K[:2, 2] = (numbers(path, held, name, (2,)) for name in names)
    return world_to_camera, K


def _joints(path: Path, count: int) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """By the two names of a recording: frames (F,), and joints (F, count, 3) in m."""
    found = {}
    for outer, inner, held in stream_json(path, _WHAT):
        frames = np.array(
            sorted(whole(path, frame, "a frame") for frame in held) if isinstance(held, dict) else [], dtype=np.int64
        )
        if len(frames):
            joints = np.stack([numbers(path, held, str(frame), (count, 3)).astype(np.float32) for frame in frames])
            found[outer, inner] = frames, joints.astype(np.float64) / MM_PER_M
    return found
