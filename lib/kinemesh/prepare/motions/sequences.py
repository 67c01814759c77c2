"""One motion as SMPL parameters in a world whose y axis points up, whatever file it comes from."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import SMPL_FILE, BodyAssets, load_body_assets, read_smpl, smpl_file
from kinemesh.body.chain import global_rotations
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT, SMPL_JOINT_NAMES
from kinemesh.demo.body import is_stand_in
from kinemesh.demo.splits import StandIn
from kinemesh.errors import UserError
from kinemesh.files.arrays import array_of
from kinemesh.geometry.camera import axis_upward

POSE_COUNT = 3 * SMPL_JOINT_COUNT
# What `--betas` may say of a shape that is not the neutral SMPL body's.
REFIT, IGNORE, MEAN = "refit", "ignore", "mean"
UP_SAID = {"y": "y up", "z": "z up, turned", "camera": "camera axes, turned: up is the camera's, not the ground's"}
_FARTHEST_M = 1e4
_LARGEST_BETA = 20.0
_LARGEST = 1e9  # of pixels, millimetres or anything else that these files hold
_PACKED = (".zip", ".tar", ".bz2", ".xz", ".gz", ".tgz", ".7z", ".rar")


class NotAMotion(Exception):
    """A file, or a part of one, that is left out; the text says why, and files are counted by it."""


class BodyMissingError(UserError):
    """A body model's file that shapes need is not there: of no file of motion the fault."""


class Sequence(NamedTuple):
    """F frames of one person: SMPL's pose about its own root joint, y up, m."""

    name: str
    poses: np.ndarray  # (F, 72) axis-angle, radians
    trans_m: np.ndarray  # (F, 3) added to the posed body
    betas: np.ndarray  # (10,)
    fps: float
    subject: str = ""
    split: str = ""  # as the source publishes it
    gender: str = "neutral"  # of the source's body
    notes: tuple[str, ...] = ()  # what was done, the same words for every sequence that it was done to

    def rows(self, chosen: slice) -> "Sequence":
        """Some of the frames."""
        return self._replace(poses=self.poses[chosen], trans_m=self.trans_m[chosen])


class Choices(NamedTuple):
    """What the user chose; each source takes what it knows."""

    betas: str = REFIT
    up: str = "auto"  # or a key of UP_TURNS
    unit: str = "auto"  # of lengths, or a key of kinemesh.prepare.bvh.skeleton.UNITS
    names: dict[str, str] | None = None  # SMPL's joint -> the file's


class RestBody:
    """A body's joints at rest, linear in its shape, and the shape itself."""

    def __init__(self, v_template: np.ndarray, shapedirs: np.ndarray, J_regressor: np.ndarray):
        self.template, self.directions = v_template, shapedirs
        self.joints_m = J_regressor @ v_template  # (24, 3)
        self.by_shape_m = np.einsum("jv,vdk->jdk", J_regressor, shapedirs)  # (24, 3, 10)

    def rest_joints_m(self, betas: np.ndarray) -> np.ndarray:
        """(24, 3) of a shape (10,)."""
        return self.joints_m + self.by_shape_m @ betas


