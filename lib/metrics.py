"""Errors of predicted bodies against ground truth, in mm: one function a metric, and their running mean.

Source: behaviour contract section 4. MPJPE and PA-MPJPE are over the 14 evaluated joints unless named `_17j`.
"""

import torch
from torch import Tensor

from lib.body.skeleton import EVALUATED_JOINTS, H36M_JOINT_COUNT, H36M_ROOT
from lib.body.smpl import relative_to_root
from lib.errors import UserError
from lib.geometry.alignment import align_similarity
from lib.structures import BodyMesh

ALL_JOINTS = tuple(range(H36M_JOINT_COUNT))

METRIC_NAMES = ("mpjpe", "pa_mpjpe", "mpjpe_17j", "pa_mpjpe_17j", "mpve")


def mpjpe_mm(pred_joints_mm: Tensor, target_joints_mm: Tensor, evaluated: tuple[int, ...] = EVALUATED_JOINTS) -> Tensor:
    """Mean distance of the evaluated joints of (..., K, 3), both bodies moved so that joint 0 is at 0: (...)."""
    error = relative_to_root(pred_joints_mm, pred_joints_mm) - relative_to_root(target_joints_mm, target_joints_mm)
    return _select(error.norm(dim=-1), evaluated, dim=-1).mean(dim=-1)


def pa_mpjpe_mm(
    pred_joints_mm: Tensor, target_joints_mm: Tensor, evaluated: tuple[int, ...] = EVALUATED_JOINTS
) -> Tensor:
    """Mean distance of the evaluated joints of (..., K, 3) after similarity alignment of each frame: (...)."""
    pred, target = (_select(joints, evaluated, dim=-2) for joints in (pred_joints_mm, target_joints_mm))
    return (align_similarity(pred, target) - target).norm(dim=-1).mean(dim=-1)


def mpve_mm(pred: BodyMesh, target: BodyMesh) -> Tensor:
    """Mean distance of the vertices, both bodies moved so that the regressed joint 0 is at 0: (...)."""
    # Both roots at once: one pass over the vertices less.
    shift = pred.joints_mm[..., H36M_ROOT, :] - target.joints_mm[..., H36M_ROOT, :]
    # Coordinate by coordinate, since posed bodies hold each as a contiguous row.
    planes = zip(pred.vertices_mm.unbind(-1), target.vertices_mm.unbind(-1), shift.unbind(-1), strict=True)
    squared = [(own - other - moved[..., None]).square() for own, other, moved in planes]
    return (squared[0] + squared[1] + squared[2]).sqrt().mean(dim=-1)


def frame_errors_mm(pred: BodyMesh, target: BodyMesh) -> dict[str, Tensor]:
    """Every metric of METRIC_NAMES for each frame: (...)."""
    joints = pred.joints_mm, target.joints_mm
    return {
        "mpjpe": mpjpe_mm(*joints),
        "pa_mpjpe": pa_mpjpe_mm(*joints),
        "mpjpe_17j": mpjpe_mm(*joints, ALL_JOINTS),
        "pa_mpjpe_17j": pa_mpjpe_mm(*joints, ALL_JOINTS),
        "mpve": mpve_mm(pred, target),
    }


def acceleration_error_mm(pred_joints_mm: Tensor, target_joints_mm: Tensor) -> Tensor:
    """Mean distance of the evaluated joints' accelerations, (..., T, K, 3) -> (..., T - 2), mm per frame squared.

    An acceleration is the second difference of three frames in a row, joints relative to joint 0 (Kanazawa et al.,
    HMMR, CVPR 2019).
    """
    relative = [relative_to_root(joints, joints) for joints in (pred_joints_mm, target_joints_mm)]
    error = (relative[0] - relative[1]).diff(n=2, dim=-3)
    return _select(error.norm(dim=-1), EVALUATED_JOINTS, dim=-1).mean(dim=-1)


