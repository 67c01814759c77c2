"""The keypoints of a prepared sequence: the set's own, those of a file, or projected ones with a detector's errors.

Which joints they are is not believed but proven: the body, projected by the set's camera, has to lie on them, nearer than
its mirror image and than in any other order of as many joints.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import H36M_JOINT_COUNT, H36M_MIRROR_ORDER, MM_PER_M
from kinemesh.errors import UserError
from kinemesh.geometry.camera import project
from kinemesh.geometry.keypoints import LEAST_KEYPOINTS, fill_missing
from kinemesh.keypoints.detections import Detections
from kinemesh.keypoints.formats import formats_of_count, to_h36m
from kinemesh.keypoints.reading import LAYOUTS, Reading, read_keypoints
from kinemesh.machine.seeds import Draws, named_generator
from kinemesh.prepare.datasets.sequences import PreparedSequence, file_name
from kinemesh.synthesis.detector import detect
from kinemesh.synthesis.recipe import DEFAULT

_FRAMES_AT_ONCE = 2048
# Of a person's larger side: a detection farther from the body on the mean is somebody else's.
_FARTHEST_SHARE = 0.5
# One order, or side, is nearer than another only if it is clearly so.
_CLEARLY = 0.8
_NUMBER = re.compile(r"\d{1,15}$")
_FILE_ENDINGS = ("", ".json", ".json.gz", ".npz", ".npy")
# What 17 joints may be beside the orders of the formats: SPIN's Human3.6M, whose left leg comes first.
_LEFT_LEG_FIRST = "h36m17, left leg first"
_TO_RIGHT_LEG_FIRST = (0, 4, 5, 6, 1, 2, 3, *range(7, 17))


class Seen(NamedTuple):
    """Where a camera sees a body's 17 joints."""

    px: np.ndarray  # (F, 17, 2)
    px_per_m: np.ndarray  # (F, 17) at each joint's depth
    size_px: np.ndarray  # (F,) larger side of the box around them


class Proof(NamedTuple):
    """Whose joints these are, and how far the projected body's are from them."""

    joint_order: str
    error_px: float  # median over frames of the mean distance of the joints that are seen
    error: float  # the same in parts of the person's larger side
    mirrored_error: float  # with left and right of the keypoints exchanged
    frames: int

    @property
    def is_mirrored(self) -> bool:
        return self.mirrored_error < _CLEARLY * self.error


def see(sequence: PreparedSequence, kinematics: JointKinematics) -> Seen:
    """The body's joints in the pictures. `kinematics` is in float64."""
    joints = joints_m(sequence, kinematics)
    focal, centre = sequence.K[..., [0, 1], [0, 1]], sequence.K[..., :2, 2]
    if sequence.K.ndim == 3:
        focal, centre = focal[:, None], centre[:, None]
    depth = np.maximum(joints[..., 2], 0.2)
    px = project(joints, focal, centre)
    return Seen(px, focal.mean(axis=-1) / depth, np.ptp(px, axis=1).max(axis=1))


def joints_m(sequence: PreparedSequence, kinematics: JointKinematics) -> np.ndarray:
    """(F, 17, 3) regressed joints in camera axes."""
    poses, betas = torch.from_numpy(sequence.poses), torch.from_numpy(sequence.betas)
    betas = betas.expand(len(poses), -1)
    parts = zip(poses.split(_FRAMES_AT_ONCE), betas.split(_FRAMES_AT_ONCE), strict=True)
    with torch.no_grad():
        joints = torch.cat([kinematics(params_from_axis_angle(*part)) for part in parts])
    return joints.numpy() / MM_PER_M + sequence.trans_m[:, None]


def prove(keypoints_px: np.ndarray, said: str, seen: Seen) -> tuple[np.ndarray, Proof | None]:
    """The 17 H36M joints (F, 17, 3) of keypoints (F, joints, 3), in the order in which the body lies nearest to them.

    `said` is what the file or set calls their order; it stands unless another is clearly nearer. Nothing is proven, and
    the proof None, where hardly a joint is seen.
    """
    orders = (said, *(order for order in formats_of_count(keypoints_px.shape[1]) if order != said))
    mapped = {order: to_h36m(keypoints_px, order) for order in orders}
    if keypoints_px.shape[1] == len(_TO_RIGHT_LEG_FIRST):
        mapped[_LEFT_LEG_FIRST] = keypoints_px[:, list(_TO_RIGHT_LEG_FIRST)]
    errors = {order: _error(points, seen) for order, points in mapped.items()}
    known = {order: error for order, error in errors.items() if error is not None}
    if said not in known:
        return mapped[said], None
    best = min(known, key=lambda order: known[order][1])
    order = best if known[best][1] < _CLEARLY * known[said][1] else said
    mirrored = _error(mapped[order][:, list(H36M_MIRROR_ORDER)], seen)
    error_px, error, frames = known[order]
    return mapped[order], Proof(order, error_px, error, mirrored[1], frames)


