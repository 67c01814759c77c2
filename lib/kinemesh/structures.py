"""What the parts hand to one another.

Shape letters, used in every shape comment: B clips, T frames of a clip, J 24 SMPL joints, K 17 keypoints
(H36M order), V 6890 vertices. Millimetres are named `_mm`; angles are radians; keypoints are network
coordinates in [-1, 1] unless named `_px`.
"""

from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

_SAME_TIME_S = 1e-6
# Where a body touches what it stands on: the order of `TrackWorld.contacts`.
CONTACT_NAMES = ("left_toe", "right_toe", "left_heel", "right_heel", "left_hand", "right_hand")


class BodyParams(NamedTuple):
    """An SMPL body: joint rotations (joint 0 is `global_orient`, the rest `body_pose`) and shape."""

    rotations: Tensor  # (..., J, 3, 3) rotation matrices
    betas: Tensor  # (..., 10)


class BodyMesh(NamedTuple):
    """A posed body in camera axes, its origin at the model's."""

    vertices_mm: Tensor  # (..., V, 3)
    joints_mm: Tensor  # (..., K, 3) regressed from the vertices
    smpl_joints_mm: Tensor | None = None  # (..., J, 3) where the bones turn
    smpl_root_mm: Tensor | None = None  # (..., 1, 3) joint 0, regressed from the vertices as SMPL does at rest


class MeshInputs(NamedTuple):
    """Arguments of `MeshRegressor.forward`."""

    keypoints: Tensor  # (B, T, K, 3) x, y, confidence


class RefineInputs(NamedTuple):
    """Arguments of `MeshRefiner.forward`: the keypoints and another estimator's body."""

    keypoints: Tensor  # (B, T, K, 3) x, y, confidence
    estimate: BodyParams  # rotations (B, T, J, 3, 3), betas (B, T, 10)


class BatchPart(NamedTuple):
    """The place of a training batch in its epoch and step, and which part of it a process has."""

    number: int  # of the batch in the epoch
    first: int  # clip of the whole batch that this part begins with
    whole: int  # clips of the whole batch
    share: float  # of them in this part
    weight: float  # of the part's mean loss in its optimizer step, whose gradients are averaged over processes
    is_last: bool  # of its step


class Batch(NamedTuple):
    """Clips on one device."""

    inputs: MeshInputs | RefineInputs
    target: BodyParams  # rotations (B, T, J, 3, 3), betas (B, T, 10)
    frames: Tensor  # (B, T) int64 row of each frame in its split's arrays
    videos: Tensor  # (B,) int64 number of each clip's video in its split
    counted: Tensor  # (B, T) bool, False for frames that are padding or already counted by another clip
    part: BatchPart | None = None  # in training

    @property
    def whole(self) -> int:
        """Clips of the whole batch that this is a part of."""
        return len(self.frames) if self.part is None else self.part.whole

    def own(self, drawn: Tensor) -> Tensor:
        """This part's rows of what was drawn for the `whole` batch: the same however many processes share it."""
        first = 0 if self.part is None else self.part.first
        return drawn[first : first + len(self.frames)]


class Motion(NamedTuple):
    """Motion of B clips, from which frames are chosen."""

    takes: Tensor  # (B, 2) int64 that name each clip and how many times it was seen before: of equal ones, all is equal
    poses: Tensor  # (B, S, 72) axis-angle, camera coordinates, or a world's with y up where there is a path
    betas: Tensor  # (B, 10)
    root_m: Tensor | None  # (B, S, 3) path of the body model's origin
    there: Tensor  # (B,) int64 how many of the frames are the video's; the last stands in for others


class Synthesis(Protocol):
    """Makes clips of motion; `kinemesh.synthesis.clips.Synthesizer` is one."""

    def source_frames(self, frames: int) -> int:
        """How many frames of motion it needs for a clip of so many."""

    def clips(self, motion: Motion, frames: int, fps: float) -> tuple[Tensor, BodyParams]:
        """Keypoints (B, T, K, 3) as the network reads them, and the bodies."""


class Loader(Sized, Protocol):
    """Batches of one split's clips on one device, as many as its length; `kinemesh.data.loader.ClipLoader` is one."""

    device: torch.device
    split: Any  # a `kinemesh.data.split.Split`
    with_estimate: bool  # whether batches hold another estimator's body
    clip_frames: Tensor  # (clips, T) int64 row of each frame in the split's arrays
    counted: Tensor  # (clips, T) bool, as in `Batch`
    clip_videos: Tensor  # (clips,) int64 number of each clip's video

    def batches(self) -> Iterator[Batch]:
        """Every clip once, as they lie."""

    def of_videos(self, share: Callable[[int, int], tuple[int, int]]) -> "Loader":
        """The clips of some of the videos: of those from 0 up to their number, `share` says which."""