class MetricAccumulator:
    """Running sums by video. Holds a few float64 numbers a video on the device, whatever the number of frames.

    `sums` is None before the first update, then (videos, columns): the sums of METRIC_NAMES, the number of frames, the
    sum of acceleration errors, their number. Processes are joined by adding their `sums`.
    """

    def __init__(self, video_count: int = 1):
        self.video_count = video_count
        self.sums: Tensor | None = None

    @torch.no_grad()
    def update(
        self, pred: BodyMesh, target: BodyMesh, counted: Tensor, videos: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Add the frames where `counted` (...) is True, to the videos numbered by `videos` (...), or all to video 0.

        Returns `frame_errors_mm` of all frames. Does not wait for the device.
        """
        errors = frame_errors_mm(pred, target)
        columns = [*(errors[name] for name in METRIC_NAMES), torch.ones_like(errors["mpjpe"])]
        self._add(columns, counted, videos, first=0)
        return errors

    @torch.no_grad()
    def update_acceleration(
        self,
        pred_joints_mm: Tensor,
        target_joints_mm: Tensor,
        frames: Tensor,
        counted: Tensor,
        videos: Tensor | None = None,
    ) -> None:
        """Add the accelerations of clips (B, T, K, 3) of which all three frames count and follow one another.

        `frames` (B, T) are frame numbers, `videos` (B,) the clips' videos. Clips of fewer than 3 frames add nothing.
        """
        if frames.shape[1] < 3:
            return
        error = acceleration_error_mm(pred_joints_mm, target_joints_mm)
        in_a_row = (frames.diff(dim=1) == 1) & counted[:, 1:]
        valid = in_a_row[:, 1:] & in_a_row[:, :-1] & counted[:, :-2]
        videos = None if videos is None else videos[:, None].expand_as(valid)
        self._add([error, torch.ones_like(error)], valid, videos, first=len(METRIC_NAMES) + 1)

    def result(self) -> dict[str, float]:
        """Each metric's mean over the counted frames, mm, and `frames`, their number. Waits for the device.

        `accel_error` (mm per frame squared) is there where an acceleration could be formed. Raises UserError where no
        frame was counted.
        """
        totals = [0.0] * (len(METRIC_NAMES) + 3) if self.sums is None else self.sums.sum(dim=0).tolist()
        *sums, frames, acceleration, accelerations = totals
        if frames == 0:
            raise UserError(
                "no test frame to score: the test split gives no clip of clip_len frames. "
                "Lower clip_len, or set eval_clips: all_frames."
            )
        means = {name: total / frames for name, total in zip(METRIC_NAMES, sums, strict=True)}
        if accelerations:
            means["accel_error"] = acceleration / accelerations
        return means | {"frames": int(frames)}

    def by_video(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each metric its sums (videos,) and numbers of frames (videos,), on the CPU. Waits for the device."""
        columns = self.sums.cpu().unbind(dim=1)
        frame_column = len(METRIC_NAMES)
        found = {name: (columns[place], columns[frame_column]) for place, name in enumerate(METRIC_NAMES)}
        if columns[-1].sum():
            found["accel_error"] = columns[-2], columns[-1]
        return found

    def _add(self, columns: list[Tensor], counted: Tensor, videos: Tensor | None, first: int) -> None:
        # Not a product: what stands in a frame of padding, be it NaN, must not count.
        rows = torch.where(counted[..., None], torch.stack(columns, dim=-1).double(), 0.0).flatten(0, -2)
        if self.sums is None:
            self.sums = rows.new_zeros(self.video_count, len(METRIC_NAMES) + 3)
        place = torch.zeros_like(counted, dtype=torch.int64) if videos is None else videos
        self.sums[:, first : first + len(columns)].index_add_(0, place.flatten(), rows)


def _select(values: Tensor, rows: tuple[int, ...], dim: int) -> Tensor:
    if rows == ALL_JOINTS:
        return values
    # An index tensor would have to be copied to the device, which waits for it.
    parts = values.unbind(dim)
    return torch.stack([parts[row] for row in rows], dim=dim)
