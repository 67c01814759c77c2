"""The three datasets and how their files are read: once, checked once, kept as float32 tensors in pixels and radians.

Nothing is normalised here: that happens on batches, on the device (kinemesh.data.loader). Every fault of a file is one
UserError that names file, split, key and row. Source: behaviour contract section 1.
"""

import logging
from collections.abc import Callable
from itertools import compress, count, islice, repeat
from operator import ne
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.skeleton import BETA_COUNT, H36M_JOINT_COUNT, SMPL_JOINT_COUNT
from kinemesh.config import Config
from kinemesh.data.actions import read_actions
from kinemesh.data.split import Split
from kinemesh.errors import UserError
from kinemesh.files.arrays import LONGEST_TEXT, array_of
from kinemesh.files.pickles import load_pickle

logger = logging.getLogger(__name__)


class Source(NamedTuple):
    """A dataset: how its file is read, which fields of the config are its own, and what a run does with it."""

    name: str  # in metrics, logs and --dataset
    title: str  # in sentences
    file_key: str  # config key of the file
    train_epochs: Callable[[Config], int]  # how many epochs train on it
    fps_key: str | None  # config key of the frame rate; None for images, which are not tested on
    image_size: tuple[float, float] | None  # width and height in pixels; None: by camera
    needs_confidence: bool = True
    is_always_validated: bool = True  # also in epochs that do not train on it
    selection_rank: int = 9  # of the datasets that a run tests, the lowest chooses `best_epoch.bin`
    scalar_suffix: str | None = None  # of names in TensorBoard and metrics.jsonl; None: `_name`

    @property
    def is_video(self) -> bool:
        return self.fps_key is not None


# In the order in which an epoch trains on them.
SOURCES = {
    source.name: source
    for source in (
        Source(
            "h36m", "H36M", "dt_file_h36m", lambda config: config.warmup_h36m, "fps_h36m", None,
            needs_confidence=False, is_always_validated=False, selection_rank=2, scalar_suffix="",
        ),
        Source("coco", "COCO", "dt_file_coco", lambda config: config.warmup_coco, None, (640.0, 640.0)),
        Source(
            "pw3d", "3DPW", "dt_file_pw3d", lambda config: config.epochs * config.train_pw3d, "fps_pw3d",
            (1920.0, 1920.0), selection_rank=1,
        ),
    )
}  # fmt: skip
CAMERA_IMAGE_SIZES = {
    "54138969": (1000.0, 1002.0),
    "60457274": (1000.0, 1002.0),
    "55011271": (1000.0, 1000.0),
    "58860488": (1000.0, 1000.0),
}
# Two whole turns: more than any exporter writes in radians, less than most poses have in degrees.
LARGEST_ANGLE = 4 * np.pi
READ_KEYS = (
    "joint_2d", "confidence", "smpl_pose", "smpl_shape", "pred_smpl_pose", "pred_smpl_shape", "source", "camera_name",
    "action",
)  # fmt: skip


class Dataset(NamedTuple):
    """What a dataset file holds."""

    source: Source
    train: Split
    test: Split

    def describe(self) -> str:
        """One line for the log."""
        parts = []
        for split in (self.train, self.test):
            videos = len(split.video_names)
            within = f" in {videos:,} video{'s' * (videos != 1)}" if self.source.is_video else ""
            parts.append(f"{split.frame_count:,} {split.name} frames{within}")
        return f"{self.source.title}: {', '.join(parts)}"


def load_dataset(
    name: str, path: str | Path, *, fps: float | None = None, sample_stride: int = 1, needs_estimate: bool = False
) -> Dataset:
    """Read a dataset file of SOURCES[name], every `sample_stride`-th frame of it.

    `needs_estimate`: the file must hold another estimator's `pred_smpl_pose` and `pred_smpl_shape` too; if not
    asked for they are not kept, as where kinemesh.estimates.matching gives others. `fps`: frames a second of the file; None:
    the config's default.
    Raises UserError for a file that cannot be read, or whose arrays are not what the contract says.
    """
    source = SOURCES[name]
    if fps is None:
        fps = getattr(Config, source.fps_key) if source.is_video else 0.0
    what = f"the {source.title} dataset pickle ({source.file_key} in the config)"
    # latin1 reads files of either Python; text written by Python 3 carries its own encoding.
    content = load_pickle(path, what=what, encoding="latin1")
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}. Expected {what}, a dict with 'train' and 'test'.")
    splits = []
    for split_name in ("train", "test"):
        arrays = content.pop(split_name, None)
        if not isinstance(arrays, dict):
            state = "is missing" if arrays is None else f"is a {type(arrays).__name__}"
            raise UserError(f"{path}: '{split_name}' {state}. Expected {what}, with a dict of per-frame arrays there.")
        splits.append(_SplitReader(source, split_name, path, arrays, sample_stride, fps).read(needs_estimate))
    dataset = Dataset(source, *splits)
    logger.info("%s", dataset.describe())
    return dataset


