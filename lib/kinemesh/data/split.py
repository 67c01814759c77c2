"""What is said of a dataset, and one split of it: the arrays of its frames, and the videos they are from."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.errors import UserError
from kinemesh.geometry.alignment import nearest_rotation
from kinemesh.geometry.keypoints import fill_missing
from kinemesh.structures import BodyParams

_MOST_FRAMES = 65_536  # of a mean


class Source(NamedTuple):
    """A dataset: how its file is read, and what a run does with it."""

    name: str  # in metrics, logs and --dataset
    title: str  # in sentences
    file: str | None  # a pickle or a folder, in the config's `data_root`; None: not used
    file_key: str  # where the config names it
    train_epochs: int  # how many epochs train on it
    fps: float | None  # frames a second of its videos; None, 0: images, which are not tested on
    fps_key: str  # where the config says so
    image_size: tuple[float, float] | None = None  # width and height in pixels; None: by camera, or by `img_hw`
    needs_confidence: bool = True
    is_own: bool = False  # of the layout of docs/data.md, which allows more than the released one
    is_always_validated: bool = True  # also in epochs that do not train on it
    selection_rank: int = 9  # of the datasets that a run tests, the lowest chooses `best_epoch.bin`
    scalar_suffix: str | None = None  # of names in TensorBoard and metrics.jsonl; None: `_name`
    weight: float | None = None  # part of a mix that it is trained in; None: in turn
    batch_size: int | None = None  # None: the config's
    is_validated: bool = True  # whether its test split is scored

    @property
    def is_video(self) -> bool:
        return bool(self.fps)

    @property
    def how_to_leave_out(self) -> str:
        """What takes it out of the config."""
        return f"take '{self.name}' out of datasets" if self.is_own else f"--set {self.file_key}=null"


class Videos(NamedTuple):
    """The videos of a split, in the order of its rows; images have no names and one row each."""

    names: list[str]
    lengths: np.ndarray  # (videos,) int64 frames kept
    file_rows: np.ndarray  # (videos,) int64 where each starts in the file
    file_lengths: np.ndarray  # (videos,) int64 frames in the file


class Reading(NamedTuple):
    """How a split is to be read."""

    path: Path
    sample_stride: int = 1
    needs_estimate: bool = False
    is_mapped: bool = False  # arrays lie in files, and stay there
    is_thorough: bool = False  # every row is looked at, however many there are


@dataclass(frozen=True, eq=False)
class Split:
    """The frames of one split, video after video; F frames."""

    dataset: str
    name: str
    keypoints_px: Tensor | None  # (F, K, 2), or (F, D, K, 2) for D detections of each frame; None: made on the fly
    confidence: Tensor | None  # (F, K) or (F, D, K) as in the file, not yet clipped; None: all ones
    image_size: Tensor  # (2,) or (F, 2) width and height in pixels
    smpl_pose: Tensor  # (F, 72) axis-angle, camera coordinates; with `root_m` those of a world with y up
    smpl_shape: Tensor  # (F, 10)
    estimate_pose: Tensor | None  # (F, 72) another estimator's smpl_pose
    estimate_betas: Tensor | None  # (F, 10)
    video_names: list[str]  # empty for images
    video_lengths: np.ndarray  # (videos,) int64 frames kept
    video_file_rows: np.ndarray  # (videos,) int64 where each starts in the file, before striding
    video_file_lengths: np.ndarray  # (videos,) int64 frames in the file
    sample_stride: int
    fps: float  # frames a second of the file, before striding; 0 for images
    video_actions: list[str] | None = None  # (videos,) what each shows, where the file says
    estimate_state: np.ndarray | None = None  # (F,) int8 of kinemesh.estimates.matching; None: the file's own estimate
    title: str = ""  # of the dataset, in sentences
    camera_matrix: Tensor | None = None  # (3, 3) or (F, 3, 3) in pixels, where the file knows
    still_trans_m: Tensor | None = None  # (F, 3) where bodies are before a camera that stands, where the file knows
    root_m: Tensor | None = None  # (F, 3) path of the body model's origin, of recorded motion

    @property
    def frame_count(self) -> int:
        return len(self.smpl_pose)

    @property
    def arrays(self) -> dict[str, Tensor]:
        """What batches are made of."""
        beside = ("camera_matrix", "still_trans_m")
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in beside}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    @property
    def detection_count(self) -> int:
        """How many times each frame's keypoints were detected."""
        return self.keypoints_px.shape[1] if self.keypoints_px is not None and self.keypoints_px.ndim == 4 else 1

    def first_detection(self, rows: slice | Tensor) -> tuple[Tensor, Tensor | None]:
        """(rows, K, 2) the keypoints that are evaluated, in pixels, and their confidence (rows, K)."""
        by_detection = self.keypoints_px is not None and self.keypoints_px.ndim == 4
        chosen = (rows, 0) if by_detection else rows
        return tuple(None if values is None else values[chosen] for values in (self.keypoints_px, self.confidence))

    def weighed_detection(self, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
        """The same, and (rows, K) how much each keypoint counts, 0 to 1: as much as the others where nothing is said."""
        keypoints, confidence = self.first_detection(rows)
        return keypoints, torch.ones_like(keypoints[..., 0]) if confidence is None else confidence.clamp(0, 1)

    @property
    def video_index(self) -> np.ndarray:
        """(F,) int32 the video of each frame, into `video_names`."""
        return np.repeat(np.arange(len(self.video_lengths), dtype=np.int32), self.video_lengths)

    def video_of(self, rows: np.ndarray) -> np.ndarray:
        """Number of the video that each row of the arrays belongs to."""
        return np.searchsorted(np.cumsum(self.video_lengths), rows, side="right")

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Video name of each row of the arrays, and its frame number in the video as the file has it."""
        video = self.video_of(rows)
        return np.array(self.video_names)[video], rows * self.sample_stride - self.video_file_rows[video]


def mean_body(split: Split, device: torch.device | str = "cpu") -> BodyParams:
    """Chordal mean of each joint's rotation (24, 3, 3) and mean betas (10,) over evenly spaced frames of a split.

    The chordal mean is the rotation nearest to the mean matrix (Hartley et al., Rotation Averaging, 2013).
    """
    step = -(-split.frame_count // _MOST_FRAMES)
    matrices = rotations_from_axis_angle(split.smpl_pose[::step].to(device)).mean(dim=0)
    return BodyParams(nearest_rotation(matrices), split.smpl_shape[::step].mean(dim=0).to(device))


def fill_split(split: Split) -> Split:
    """The split with a place for each keypoint of confidence 0, video by video, as inference has it."""
    keypoints, confidence = split.keypoints_px, split.confidence
    if keypoints is None or confidence is None or bool((confidence > 0).all()):
        return split
    # Of several detections, each by itself.
    values = torch.cat((keypoints, confidence[..., None]), dim=-1).reshape(
        len(keypoints), -1, *keypoints.shape[-2:-1], 3
    )
    filled = [fill_missing(values[:, number], split.video_lengths)[..., :2] for number in range(values.shape[1])]
    return replace(split, keypoints_px=torch.stack(filled, dim=1).reshape(keypoints.shape))


def place_split(split: Split, device: torch.device, data_device: str = "auto") -> Split:
    """The split with its arrays where `data_device` says; a split that is there already is returned as it is.

    "auto": on the device if they take at most half of its free memory, else on the CPU.
    Raises UserError for data_device "cuda" in a run on the CPU.
    """
    arrays = split.arrays
    home = torch.device("cpu")
    if data_device == "cuda":
        if device.type != "cuda":
            raise UserError(f"data_device is cuda, but the run is on {device}. Set data_device: auto, or run on cuda.")
        home = device
    elif data_device == "auto" and device.type == "cuda":
        needed = sum(values.nbytes for values in arrays.values() if values.device != device)
        if needed <= torch.cuda.mem_get_info(device)[0] / 2:
            home = device
    if split.smpl_pose.device.type == home.type:
        return split
    return replace(split, **{name: values.to(home) for name, values in arrays.items()})
