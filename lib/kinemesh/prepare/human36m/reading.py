"""Human3.6M: bodies that Moon et al. or MoSh fitted, beside the set's own recordings or the joints that Moon et al. publish.

`Human36M_subject{S}_smpl_param.json` (3DMPPE, I2L-MeshNet, Pose2Mesh) or `Human36M_subject{S}_SMPL_NeuralAnnot.json`,
{action: {subaction: {frame: {`pose` (72), `shape` (10), `trans` (3)}}}}, world, metres; `_camera.json`, {camera: {`R`, `t` mm, `f`,
`c`}}; `_joint_3d.json`, {action: {subaction: {frame: (17, 3)}}}, world, mm. As I2L-MeshNet's `data/Human36M` and NeuralAnnot's
`Human3.6M/demo_smpl.py` read them. Which of the two recordings of an action a subaction is, Moon et al. do not say: it is the
one on which the bodies lie.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import MM_PER_M
from kinemesh.data.reading import CAMERA_IMAGE_SIZES
from kinemesh.errors import UserError, fail
from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.keypoints import joints_m
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, whole
from kinemesh.prepare.human36m.mosh import find_mosh, read_mosh
from kinemesh.prepare.human36m.recordings import (
    CAMERAS,
    WHERE,
    WITHOUT_LENS,
    WORLD,
    Recording,
    find_recordings,
    joints_of,
    recording_before,
    require_before_camera,
    with_keypoints,
    without_lens,
)
from kinemesh.prepare.readers.neuralannot import (
    WHAT,
    before_camera,
    camera_of,
    fitted_bodies,
    joints_by_recording,
    with_measured,
)

_WHERE_FITS = (
    "Human36M's annotations of 3DMPPE or I2L-MeshNet (github.com/mks0601/I2L-MeshNet_RELEASE), or NeuralAnnot's"
)
_TRAIN_SUBJECTS, _TEST_SUBJECTS = (1, 5, 6, 7, 8), (9, 11)
# As Moon et al. number them, from 2.
_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether",
)  # fmt: skip
_FEW = 16  # frames that tell which recording bodies are of
_ON_RECORDING_M = 0.15


def find_h36m(raw: Path) -> list[Item]:
    """The parts of each subject: of MoSh a file each, else one. Raises UserError where what a subject needs is missing."""
    recordings = find_recordings(raw)
    items = []
    for subject in (*_TRAIN_SUBJECTS, *_TEST_SUBJECTS):
        mosh = find_mosh(raw, subject, recordings)
        items += mosh or _find_fits(raw, subject, [each for each in recordings if each.subject == subject])
    if recordings and not items:
        raise UserError(
            f"--raw {raw}: Human3.6M's recordings are there, nobody's SMPL parameters are. Expected {_WHERE_FITS}, or MoSh's."
        )
    return items


def _find_fits(raw: Path, subject: int, recordings: list[Recording]) -> list[Item]:
    stem = f"Human36M_subject{subject}"
    fits = [*sorted(raw.rglob(f"{stem}_smpl_param.json")), *sorted(raw.rglob(f"{stem}_SMPL_NeuralAnnot.json"))]
    if not fits:
        return []
    others = []
    for kind in ("camera",) if recordings else ("camera", "joint_3d"):
        found = sorted(raw.rglob(f"{stem}_{kind}.json"))
        if not found:
            raise UserError(
                f"--raw {raw}: {fits[0].name} is there, {stem}_{kind}.json is missing. Expected it, of {_WHERE_FITS}"
                + (f"; or {WHERE}." if kind == "joint_3d" else ".")
            )
        others.append(found[0])
    own = dict.fromkeys(path for recording in recordings for path in recording.paths)
    return [Item(fits[0].name, (fits[0], *others, *own), (subject, recordings))]


def read_h36m(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everything that one subject does before each of the four cameras, or one recording before one."""
    if isinstance(item.key, Recording):
        yield from read_mosh(item, place, _split(item.key.subject))
        return
    (subject, recordings), (fits, cameras) = item.key, item.paths[:2]
    held: dict[str, dict] = {}
    for number, key, value in stream_json(cameras, WHAT):
        held.setdefault(str(number), {})[key] = value
    views = {whole(cameras, number, "a camera"): camera_of(cameras, held[number], ("f", "c")) for number in held}
    measured = {} if recordings else joints_by_recording(item.paths[2], 17)
    for action, subaction, frames in stream_json(fits, WHAT):
        act, subact = whole(fits, action, "an action"), whole(fits, subaction, "a subaction")
        name = _ACTIONS[act - 2] if 2 <= act < 2 + len(_ACTIONS) else f"act{act}"
        for number, (world_to_camera, K) in views.items():
            if not 1 <= number <= len(CAMERAS):
                fail(cameras, f"camera {number}", "cameras 1 to 4")
            camera = CAMERAS[number - 1]
            bodies = fitted_bodies(fits, frames, world_to_camera, place)
            if bodies is None:
                continue
            sequence = bodies._replace(
                name=f"S{subject}_{name}_{subaction}.{camera}", split=_split(subject), action=name, camera=camera,
                video=f"s_{subject:02d}_act_{act:02d}_subact_{subact:02d}_ca_{number:02d}",
                image_size=np.array(CAMERA_IMAGE_SIZES[camera]), K=K,
            )  # fmt: skip
            if recordings:
                candidates = recording_before(camera, subject, name, recordings)
                yield from _on_recording(sequence, candidates, world_to_camera, place)
            elif (known := measured.get((action, subaction))) is not None:
                yield from with_measured(sequence, known[0], before_camera(known[1], world_to_camera), place)
            else:
                yield sequence


def _split(subject: int) -> str:
    return "train" if subject in _TRAIN_SUBJECTS else "test"


def _on_recording(
    sequence: PreparedSequence, candidates: list[Recording], world_to_camera: np.ndarray, place: Workplace
) -> Iterator[PreparedSequence]:
    """The bodies with the joints, and where they are there the keypoints, of the recording on which they lie."""
    few = sequence.rows(np.linspace(0, len(sequence.frames) - 1, min(len(sequence.frames), _FEW)).round().astype(int))
    own = joints_m(few, place.kinematics)
    best, joints, least = None, np.zeros((0, 17, 3)), _ON_RECORDING_M
    for recording in candidates:
        measured = joints_of(recording)
        is_there = (few.frames >= 0) & (few.frames < len(measured))
        if not is_there.any():
            continue
        measured = before_camera(measured, world_to_camera) if recording.camera == WORLD else measured
        apart = float(np.median(np.linalg.norm(own[is_there] - measured[few.frames[is_there]], axis=-1)))
        if apart < least:
            best, joints, least = recording, measured, apart
    if best is None:
        reason = f"of bodies that lie on no recording of their action, nearer than {_ON_RECORDING_M * MM_PER_M:g} mm"
        place.drop(reason, len(sequence.frames))
        return
    joints, keypoints = with_keypoints(best, joints)
    for seen in with_measured(sequence, np.arange(len(joints)), joints, place, keypoints):
        if seen.keypoints_px is None:
            yield seen
        else:
            require_before_camera(best, seen.joints_m)
            straight = without_lens(seen.joints_m, seen.keypoints_px, seen.K)
            yield seen._replace(keypoints_px=straight, notes=(*seen.notes, WITHOUT_LENS))