def _error(points: np.ndarray, seen: Seen) -> tuple[float, float, int] | None:
    """Medians over frames of the joints' mean distance in pixels and in parts of the person's size, and those frames."""
    is_there = points[..., 2] > 0
    enough = is_there.sum(axis=1) >= LEAST_KEYPOINTS
    if not enough.any():
        return None
    distance = np.linalg.norm(points[enough, :, :2] - seen.px[enough], axis=-1)
    mean = (distance * is_there[enough]).sum(axis=1) / is_there[enough].sum(axis=1)
    return float(np.median(mean)), float(np.median(mean / np.maximum(seen.size_px[enough], 1.0))), int(enough.sum())


def noisy(sequence: PreparedSequence, seen: Seen, fps: float) -> np.ndarray:
    """(F, 17, 3) keypoints as a detector might report them, of docs/synthesis.md's numbers; the same every time."""
    parts = (seen.px, seen.px_per_m, np.broadcast_to(sequence.image_size, (len(seen.px), 2)))
    px, px_per_m, size = (torch.tensor(np.array(part), dtype=torch.float32) for part in parts)
    keys = torch.randint(1 << 62, (len(px),), generator=named_generator(sequence.name))
    if sequence.pictures is None:
        found = detect(Draws(keys[:1]), DEFAULT.noise, px[None], px_per_m[None], size[:1], fps)
    else:
        found = detect(Draws(keys), DEFAULT.noise, px[:, None], px_per_m[:, None], size, fps)
    points = torch.cat((found.keypoints_px, found.confidence[..., None]), dim=-1)
    return points.reshape(-1, *points.shape[2:]).double().numpy()


def filled(keypoints_px: np.ndarray, sequence: PreparedSequence) -> np.ndarray:
    """The same with a place for what is not seen, so that it lies in no corner; confidences stay 0."""
    lengths = np.ones(len(keypoints_px)) if sequence.pictures is not None else [len(keypoints_px)]
    return fill_missing(torch.tensor(keypoints_px), np.array(lengths, dtype=np.int64)).numpy()


class KeypointFile:
    """Keypoints of a file or folder that inference reads, matched by picture and by where the body is seen.

    `counted_from` is the number of a video's first picture, as the set counts.
    """

    def __init__(self, path: Path, counted_from: int):
        if not path.exists():
            raise UserError(f"--keypoints {path} not found. Expected {LAYOUTS}; or set, projected or none.")
        self.path, self._reading = path, Reading(first_frame=counted_from)
        self._images: dict[str, list[int]] | None = None
        self._last: tuple[str, Detections] | None = None

    def of(self, sequence: PreparedSequence, seen: Seen) -> tuple[np.ndarray, str]:
        """Keypoints (F, joints, 3) and their order; 0 where nobody was detected near by. Raises UserError."""
        video = sequence.video or sequence.name
        for part in video.split("/") if sequence.pictures is None else ():
            file_name(self.path, part, "what the set calls a video")
        if sequence.pictures is None and self.path.is_dir() and not self._has(video):
            return np.zeros((len(sequence.frames), H36M_JOINT_COUNT, 3)), "h36m17"
        if sequence.pictures is None:
            found = self._detections(video)
            frames = np.searchsorted(sequence.frames, found.frame).clip(max=len(sequence.frames) - 1)
            rows = np.flatnonzero(sequence.frames[frames] == found.frame)
            frames = frames[rows]
        else:
            found = self._detections("")
            pairs = [
                (frame, row) for frame, name in enumerate(sequence.pictures) for row in self._rows_of(Path(name).stem)
            ]
            frames, rows = (
                np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ()))
            )
        points = found.keypoints_px[rows].astype(np.float64)
        kept = np.zeros((len(sequence.frames), *found.keypoints_px.shape[1:]))
        h36m = to_h36m(points, found.joint_order)
        is_there = h36m[..., 2] > 0
        distance = (np.linalg.norm(h36m[..., :2] - seen.px[frames], axis=-1) * is_there).sum(axis=1)
        share = distance / np.maximum(is_there.sum(axis=1), 1) / np.maximum(seen.size_px[frames], 1.0)
        share[is_there.sum(axis=1) < LEAST_KEYPOINTS] = np.inf
        for number in np.argsort(-share):  # the nearest last, which stays
            if share[number] < _FARTHEST_SHARE:
                kept[frames[number]] = points[number]
        return kept, found.joint_order

    def _detections(self, video: str) -> Detections:
        if self._last is None or self._last[0] != video:
            self._last = (video, read_keypoints(self._file_of(video), self._reading))
            if not video:
                self._images = {}
                for row, name in enumerate(self._last[1].person.tolist()):
                    # People of one picture are told apart by a number behind its name.
                    for stem in {name, name.rpartition("_")[0]}:
                        self._images.setdefault(stem, []).append(row)
        return self._last[1]

    def _rows_of(self, picture: str) -> list[int]:
        """Who was detected in a picture, by its name, or, as COCO's result files have it, by the number that ends the name."""
        number = _NUMBER.search(picture)
        return self._images.get(picture) or self._images.get(str(int(number[0])) if number else "", [])

    def _has(self, video: str) -> bool:
        """Whether anything in the folder is called as a video, or begins so."""
        path = self.path / video
        return path.parent.is_dir() and any(each.name.startswith(path.name) for each in path.parent.iterdir())

    def _file_of(self, video: str) -> Path:
        if not video:
            return self.path
        named = (self.path / f"{video}{ending}" for ending in _FILE_ENDINGS)
        return next((path for path in named if path.exists()), self.path / video)
