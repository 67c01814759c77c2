"""Human3.6M's own recordings, Ionescu et al., PAMI 2014: joints that were measured, in CDF files of one variable, `Pose`.

Below a subject's folder, `S1`: `MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf` (1, F, 96), mm, in the camera's axes;
`D3_Positions/Directions 1.cdf`, the same in the world's; `D2_Positions/Directions 1.54138969.cdf` (1, F, 64), pixels. 32 joints, of
which 17 are no copies; 50 frames a second. As VideoPose3D's `prepare_data_h36m.py` and mmhuman3d's `data_converters/h36m.py` read them.
Pixels are those of a lens: for x, y of a pinhole's picture and r^2 = x^2 + y^2, x (1 + k1 r^2 + k2 r^4 + k3 r^6 + p1 y + p2 x) + p2 r^2
and the like for y with p1, in the set's own code and 3d-pose-baseline's `cameras.py`. What a lens does is solved for here, since the
set says where each joint is and where it is seen.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import MM_PER_M
from kinemesh.errors import fail
from kinemesh.prepare.datasets.sequences import numbers
from kinemesh.prepare.human36m.cdf import read_cdf

WHERE = "Human3.6M's Poses_D3_Positions_mono and Poses_D2_Positions, unpacked (vision.imar.ro/human3.6m, after registration)"
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
WORLD = ""  # stands for a camera's name
_KINDS = ("D3_Positions_mono", "D3_Positions", "D2_Positions")
_WHAT = "a recording of Human3.6M"
_JOINTS = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
_ALL_JOINTS = 32
_WIDEST = 100.0  # x or y by z, of what is no longer before a camera
WITHOUT_LENS = "keypoints as a pinhole would see them: what the lens does was solved for and taken out"
# What a recording is called for some of the subjects.
_OTHERWISE = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
_NAME = re.compile(r"(?P<name>(?P<action>[A-Za-z]+)( \d)?)(\.(?P<camera>\d{8}))?\.cdf")
_SUBJECT = re.compile(r"S(\d{1,2})")


class Recording(NamedTuple):
    """What one camera, or the world, saw of one recording."""

    subject: int
    name: str  # as "Directions 1"
    action: str
    camera: str  # or WORLD
    joints: Path
    keypoints: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.joints,) if self.keypoints is None else (self.joints, self.keypoints)


def find_recordings(raw: Path) -> list[Recording]:
    """Every recording below a folder whose joints in three dimensions are there, by the files' names."""
    found: dict[tuple[int, str, str], dict[str, Path]] = {}
    actions = {}
    for path in sorted(raw.rglob("*.cdf")):
        kind = next((kind for kind in _KINDS if path.parent.name.endswith(kind)), None)
        subject = next((each for part in reversed(path.parts[:-1]) if (each := _SUBJECT.fullmatch(part))), None)
        named = _NAME.fullmatch(path.name)
        if kind is None or subject is None or named is None or (named["camera"] or WORLD) not in (*CAMERAS, WORLD):
            continue
        key = (int(subject[1]), named["name"], named["camera"] or WORLD)
        actions[key] = _OTHERWISE.get(named["action"], named["action"])
        found.setdefault(key, {})[kind] = path
    return [
        Recording(*key[:2], actions[key], key[2], joints, paths.get("D2_Positions"))
        for key, paths in found.items()
        if (joints := paths.get("D3_Positions" if key[2] == WORLD else "D3_Positions_mono")) is not None
    ]


def recording_before(camera: str, subject: int, action: str, recordings: Iterable[Recording]) -> list[Recording]:
    """The recordings of an action, an action being recorded twice: before this camera, or else in the world."""
    own = [each for each in recordings if (each.subject, each.action) == (subject, action)]
    seen = {each.name: each for each in own if each.camera == WORLD}
    return list((seen | {each.name: each for each in own if each.camera == camera}).values())


def joints_of(recording: Recording) -> np.ndarray:
    """(F, 17, 3) m. Raises UserError."""
    return _points(recording.joints, 3) / MM_PER_M


