"""How one split of a dataset file is read: checked once, kept as float32 tensors in pixels and radians.

Nothing is normalised here: that happens on batches, on the device (kinemesh.data.loader). Every fault of a file is one
UserError that names file, split, key and row. Source: behaviour contract section 1.
"""

import logging
import warnings
from itertools import compress, count, islice, repeat
from operator import ne
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.skeleton import BETA_COUNT, H36M_JOINT_COUNT, SMPL_JOINT_COUNT
from kinemesh.data.actions import read_actions
from kinemesh.data.folders import CodedText
from kinemesh.data.split import Reading, Source, Split, Videos
from kinemesh.errors import UserError
from kinemesh.files.arrays import LONGEST_TEXT, array_of, is_characters

logger = logging.getLogger(__name__)

CAMERA_IMAGE_SIZES = {
    "54138969": (1000.0, 1002.0),
    "60457274": (1000.0, 1002.0),
    "55011271": (1000.0, 1000.0),
    "58860488": (1000.0, 1000.0),
}
# Two whole turns: more than any exporter writes in radians, less than most poses have in degrees.
LARGEST_ANGLE = 4 * np.pi
# By key, what no number is beyond, and what is expected.
_ANGLES, _BETAS, _METRES = (LARGEST_ANGLE, "axis-angle in radians, not degrees"), (1e3, "betas"), (1e6, "metres")
_LARGEST = {
    "joint_2d": (1e6, "pixels"), "confidence": (1e3, "confidences of 0 to 1"), "smpl_pose": _ANGLES, "smpl_shape": _BETAS,
    "pred_smpl_pose": _ANGLES, "pred_smpl_shape": _BETAS, "trans_y_up": _METRES, "trans_camera": _METRES,
}  # fmt: skip
READ_KEYS = (*_LARGEST, "source", "camera_name", "action", "img_hw", "K")
_ROWS_AT_ONCE = 1 << 16
# Of a folder with more rows than this, evenly spaced ones are looked at when a run starts: those of a cold disk take minutes.
_MOST_ROWS_CHECKED = 1 << 20


