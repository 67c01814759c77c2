"""Running sums of errors by video, from which every mean, table and interval follows."""

from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.errors import UserError
from kinemesh.metrics import acceleration_error_mm, jitter_mm
from kinemesh.protocols import Protocol

# Sums and numbers of what needs several frames in a row.
_MOTION_COLUMNS = ("accel_error", "accelerations", "jitter", "jitter_target", "jerks")
_CARRIED = 3  # frames that a later batch may go on from


class MetricAccumulator:
    """Running sums by video of one side's errors under one protocol, however many frames there are.

    `sums` (videos, columns) float64 lies on the device: frame errors, number of frames, then accelerations and jerks
    with their numbers. Processes are joined by adding their `sums`; each must have seen whole videos, in the order of
    their frames, since accelerations are formed across batches.
    """

    def __init__(
        self, protocol: Protocol, columns: tuple[str, ...], video_count: int = 1, device: torch.device | str = "cpu"
    ):
        self.protocol = protocol
        self.columns = columns
        width = len(columns) + 1 + len(_MOTION_COLUMNS)
        self.sums = torch.zeros(video_count, width, dtype=torch.float64, device=device)
        self._carried: _Frames | None = None

    @torch.no_grad()
    def add_frames(self, errors: dict[str, Tensor], counted: Tensor, videos: Tensor) -> None:
        """Add the frames where `counted` (N,) is True to the videos numbered by `videos` (N,).

        `errors` holds the columns, each (N,). Does not wait for the device.
        """
        values = [*(errors[name] for name in self.columns), torch.ones_like(errors[self.columns[0]])]
        self._add(values, counted, videos, first=0)

    @torch.no_grad()
    def add_motion(
        self,
        pred_joints_mm: Tensor,
        target_joints_mm: Tensor,
        frames: Tensor,
        videos: Tensor,
        counted: Tensor,
        is_video_end: Tensor,
    ) -> None:
        """Add accelerations and jerks of all counted frames of one video that follow one another.

        Joints (N, K, 3) are the protocol's, relative to their roots; `frames` (N,) are frame numbers, `is_video_end`
        (N,) marks each video's first and last. A video may go on in the next call, from whichever clip. Frames that
        come twice, as in a short video that was stretched, follow nothing. Does not wait for the device.
        """
        new = _Frames(pred_joints_mm, target_joints_mm, frames, videos, counted, is_video_end, torch.ones_like(counted))
        if self._carried is None:
            self._carried = _Frames(*(torch.zeros_like(part[:1]).expand(_CARRIED, *part.shape[1:]) for part in new))
        rows = _Frames(*(torch.cat(parts) for parts in zip(self._carried, new, strict=True)))
        # Counted frames to the front in their order: a mask would make the host wait for their number.
        order = torch.argsort(~rows.counted, stable=True)
        rows = _Frames(*(part[order] for part in rows))
        follows = (rows.frames.diff() == 1) & (rows.videos.diff() == 0) & rows.counted[1:] & rows.counted[:-1]
        is_run_of_3 = follows[1:] & follows[:-1]
        evaluated = self.protocol.evaluated
        acceleration = acceleration_error_mm(rows.pred_joints_mm, rows.target_joints_mm, evaluated)
        is_added = is_run_of_3 & rows.is_new[2:]
        if self.protocol.skips_video_ends:
            is_added &= ~(rows.is_video_end[2:] | rows.is_video_end[:-2])
        first = len(self.columns) + 1
        self._add([acceleration, torch.ones_like(acceleration)], is_added, rows.videos[2:], first)
        jitter = jitter_mm(rows.pred_joints_mm, evaluated)
        jitter_target = jitter_mm(rows.target_joints_mm, evaluated)
        is_added = is_run_of_3[1:] & is_run_of_3[:-1] & rows.is_new[3:]
        self._add([jitter, jitter_target, torch.ones_like(jitter)], is_added, rows.videos[3:], first + 2)
        last = rows.counted.sum() - _CARRIED + torch.arange(_CARRIED, device=frames.device)
        carried = _Frames(*(part[last.clamp(min=0)] for part in rows))
        self._carried = carried._replace(counted=carried.counted & (last >= 0), is_new=torch.zeros_like(last >= 0))

    def result(self) -> dict[str, float]:
        """Each column's mean over the counted frames, and `frames`, their number. Waits for the device.

        `accel_error` (mm per frame squared), `jitter` and the ground truth's `jitter_target` (mm per frame cubed) are
        there where frames follow one another. Raises UserError where no frame was counted.
        """
        sums = {name: (total.sum().item(), number.sum().item()) for name, (total, number) in self.by_video().items()}
        frames = sums[self.columns[0]][1]
        if frames == 0:
            raise UserError(
                "no test frame to score: the test split gives no clip of clip_len frames. "
                "Lower clip_len, or set eval_clips: all_frames."
            )
        return {name: total / number for name, (total, number) in sums.items()} | {"frames": int(frames)}

    def by_video(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each metric its sums (videos,) and numbers of frames (videos,), on the CPU. Waits for the device."""
        *errors, frames, acceleration, accelerations, jitter, jitter_target, jerks = self.sums.cpu().unbind(dim=1)
        found = {name: (total, frames) for name, total in zip(self.columns, errors, strict=True)}
        if accelerations.sum():
            found["accel_error"] = acceleration, accelerations
        if jerks.sum():
            found |= {"jitter": (jitter, jerks), "jitter_target": (jitter_target, jerks)}
        return found

    def _add(self, columns: list[Tensor], counted: Tensor, videos: Tensor, first: int) -> None:
        # Not a product: what stands in a frame of padding, be it NaN, must not count.
        rows = torch.where(counted[:, None], torch.stack(columns, dim=-1).double(), 0.0)
        self.sums[:, first : first + len(columns)].index_add_(0, videos, rows)


class _Frames(NamedTuple):
    """N frames in the order of time."""

    pred_joints_mm: Tensor  # (N, K, 3)
    target_joints_mm: Tensor  # (N, K, 3)
    frames: Tensor  # (N,)
    videos: Tensor  # (N,)
    counted: Tensor  # (N,) bool
    is_video_end: Tensor  # (N,) bool
    is_new: Tensor  # (N,) bool, False where an earlier call added it