class TrainingLoader(Sized, Protocol):
    """The batches of an epoch in an order of its own; `kinemesh.data` has one of a dataset and one that mixes several."""

    def training_order(self, seed: int, epoch: int) -> Any:
        """What the other methods take as an epoch's order, the same for the same arguments."""

    def training_batches(self, order: Any, first: int, accumulation: int, processes: Any) -> Iterator[Batch]:
        """A process's part of each batch in `order`, from batch number `first` on, with its place and weight."""

    def clips_of_batch(self, order: Any, number: int) -> tuple[Loader, Tensor]:
        """A batch's clips: the loader that has them, and their numbers there (B,)."""


class VideoCamera(NamedTuple):
    """A pinhole camera without distortion. Its axes: x right, y down, z forward, metres."""

    focal_px: float
    centre_px: tuple[float, float]
    image_size: tuple[int, int]  # width, height in pixels


class World(NamedTuple):
    """How a video's camera stands in a world of metres with y up: x_world = rotation @ x_camera + position_m.

    N is the video's frames, counted as tracks' `frame_ids` are, or 1 for a camera that stands.
    """

    rotation: np.ndarray  # (N, 3, 3) float32
    position_m: np.ndarray  # (N, 3) float32
    up: str  # how the vertical is known: "auto" from the bodies, "camera" its own as said, "given", "file"; "unknown": its own, unsaid
    up_error_deg: float  # one standard deviation; nan where it was not estimated
    ground_m: float | None  # height of the floor, 0; None where none was found


class TrackWorld(NamedTuple):
    """A track's bodies in the world of `World`; F frames as the track has."""

    global_orient: np.ndarray  # (F, 3) float32 axis-angle, radians, of the root in the world
    trans_m: np.ndarray  # (F, 3) float32, added to the posed body with that root to place it in the world
    contacts: np.ndarray  # (F, C) float32 in [0, 1]: how likely each of `CONTACT_NAMES` touches something that stands


class Track(NamedTuple):
    """One person of a video, F frames in the order of time; numbers may be missing from `frame_ids`: long gaps."""

    name: str
    frame_ids: np.ndarray  # (F,) int64, counted from 0 in the video
    poses: np.ndarray  # (F, 72) float32 axis-angle, radians, camera axes
    betas: np.ndarray  # (10,) float32, one shape for the whole track
    trans_m: np.ndarray  # (F, 3) float32, added to the posed body to place it in camera axes
    confidence: np.ndarray  # (F,) float32 in [0, 1], mean of the keypoints'; 0 where interpolated
    interpolated: np.ndarray  # (F,) bool, True where no keypoints were given
    joint_seen: np.ndarray | None = None  # (F, K) bool, False where a joint's place is a guess; None: not known
    reprojection_error_px: np.ndarray | None = None  # (F,) float32, mean over seen keypoints, nan where there is none
    world: TrackWorld | None = None  # the same bodies in the world; None: not known


class MeshTrack(NamedTuple):
    """One person of a video whose vertices are the mean of several bodies', which is no posed body; else as `Track`."""

    name: str
    frame_ids: np.ndarray  # (F,) int64, counted from 0 in the video
    bodies: tuple[BodyParams, ...]  # each rotations (F, J, 3, 3) and betas (F, 10) on the CPU
    joints_m: np.ndarray  # (F, K, 3) float32, the mean of the bodies' regressed ones, before `trans_m`
    trans_m: np.ndarray  # (F, 3) float32, added to the mean to place it in camera axes
    confidence: np.ndarray  # (F,) float32 in [0, 1], mean of the keypoints'


class Timeline(NamedTuple):
    """The F frames that outputs cover, by the numbers that keypoints and tracks count in, and when each is shown."""

    fps: float  # the mean rate
    time_s: np.ndarray  # (F,) float64, increasing, seconds after the video's first frame
    first_frame: int = 0  # the number of the first of them
    pictures: np.ndarray | None = (
        None  # (F,) int64 the frame of the video file that shows each; None: of the same number
    )

    @classmethod
    def of_constant_rate(cls, fps: float, frame_count: int) -> "Timeline":
        return cls(fps, np.arange(frame_count) / fps)

    @property
    def elapsed_s(self) -> np.ndarray:
        """(F,) float64, seconds after the first of them."""
        return self.time_s - self.time_s[:1]

    @property
    def is_constant(self) -> bool:
        return bool(np.abs(self.elapsed_s - np.arange(len(self.time_s)) / self.fps).max(initial=0) < _SAME_TIME_S)

    def at_constant_rate(self) -> np.ndarray:
        """(F,) int64: which of the frames, counted from 0, is shown at n / fps."""
        ticks_s = np.arange(len(self.time_s)) / self.fps + _SAME_TIME_S
        return np.searchsorted(self.elapsed_s, ticks_s, side="right") - 1


def map_tensors(function: Callable, *trees: Any) -> Any:
    """`function` of the tensors at each place of nested dicts and named tuples of one form."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    if isinstance(first, dict):
        return {key: map_tensors(function, *(tree[key] for tree in trees)) for key in first}
    return type(first)(*(map_tensors(function, *parts) for parts in zip(*trees, strict=True)))