class SplitReader:
    """Takes the arrays of one split out of the file's dict, so that each original is freed once it is converted."""

    def __init__(self, source: Source, name: str, arrays: dict, reading: Reading):
        self.source, self.name, self.reading, self.path = source, name, reading, reading.path
        self.arrays = {key: arrays[key] for key in READ_KEYS if key in arrays}
        arrays.clear()
        self.sample_stride = reading.sample_stride
        self.row_count: int | None = None
        self.counted_key = ""  # whose rows were counted first

    def read(self) -> Split:
        pose_shape = (SMPL_JOINT_COUNT * 3,)
        keypoints_px = confidence = None
        if "joint_2d" in self.arrays or not self.source.is_own:
            keypoints_px = self.numbers("joint_2d", (H36M_JOINT_COUNT, 2))
            if self.source.needs_confidence or "confidence" in self.arrays:
                confidence = self.numbers("confidence", tuple(keypoints_px.shape[1:-1]))
        smpl_pose = self.numbers("smpl_pose", pose_shape)
        smpl_shape = self.numbers("smpl_shape", (BETA_COUNT,))
        root_m = None
        if keypoints_px is None and "trans_y_up" in self.arrays:
            root_m = self.numbers("trans_y_up", (3,))
        estimate_pose = estimate_betas = None
        if self.reading.needs_estimate:
            estimate_pose = self.numbers("pred_smpl_pose", pose_shape)
            estimate_betas = self.numbers("pred_smpl_shape", (BETA_COUNT,))
        videos = self.videos() if self.source.is_video else self.images()
        actions = self.arrays.pop("action", None)
        return Split(
            dataset=self.source.name, title=self.source.title, name=self.name, keypoints_px=keypoints_px,
            confidence=confidence, root_m=root_m,
            image_size=torch.ones(2) if keypoints_px is None else self.image_size(videos), smpl_pose=smpl_pose, smpl_shape=smpl_shape,
            estimate_pose=estimate_pose, estimate_betas=estimate_betas,
            video_names=videos.names, video_lengths=videos.lengths, video_file_rows=videos.file_rows,
            video_file_lengths=videos.file_lengths, sample_stride=self.sample_stride, fps=self.source.fps or 0.0,
            video_actions=read_actions(actions, videos.file_rows) if videos.names else None,
            camera_matrix=self.camera_matrix(videos),
            still_trans_m=self.numbers("trans_camera", (3,)) if "trans_camera" in self.arrays else None,
        )  # fmt: skip

    def numbers(self, key: str, row_shape: tuple[int, ...]) -> Tensor:
        """(F, *row_shape) float32, without a copy where the file's array is that already."""
        expected = f"numbers of shape (frames, {', '.join(map(str, row_shape))})"
        array = self.array(key, self.take(key), expected)
        shape = array.shape
        if key == "joint_2d" and (array.ndim == 3 or (array.ndim == 4 and self.source.is_own)):
            array = array[..., :2]  # further channels are confidence or depth
            if array.ndim == 4:  # several detections of each frame
                row_shape = (shape[1], *row_shape)
        elif key == "confidence" and array.ndim == len(row_shape) + 2 and shape[-1] == 1:
            array = array[..., 0]
        if array.shape[1:] != row_shape or 0 in row_shape:
            self.fail(key, f"has shape {shape}", expected)
        self.check_row_count(key, len(array))
        values = self.to_float32(array[:: self.sample_stride])
        low, high = self.bounds(key, values)
        if key == "joint_2d" and max(-low, high) <= 2.0:
            self.fail(key, f"lies between {low:.3g} and {high:.3g}", "pixels, not normalised coordinates")
        return values

    def array(self, key: str, array: object, expected: str) -> np.ndarray:
        """A key's value as an array of numbers."""
        if isinstance(array, list | tuple):
            try:
                array = array_of(array)
            except ValueError as error:
                self.fail(key, f"is {error}", expected)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            self.fail(key, f"is {held}", expected)
        return array

    def to_float32(self, array: np.ndarray) -> Tensor:
        """Over the same memory where that is float32 already, else contiguous; what float32 cannot hold becomes infinite."""
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a file's array cannot be written to, which nobody does
            if self.reading.is_mapped and array.dtype == np.float32:
                return torch.from_numpy(array)
            if array.dtype == np.float64:  # torch converts large arrays in a fraction of numpy's time
                return torch.from_numpy(array).float().contiguous()
            return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))

    def bounds(self, key: str, values: Tensor) -> tuple[float, float]:
        """Smallest and largest number, once all rows, or enough of them, are known to be finite and in range."""
        starts = range(0, len(values), _ROWS_AT_ONCE)
        if self.reading.is_mapped and not self.reading.is_thorough and len(values) > _MOST_ROWS_CHECKED:
            chosen = np.linspace(0, len(starts) - 1, _MOST_ROWS_CHECKED // _ROWS_AT_ONCE).astype(int)
            starts = [starts[place] for place in chosen]
        (largest, expected), lowest, highest = _LARGEST[key], np.inf, -np.inf
        for start in starts:
            rows = values[start : start + _ROWS_AT_ONCE]
            low, high = (bound.item() for bound in rows.aminmax())
            if not np.isfinite(low + high):
                self.fail_at(key, rows.isfinite().logical_not(), start, "holds nan or infinity", "finite numbers")
            if max(-low, high) > largest:
                self.fail_at(key, rows.abs() > largest, start, f"holds {max(-low, high):.4g}", expected)
            lowest, highest = min(lowest, low), max(highest, high)
        return lowest, highest

    def videos(self) -> Videos:
        """The runs of frames with one name."""
        names, bounds = self.runs()
        # Kept rows before row r: r / stride, rounded up.
        kept = np.diff(-(-bounds // self.sample_stride))
        starts, lengths, kept = bounds[:-1][kept > 0], np.diff(bounds)[kept > 0], kept[kept > 0]
        video_names = [str(names[start]) for start in starts.tolist()]
        if len(set(video_names)) < len(video_names):
            fault = "'source' comes back to a name after another; each run of frames is a video of its own"
            logger.warning("%s: %s %s", self.path, self.name, fault)
        return Videos(video_names, kept, starts, lengths)

    def images(self) -> Videos:
        """Each row is one of its own."""
        if self.source.is_own and self.source.fps is None and "source" in self.arrays:
            longest = int(np.diff(self.runs()[1]).max())
            if longest > 1:
                advice = f"{self.source.fps_key}: frames a second, or 0 if these are single images"
                self.fail("source", f"names videos of up to {longest} frames", advice)
        count = -(-self.row_count // self.sample_stride)
        ones = np.ones(count, dtype=np.int64)
        return Videos([], ones, np.arange(count) * self.sample_stride, ones)

    def runs(self) -> "tuple[list[str] | np.ndarray | CodedText, np.ndarray]":
        """The name of each row, and the rows where one name gives way to another, 0 and the end included."""
        names = self.text("source")
        if isinstance(names, list):
            changes = list(compress(count(1), map(ne, islice(names, 1, None), names)))
        else:
            values = names.codes if isinstance(names, CodedText) else names
            changes = np.flatnonzero(values[1:] != values[:-1]) + 1
        return names, np.concatenate([[0], changes, [len(names)]]).astype(np.int64)

    def image_size(self, videos: Videos) -> Tensor:
        if self.source.image_size is not None:
            return torch.tensor(self.source.image_size)
        if self.source.is_own:
            return self.own_image_size(videos)
        names = self.text("camera_name")
        sizes = {name: number for number, name in enumerate(CAMERA_IMAGE_SIZES)}
        if isinstance(names, CodedText):
            camera = np.array([sizes.get(name, -1) for name in names.names], dtype=np.int8)[names.codes]
        elif isinstance(names, list):
            camera = np.fromiter(map(sizes.get, names, repeat(-1)), np.int8, len(names))
        else:
            camera = np.full(len(names), -1, dtype=np.int8)
            for name, number in sizes.items():
                camera[names == name] = number
        unknown = camera < 0
        if unknown.any():
            row = int(unknown.argmax())
            self.fail("camera_name", f"is {str(names[row])[:40]!r}", f"one of {', '.join(CAMERA_IMAGE_SIZES)}", row)
        return torch.tensor(list(CAMERA_IMAGE_SIZES.values()))[torch.from_numpy(camera[:: self.sample_stride]).int()]

    def own_image_size(self, videos: Videos) -> Tensor:
        """(2,), or (F, 2) where pictures differ."""
        sizes = self.by_frame(
            "img_hw", (2,), "height and width in pixels: (2,), or one pair a frame or a video", videos
        )
        if not ((sizes >= 1) & (sizes <= _LARGEST["joint_2d"][0])).all():
            self.fail("img_hw", "holds no sizes", "heights and widths of one pixel to a million")
        sizes = torch.from_numpy(sizes[:, ::-1].astype(np.float32))
        return sizes[0] if len(sizes) == 1 else sizes

    def camera_matrix(self, videos: Videos) -> Tensor | None:
        """(3, 3), or (F, 3, 3) where cameras differ."""
        if "K" not in self.arrays or not self.source.is_own:
            return None
        expected = "a camera matrix in pixels: (3, 3), or one a frame or a video"
        matrices = self.by_frame("K", (3, 3), expected, videos)
        is_one = (matrices[:, [0, 1], [0, 1]] > 0).all() and (matrices[:, 2] == [0, 0, 1]).all()
        if not is_one or (matrices[:, [1], [0]] != 0).any():
            self.fail(
                "K", "holds no camera matrices", "[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] with focal lengths above 0"
            )
        matrices = torch.from_numpy(matrices.astype(np.float32))
        return matrices[0] if len(matrices) == 1 else matrices

    def by_frame(self, key: str, shape: tuple[int, ...], expected: str, videos: Videos) -> np.ndarray:
        """(F, *shape) what a file says of the split, each video or each frame; (1, *shape) where all are alike."""
        values = self.array(key, self.take(key), expected)
        values = values[None] if values.shape == shape else values
        if values.shape[1:] != shape or len(values) == 0:
            self.fail(key, f"has shape {values.shape}", expected)
        if not np.isfinite(values).all():
            self.fail(key, "holds nan or infinity", "finite numbers")
        if len(values) not in (1, self.row_count, len(videos.lengths)):
            self.fail(
                key, f"has {len(values)} rows", f"one a frame, {self.row_count}, or a video, {len(videos.lengths)}"
            )
        if (values == values[0]).all():
            return values[:1]
        if len(values) == self.row_count:
            return values[:: self.sample_stride]
        return np.repeat(values, videos.lengths, axis=0)

    def text(self, key: str) -> list[str] | np.ndarray | CodedText:
        """(F,) names, in the form that the file has, since converting would cost memory."""
        names = self.take(key)
        expected = "a list or an array of text, one a frame"
        if isinstance(names, np.ndarray) and names.ndim == 1 and names.dtype.kind in "SO":
            try:
                names = names.tolist() if names.dtype.kind == "O" else np.char.decode(names, "utf-8")
            except UnicodeDecodeError:
                self.fail(key, "holds bytes that are no text", expected)
        if isinstance(names, np.ndarray):
            if names.ndim != 1 or names.dtype.kind != "U":
                self.fail(key, f"is an array of {names.dtype} of shape {names.shape}", expected)
        elif not isinstance(names, list | tuple | CodedText):
            self.fail(key, f"is a {type(names).__name__}", expected)
        self.check_row_count(key, len(names))
        if isinstance(names, list | tuple) and not isinstance(names, CodedText):
            if not all(issubclass(kind, str) for kind in set(map(type, names))):
                row = next(row for row, name in enumerate(names) if not isinstance(name, str))
                self.fail(key, f"is of type {type(names[row]).__name__}", expected, row)
            if max(map(len, names)) > LONGEST_TEXT:
                self.fail(key, f"holds more than {LONGEST_TEXT} characters", expected)
            names = list(names)
        if not is_characters(names.names if isinstance(names, CodedText) else names):
            self.fail(key, "holds halves of characters", expected)
        return names

    def take(self, key: str):
        if key in self.arrays:
            return self.arrays.pop(key)
        advice = "the arrays that docs/data.md lists" if self.source.is_own else "the arrays of a released dataset file"
        if key.startswith("pred_"):
            advice = "another estimator's bodies to refine, as in mesh_det_*_w_hybrik_pred*.pkl, or " + (
                "--predictions" if self.source.is_video else f"no images: {self.source.how_to_leave_out}"
            )
        elif key == "img_hw":
            advice = "height and width of the pictures in pixels"
        elif key == "camera_name":
            advice = "the camera of each frame, which gives the image size"
        return self.fail(key, "is missing", advice)

    def check_row_count(self, key: str, row_count: int) -> None:
        if row_count == 0:
            self.fail(key, "has no frames", "at least one")
        if self.row_count is None:
            self.row_count, self.counted_key = row_count, key
        if row_count != self.row_count:
            self.fail(key, f"has {row_count} rows", f"as many as '{self.counted_key}', {self.row_count}")

    def fail_at(self, key: str, is_bad: Tensor, first: int, fault: str, expected: str) -> NoReturn:
        """`is_bad` (rows, ...) marks the faulty values from row `first` on; the first one's row in the file is named."""
        row = first + int(is_bad.flatten(1).any(1).int().argmax())
        self.fail(key, fault, expected, row * self.sample_stride)

    def fail(self, key: str, fault: str, expected: str, row: int | None = None) -> NoReturn:
        place = f"'{key}'" if row is None else f"'{key}' row {row}"
        raise UserError(
            f"{self.path}: {self.name} {place} {fault}. Expected {expected}; "
            f"fix the file, or name another as {self.source.file_key} in the config."
        )