class Bodies:
    """The neutral body that motions are prepared for, and those that a source's shapes may be of.

    `data_root` holds SMPL's files; None: the stand-in is prepared for, which comes with the program. Raises UserError for
    files that are missing.
    """

    def __init__(self, data_root: Path | None, instead: str = "--betas ignore or --betas mean"):
        self.data_root, self._instead = data_root, instead
        self.assets = StandIn().assets if data_root is None else _smpl(data_root)
        is_made_up = data_root is None or is_stand_in(data_root / SMPL_FILE)
        self.model = "stand-in, not SMPL" if is_made_up else "SMPL neutral"
        self.neutral = RestBody(self.assets.v_template, self.assets.shapedirs, self.assets.J_regressor)
        self._gendered: dict[str, RestBody] = {"neutral": self.neutral}
        self._assets: dict[str, BodyAssets] = {"neutral": self.assets}

    def of(self, gender: str) -> RestBody:
        """SMPL of a gender. Raises BodyMissingError where its file is not under data_root."""
        if gender not in self._gendered:
            body = self.assets_of(gender)
            self._gendered[gender] = RestBody(body.v_template, body.shapedirs, body.J_regressor)
        return self._gendered[gender]

    def assets_of(self, gender: str) -> BodyAssets:
        """SMPL's arrays of a gender, beside the neutral body's regressors. Raises BodyMissingError as `of` does."""
        if gender not in self._assets:
            if self.data_root is None:
                raise BodyMissingError(f"the stand-in has no {gender} body to be refitted to. Give {self._instead}.")
            path = smpl_file(self.data_root, gender)
            if not path.exists():
                raise BodyMissingError(
                    f"{path} not found: betas of a {gender} body need it to be refitted. Put it there "
                    f"(smpl.is.tue.mpg.de), or give {self._instead}."
                )
            self._assets[gender] = replace(self.assets, **read_smpl(path))
        return self._assets[gender]

    def rest_pelvis_m(self, gender: str, betas: np.ndarray, instead: np.ndarray) -> np.ndarray:
        """(3,) at rest of a gendered body, or `instead` where its file is not there."""
        has_file = self.data_root is not None and smpl_file(self.data_root, gender).exists()
        return self.of(gender).rest_joints_m(betas)[0] if has_file else instead

    def refitted(self, gender: str, betas: np.ndarray) -> np.ndarray:
        """Betas (10,) of the neutral body whose surface at rest is nearest to that of a gendered one, pelvis on pelvis.

        Least squares, in closed form: both surfaces are linear in betas.
        """
        source, target = self.of(gender), self.neutral
        surface = source.template + source.directions @ betas - source.rest_joints_m(betas)[0]
        slopes = (target.directions - target.by_shape_m[0]).reshape(-1, BETA_COUNT)
        left = (surface - (target.template - target.joints_m[0])).reshape(-1)
        return np.linalg.solve(slopes.T @ slopes, slopes.T @ left)


def _smpl(data_root: Path) -> BodyAssets:
    if not smpl_file(data_root).exists():
        raise UserError(
            f"{data_root / SMPL_FILE} not found: bodies are prepared for it. Put SMPL's files there (data/README.md) or name "
            "their folder as --data_root; --stand_in prepares for the body that comes with the program, of whom no figure compares."
        )
    return load_body_assets(data_root)