def load_configured(source: Source, config: Config, *, needs_estimate: bool = False) -> Dataset:
    """`load_dataset` of the file that the config names for a source."""
    return load_dataset(
        source.name,
        Path(config.data_root) / getattr(config, source.file_key),
        fps=getattr(config, source.fps_key) if source.is_video else None,
        sample_stride=config.sample_stride,
        needs_estimate=needs_estimate,
    )


class _SplitReader:
    """Takes the arrays of one split out of the file's dict, so that each original is freed once it is converted."""

    def __init__(self, source: Source, name: str, path: str | Path, arrays: dict, sample_stride: int, fps: float):
        self.source, self.name, self.path = source, name, path
        self.arrays = {key: arrays[key] for key in READ_KEYS if key in arrays}
        arrays.clear()
        self.sample_stride, self.fps = sample_stride, fps
        self.row_count: int | None = None

    def read(self, needs_estimate: bool) -> Split:
        pose_shape = (SMPL_JOINT_COUNT * 3,)
        keypoints_px = self.numbers("joint_2d", (H36M_JOINT_COUNT, 2))
        confidence = None
        if self.source.needs_confidence or "confidence" in self.arrays:
            confidence = self.numbers("confidence", (H36M_JOINT_COUNT,))
        smpl_pose = self.numbers("smpl_pose", pose_shape, largest=LARGEST_ANGLE)
        smpl_shape = self.numbers("smpl_shape", (BETA_COUNT,))
        estimate_pose = estimate_betas = None
        if needs_estimate:
            estimate_pose = self.numbers("pred_smpl_pose", pose_shape, largest=LARGEST_ANGLE)
            estimate_betas = self.numbers("pred_smpl_shape", (BETA_COUNT,))
        if self.source.is_video:
            names, lengths, file_rows, file_lengths = self.videos()
        else:
            names, lengths = [], np.ones(len(keypoints_px), dtype=np.int64)
            file_rows, file_lengths = np.arange(len(keypoints_px)) * self.sample_stride, lengths
        actions = read_actions(self.arrays.pop("action", None), file_rows) if names else None
        return Split(
            dataset=self.source.name, name=self.name, keypoints_px=keypoints_px, confidence=confidence,
            image_size=self.image_size(), smpl_pose=smpl_pose, smpl_shape=smpl_shape,
            estimate_pose=estimate_pose, estimate_betas=estimate_betas,
            video_names=names, video_lengths=lengths, video_file_rows=file_rows, video_file_lengths=file_lengths,
            sample_stride=self.sample_stride, fps=self.fps, video_actions=actions,
        )  # fmt: skip

    def numbers(self, key: str, row_shape: tuple[int, ...], largest: float = np.inf) -> Tensor:
        """(F, *row_shape) float32, without a copy where the file's array is that already."""
        array = self.take(key)
        expected = f"numbers of shape (frames, {', '.join(map(str, row_shape))})"
        if isinstance(array, list | tuple):
            try:
                array = array_of(array)
            except ValueError as error:
                self.fail(key, f"is {error}", expected)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            self.fail(key, f"is {held}", expected)
        shape = array.shape
        if key == "joint_2d" and array.ndim == 3:
            array = array[..., :2]  # further channels are confidence or depth
        elif key == "confidence" and array.ndim == 3 and shape[2] == 1:
            array = array[..., 0]
        if array.shape[1:] != row_shape:
            self.fail(key, f"has shape {shape}", expected)
        self.check_row_count(key, len(array))
        values = _to_float32(array[:: self.sample_stride])
        lowest, highest = (bound.item() for bound in values.aminmax())
        if not np.isfinite(lowest + highest):
            self.fail_at(key, values.isfinite().logical_not(), "holds nan or infinity", "finite numbers")
        if max(-lowest, highest) > largest:
            fault = f"holds {max(-lowest, highest):.4g}"
            self.fail_at(key, values.abs() > largest, fault, "axis-angle in radians, not degrees")
        if key == "joint_2d" and max(-lowest, highest) <= 2.0:
            self.fail(key, f"lies between {lowest:.3g} and {highest:.3g}", "pixels, not normalised coordinates")
        return values

    def videos(self) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
        """Name, kept frames, first row and frames in the file of each run of frames with one name."""
        names = self.text("source")
        if isinstance(names, list):
            changes = list(compress(count(1), map(ne, islice(names, 1, None), names)))
        else:
            changes = np.flatnonzero(names[1:] != names[:-1]) + 1
        bounds = np.concatenate([[0], changes, [len(names)]]).astype(np.int64)
        # Kept rows before row r: r / stride, rounded up.
        kept = np.diff(-(-bounds // self.sample_stride))
        starts, lengths, kept = bounds[:-1][kept > 0], np.diff(bounds)[kept > 0], kept[kept > 0]
        video_names = [str(names[start]) for start in starts]
        if len(set(video_names)) < len(video_names):
            fault = "'source' comes back to a name after another; each run of frames is a video of its own"
            logger.warning("%s: %s %s", self.path, self.name, fault)
        return video_names, kept, starts, lengths

    def image_size(self) -> Tensor:
        if self.source.image_size is not None:
            return torch.tensor(self.source.image_size)
        names = self.text("camera_name")
        if isinstance(names, list):
            numbers = {name: number for number, name in enumerate(CAMERA_IMAGE_SIZES)}
            camera = np.fromiter(map(numbers.get, names, repeat(-1)), np.int8, len(names))
        else:
            camera = np.full(len(names), -1, dtype=np.int8)
            for number, name in enumerate(CAMERA_IMAGE_SIZES):
                camera[names == name] = number
        unknown = camera < 0
        if unknown.any():
            row = int(unknown.argmax())
            self.fail("camera_name", f"is {str(names[row])[:40]!r}", f"one of {', '.join(CAMERA_IMAGE_SIZES)}", row)
        return torch.tensor(list(CAMERA_IMAGE_SIZES.values()))[torch.from_numpy(camera[:: self.sample_stride]).int()]

    def text(self, key: str) -> list[str] | np.ndarray:
        """(F,) names, as a list or an array of text: whichever the file has, since converting would cost memory."""
        names = self.take(key)
        expected = "a list or an array of text, one a frame"
        if isinstance(names, np.ndarray) and names.ndim == 1 and names.dtype.kind in "SO":
            names = names.tolist() if names.dtype.kind == "O" else np.char.decode(names, "utf-8")
        if isinstance(names, np.ndarray):
            if names.ndim != 1 or names.dtype.kind != "U":
                self.fail(key, f"is an array of {names.dtype} of shape {names.shape}", expected)
        elif not isinstance(names, list | tuple):
            self.fail(key, f"is a {type(names).__name__}", expected)
        self.check_row_count(key, len(names))
        if isinstance(names, np.ndarray):
            return names
        if not all(issubclass(kind, str) for kind in set(map(type, names))):
            row = next(row for row, name in enumerate(names) if not isinstance(name, str))
            self.fail(key, f"is of type {type(names[row]).__name__}", expected, row)
        if max(map(len, names)) > LONGEST_TEXT:
            self.fail(key, f"holds more than {LONGEST_TEXT} characters", expected)
        return names if isinstance(names, list) else list(names)

    def take(self, key: str):
        if key in self.arrays:
            return self.arrays.pop(key)
        advice = "the arrays of a released dataset file"
        if key.startswith("pred_"):
            advice = "another estimator's bodies to refine, as in mesh_det_*_w_hybrik_pred*.pkl, or " + (
                "--predictions" if self.source.is_video else "no images: --set dt_file_coco=null"
            )
        elif key == "camera_name":
            advice = "the camera of each frame, which gives the image size"
        return self.fail(key, "is missing", advice)

    def check_row_count(self, key: str, row_count: int) -> None:
        if row_count == 0:
            self.fail(key, "has no frames", "at least one")
        if self.row_count is None:
            self.row_count = row_count
        if row_count != self.row_count:
            self.fail(key, f"has {row_count} rows", f"as many as 'joint_2d', {self.row_count}")

    def fail_at(self, key: str, is_bad: Tensor, fault: str, expected: str) -> NoReturn:
        """`is_bad` (F, ...) marks the faulty values, of which the first one's row in the file is named."""
        self.fail(key, fault, expected, int(is_bad.flatten(1).any(1).int().argmax()) * self.sample_stride)

    def fail(self, key: str, fault: str, expected: str, row: int | None = None) -> NoReturn:
        place = f"'{key}'" if row is None else f"'{key}' row {row}"
        raise UserError(
            f"{self.path}: {self.name} {place} {fault}. Expected {expected}; "
            f"fix the file, or name another as {self.source.file_key} in the config."
        )


def _to_float32(array: np.ndarray) -> Tensor:
    """Contiguous, over the same memory where that is float32 already; what float32 cannot hold becomes infinite."""
    if array.dtype == np.float64:  # torch converts large arrays in a fraction of numpy's time
        return torch.from_numpy(array).float().contiguous()
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))
