"""One split of a dataset in memory: the arrays of its frames, and the videos they are from."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """The frames of one split, video after video; F frames."""

    dataset: str
    name: str
    keypoints_px: Tensor  # (F, K, 2)
    confidence: Tensor | None  # (F, K) as in the file, not yet clipped; None: all ones
    image_size: Tensor  # (2,) or (F, 2) width and height in pixels
    smpl_pose: Tensor  # (F, 72) axis-angle, camera coordinates
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

    @property
    def frame_count(self) -> int:
        return len(self.keypoints_px)

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