def neutral_shape(bodies: Bodies, gender: str, betas: np.ndarray, choice: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Betas (10,) of the neutral body, the pelvis (3,) at rest of the body that `trans` was meant for, and what was done."""
    if choice == MEAN:
        return np.zeros(BETA_COUNT), bodies.neutral.rest_joints_m(betas)[0], "mean shape instead of the file's"
    if gender == "neutral" or choice == IGNORE:
        said = "" if gender == "neutral" else f"betas of a {gender} body taken as the neutral body's"
        return betas, bodies.neutral.rest_joints_m(betas)[0], said
    refitted = bodies.refitted(gender, betas)
    return refitted, bodies.of(gender).rest_joints_m(betas)[0], f"betas of a {gender} body refitted to the neutral body"


def upward_axis(poses: np.ndarray, rest_joints_m: np.ndarray) -> str:
    """Which of UP_TURNS a motion's world has up: where its bodies' trunks point, on the mean.

    Raises UserError if that is along none of them, as of somebody who lies.
    """
    few = torch.from_numpy(poses[:: max(1, len(poses) // 200)])
    spine = [SMPL_JOINT_NAMES.index(name) for name in ("pelvis", "spine1", "spine2", "spine3")]
    rotations = global_rotations(rotations_from_axis_angle(few).numpy())[:, spine[:-1]]
    bones = np.diff(rest_joints_m[spine], axis=0)
    return axis_of((rotations @ bones[..., None])[..., 0].sum(axis=1).mean(axis=0))


def axis_of(direction: np.ndarray) -> str:
    """The key of UP_TURNS that a direction (3,) is along. Raises UserError if it is along none."""
    name = axis_upward(direction)
    if name is None:
        raise UserError("its person does not stand along an axis, so that up is not known. Say --up y or --up z.")
    return name


def cut_at_gaps(sequence: Any, frames: np.ndarray, step: int = 1) -> Iterator[Any]:
    """The parts of a sequence of either kind where `frames` (F,) go on by `step`; several have numbers behind the name."""
    ends = [*(np.flatnonzero(np.diff(frames) != step) + 1), len(frames)]
    if len(ends) == 1:
        yield sequence
        return
    notes = (*sequence.notes, "cut where frames are missing")
    for number, (start, end) in enumerate(pairwise([0, *ends]), start=1):
        yield sequence.rows(slice(start, end))._replace(name=f"{sequence.name}_{number}", notes=notes)


def finite_floats(value: Any) -> np.ndarray:
    """A value of a file as float64, which may be written to. Raises ValueError that says what else it holds."""
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    try:
        array = value if isinstance(value, np.ndarray) else array_of(value)
        if array.dtype == object:
            array = array_of([array_of(row) for row in array.tolist()])
    except (ValueError, TypeError):
        raise ValueError("is no array") from None
    if array.dtype.kind not in "fiub":
        raise ValueError(f"holds {array.dtype}")
    with np.errstate(invalid="ignore"):  # of numbers that are none
        array = np.array(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("holds NaN or infinity")
    if np.abs(array).max(initial=0) > _LARGEST:
        raise ValueError(f"holds numbers beyond {_LARGEST:g}")
    return array


def checked(poses: np.ndarray, trans_m: np.ndarray, betas: np.ndarray, fps: float) -> tuple[np.ndarray, ...]:
    """Poses (F, 72), trans (F, 3), betas (10 or more,) of a file as float64, betas cut to 10.

    Raises UserError for shapes and values that are none of a motion.
    """
    arrays = {"poses": poses, "trans": trans_m, "betas": betas}
    for name, array in arrays.items():
        try:
            arrays[name] = finite_floats(array)
        except ValueError as error:
            raise UserError(f"'{name}' {error}, expected numbers. Make or download the file again.") from None
    poses, trans_m, betas = arrays.values()
    if poses.ndim != 2 or poses.shape[1] != POSE_COUNT or trans_m.shape != (len(poses), 3) or not len(poses):
        raise UserError(f"'poses' {poses.shape} and 'trans' {trans_m.shape}, expected (F, {POSE_COUNT}) and (F, 3).")
    if betas.ndim != 1 or len(betas) < BETA_COUNT or np.abs(betas[:BETA_COUNT]).max() > _LARGEST_BETA:
        raise UserError(
            f"'betas' of shape {betas.shape} are no shape of a body, expected 10 or 16 of at most {_LARGEST_BETA}."
        )
    if np.abs(trans_m).max() > _FARTHEST_M or np.abs(poses).max() > _FARTHEST_M:
        raise UserError(f"'trans' or 'poses' goes beyond {_FARTHEST_M:.0f}, expected metres and radians.")
    if not 0 < fps <= 10_000:
        raise UserError(f"a rate of {fps} frames a second, expected one above 0.")
    return poses, trans_m, betas[:BETA_COUNT]


def find_in(raw: Path, find: Callable[[Path], list], expected: str) -> list:
    """What a source finds below `raw`. Raises UserError if that is no folder, or there is nothing to read in it."""
    if not raw.is_dir():
        raise UserError(f"--raw {raw}: no such folder. Expected {expected}.")
    found = find(raw)
    if not found:
        packed = sorted(path.name for path in raw.rglob("*") if path.suffix in _PACKED)
        why = f"only {', '.join(packed[:3])}, which are to be unpacked" if packed else "nothing to read in it"
        raise UserError(f"--raw {raw}: {why}. Expected {expected}.")
    return found
