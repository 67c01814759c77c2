"""Systems that say of each frame who is in it: PHALP (4D-Humans, TokenHMR), ROMP and BEV, NLF.

Sources of the layouts: PHALP `phalp/trackers/PHALP.py`, ROMP `simple_romp/romp/utils.py` (`ResultSaver`,
`save_video_results`), for NLF what `detect_smpl_batched` returns, as its users pickle it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.errors import fail, fail_on_array
from kinemesh.estimates.systems.amass import SMPLX_NOTES
from kinemesh.estimates.table import Table, table_of, video_and_number, video_of, videos_and_numbers
from kinemesh.estimates.values import (
    BETAS_SHAPE,
    SMPLX_JOINT_COUNT,
    take_entry,
    to_array,
    to_frames,
    to_name,
    to_numbers,
    to_poses,
    without_hands,
)

_OWN_IMAGE = re.compile(r"\d{8}")
# What each is a list of, one of a frame, in NLF's result.
NLF_KEYS = ("pose", "betas", "trans")


def read_phalp(path: Path, content: dict) -> Table:
    """{frame path: `tid`, `smpl` of rotation matrices}. Raises UserError."""
    places: list[tuple[int, str]] = []  # number of the frame in the file, person
    bodies: list[dict] = []
    for number, (name, people) in enumerate(content.items()):
        name = to_name(path, "a frame", name[0] if isinstance(name, tuple) and len(name) == 2 else name)
        where = f"frame {name[-60:]!r} "
        tracks, smpl = take_entry(path, where, people, "tid"), take_entry(path, where, people, "smpl")
        if not (isinstance(tracks, list) and isinstance(smpl, list) and len(tracks) == len(smpl)):
            fail(path, f"{where}'smpl' is not a list as long as 'tid'", "one body a person")
        # A track that was not seen keeps its last body for a while: that is no prediction for this frame.
        unseen = people.get("tracked_time")
        unseen = unseen if isinstance(unseen, list) and len(unseen) == len(tracks) else [0] * len(tracks)
        if not all(isinstance(track, int | np.integer | str) for track in tracks):
            fail(path, f"{where}'tid' is not a list of numbers", "one number a person")
        for track, body, frames_unseen in zip(tracks, smpl, unseen, strict=True):
            if not (isinstance(frames_unseen, int | np.integer) and frames_unseen > 0):
                places.append((number, to_name(path, f"{where}'tid'", track)))
                bodies.append(body)
    if not bodies:
        fail(path, "no frame has a body", "at least one")
    names = list(content)
    first_image = None
    if all(isinstance(name, tuple) and len(name) == 2 for name in names):  # video and time stamp: never were images
        videos = [Path(str(video)).stem for video, _ in names]
        numbers = to_frames(path, "'time'", [people.get("time") for people in content.values()])
    else:
        videos, numbers = videos_and_numbers(path, "'frame path'", [str(name) for name in names])
        first_image = int(numbers.min())

    def place(row: int) -> str:
        number, person = places[row]
        return f"of frame {str(names[number])[-60:]!r} person {person!r}"

    def stacked(key: str, shape: tuple[int, ...]) -> np.ndarray:
        arrays = [
            to_array(path, f"'smpl' {key!r}", body.get(key) if isinstance(body, dict) else None) for body in bodies
        ]
        for row, array in enumerate(arrays):
            if array.shape != shape:
                fail(path, f"'smpl' {key!r} {place(row)} has shape {array.shape}", f"shape {shape}")
        return to_numbers(path, f"'smpl' {key!r}", np.stack(arrays), shape, len(arrays), place=place)

    rotations = np.concatenate((stacked("global_orient", (1, 3, 3)), stacked("body_pose", (23, 3, 3))), axis=1)
    poses = to_poses(path, "'smpl'", rotations, len(rotations), place=place)
    betas = stacked("betas", BETAS_SHAPE)
    rows = np.array([number for number, _ in places])
    people_names = [person for _, person in places]
    return table_of(
        path, "PHALP", (np.array(videos)[rows], people_names), numbers[rows], (poses, betas), first_image=first_image
    )


class _Frame(NamedTuple):
    """The P people of a frame."""

    poses: np.ndarray  # (P, 72)
    betas: np.ndarray  # (P, 10)
    places_m: np.ndarray  # (P, 3)
    ids: list[str] | None  # None: not said


def read_romp(path: Path, results: Any) -> Table:
    """One image's `smpl_thetas` (P, 72), `smpl_betas`, `cam_trans` (P, 3), or {image: such} of a whole video; `track_ids`
    where people were tracked. Raises UserError."""
    if isinstance(results, dict) and "smpl_thetas" in results:
        found = video_and_number(path.stem, path.stem)
        video, number = (path.resolve().parent.name, found[1]) if found else (path.stem, 0)
        frames, numbers, names = [_romp_frame(path, "", results)], np.array([number]), None
    else:
        video = video_of(path, ("video_results",))
        names = [to_name(path, "an image", name) for name in results]
        numbers = videos_and_numbers(path, "image", names)[1]
        frames = [_romp_frame(path, f"image {name[-60:]!r} ", results[name]) for name in results]
    # Images that it has taken out of a video itself have names of eight digits, from 0 on.
    is_own = _OWN_IMAGE.fullmatch(Path(path.stem if names is None else names[0]).stem)
    return _of_frames(path, "ROMP", video, numbers, frames, 0 if is_own else int(numbers.min()))


def _romp_frame(path: Path, where: str, people: Any) -> _Frame:
    poses = to_array(path, f"{where}'smpl_thetas'", take_entry(path, where, people, "smpl_thetas"))
    count = len(poses) if poses.ndim else 0
    betas = to_array(path, f"{where}'smpl_betas'", take_entry(path, where, people, "smpl_betas"))
    if betas.ndim != 2 or betas.shape[1] < BETA_COUNT:
        fail_on_array(path, f"{where}'smpl_betas'", betas, f"(people, {BETA_COUNT})")
    place = take_entry(path, where, people, "cam_trans")
    ids = people.get("track_ids")
    if ids is not None:
        ids = [str(number) for number in to_frames(path, f"{where}'track_ids'", ids, count).tolist()]
    return _Frame(
        to_poses(path, f"{where}'smpl_thetas'", poses, count),
        # BEV's eleventh says how much of a child somebody is.
        to_numbers(path, f"{where}'smpl_betas'", betas[:, :BETA_COUNT], BETAS_SHAPE, count),
        to_numbers(path, f"{where}'cam_trans'", place, (3,), count),
        ids,
    )


def read_nlf(path: Path, content: dict) -> Table:
    """Lists over frames of `pose` (P, 72) or of SMPL-X (P, 165), `betas` (P, 10), `trans` (P, 3) m. Raises UserError."""
    lists = [take_entry(path, "", content, key) for key in NLF_KEYS]
    if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
        fail(path, f"{', '.join(map(repr, NLF_KEYS))} are not lists of one length", "one item a frame")
    frames, notes = [], ()
    for number, (poses, betas, trans) in enumerate(zip(*lists, strict=True)):
        where = f"frame {number} "
        poses = to_array(path, f"{where}'pose'", poses)
        if not poses.size:
            frames.append(_Frame(*(np.zeros((0, size), np.float32) for size in (72, BETA_COUNT, 3)), None))
            continue
        count = len(poses) if poses.ndim else 0
        is_smplx = poses.ndim == 2 and poses.shape[1] == 3 * SMPLX_JOINT_COUNT
        joints = SMPLX_JOINT_COUNT if is_smplx else SMPL_JOINT_COUNT
        poses = to_poses(path, f"{where}'pose'", poses, count, joints)
        betas = to_numbers(path, f"{where}'betas'", betas, BETAS_SHAPE, count)
        if is_smplx:
            poses, betas, notes = without_hands(poses), np.zeros_like(betas), SMPLX_NOTES
        frames.append(_Frame(poses, betas, to_numbers(path, f"{where}'trans'", trans, (3,), count), None))
    numbers, video, first_image = np.arange(len(frames)), path.stem, None
    found = video_and_number(path.stem, path.stem)
    if len(frames) == 1 and found:  # a file a frame
        video, numbers, first_image = path.resolve().parent.name, np.array([found[1]]), found[1]
    return _of_frames(path, "NLF", video, numbers, frames, first_image, notes)


def _of_frames(
    path: Path, system: str, video: str, numbers: np.ndarray, frames: Sequence[_Frame], first_image: int | None,
    notes: tuple[str, ...] = (),
) -> Table:  # fmt: skip
    if not sum(len(frame.poses) for frame in frames):
        fail(path, "no frame has a body", "at least one")
    counts = [len(frame.poses) for frame in frames]
    poses, betas, places_m = (
        np.concatenate([getattr(frame, name) for frame in frames]) for name in ("poses", "betas", "places_m")
    )
    more: dict = {"first_image": first_image, "notes": notes}
    if any(frame.ids is None for frame in frames):
        person, more["places_m"] = "", places_m
    else:
        person = [name for frame in frames for name in frame.ids]
    return table_of(path, system, (video, person), np.repeat(numbers, counts), (poses, betas), **more)