def with_keypoints(recording: Recording, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Its joints (F, 17, 3), and keypoints (F, 17, 3) in pixels with 1 for confidence, as many as both have frames.

    None for the latter where there is no file. Raises UserError.
    """
    if recording.keypoints is None:
        return joints_m, None
    points = _points(recording.keypoints, 2)[: len(joints_m)]
    return joints_m[: len(points)], np.concatenate((points, np.ones((*points.shape[:2], 1))), axis=-1)


def require_before_camera(recording: Recording, joints_m: np.ndarray) -> None:
    """Raise `UserError` if joints (F, 17, 3) are not where a camera sees them."""
    depth = joints_m[..., 2]
    if depth.min() <= 0 or (np.abs(joints_m[..., :2]).max(axis=-1) > _WIDEST * depth).any():
        fail(recording.joints, "has joints behind the camera", "joints in the camera's axes, z forward")


def camera_matrix(joints_m: np.ndarray, keypoints_px: np.ndarray) -> np.ndarray:
    """K (3, 3) of the pinhole, behind a lens, that sees joints (F, 17, 3), before it, nearest to keypoints (F, 17, 2 or more)."""
    slopes, K = _slopes(joints_m), np.eye(3)
    for axis, terms in enumerate(_lens_terms(slopes)):
        columns = np.concatenate((slopes[:, axis, None], np.ones((len(slopes), 1)), terms), axis=1)
        K[axis, axis], K[axis, 2] = _least_squares(columns, keypoints_px[..., axis].ravel())[:2]
    return K


def without_lens(joints_m: np.ndarray, keypoints_px: np.ndarray, K: np.ndarray) -> np.ndarray:
    """The keypoints (F, 17, 2 or more), in pixels, of joints (F, 17, 3), before the camera, as the pinhole K alone would see them."""
    slopes, seen = _slopes(joints_m), keypoints_px[..., :2].reshape(-1, 2)
    focal, centre = K[[0, 1], [0, 1]], K[:2, 2]
    bent = _lens_terms(slopes) * focal[:, None, None]  # (2, N, terms)
    off = seen - slopes * focal - centre
    coefficients = _least_squares(bent.reshape(-1, bent.shape[-1]), off.T.ravel())
    straight = keypoints_px.copy()
    straight[..., :2] -= (bent @ coefficients).T.reshape(straight[..., :2].shape)
    return straight


def _slopes(joints_m: np.ndarray) -> np.ndarray:
    """(N, 2) x / z and y / z of all joints."""
    return (joints_m[..., :2] / joints_m[..., 2:]).reshape(-1, 2)


def _lens_terms(slopes: np.ndarray) -> np.ndarray:
    """(2, N, 5) by how much k1, k2, k3, p1 and p2 of 1 move x, and y."""
    (x, y), squared = slopes.T, (slopes**2).sum(axis=1)
    radial = slopes.T[..., None] * np.stack((squared, squared**2, squared**3), axis=-1)
    tangential = np.stack((np.stack((x * y, x * x + squared), axis=-1), np.stack((y * y + squared, x * y), axis=-1)))
    return np.concatenate((radial, tangential), axis=-1)


def _least_squares(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The coefficients of columns (N, n) for values (N,), none where the values tell nothing of one."""
    scale = np.maximum(np.abs(columns).max(axis=0), np.finfo(np.float64).tiny)
    return np.linalg.lstsq(columns / scale, values, rcond=1e-9)[0] / scale


def _points(path: Path, axes: int) -> np.ndarray:
    values = read_cdf(path, "Pose", what=_WHAT)
    if values.ndim != 3 or values.shape[0] != 1 or values.shape[2] != _ALL_JOINTS * axes:
        fail(path, f"'Pose' has shape {values.shape}", f"(1, F, {_ALL_JOINTS * axes})")
    return numbers(path, {"Pose": values[0].reshape(-1, _ALL_JOINTS, axes)}, "Pose", (None, None, axes))[:, _JOINTS]
