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


class MetricAccumulator:
    """Running means over frames. Holds a few float64 sums on the device, whatever the size of the test set.

    `sums` is None before the first update, then (len(METRIC_NAMES) + 1,): the metrics' sums in their order, last the
    number of frames. Processes are joined by adding their `sums`.
    """

    def __init__(self):
        self.sums: Tensor | None = None

    @torch.no_grad()
    def update(self, pred: BodyMesh, target: BodyMesh, counted: Tensor) -> dict[str, Tensor]:
        """Add the frames where `counted` (...) is True; return `frame_errors_mm` of all. Does not wait for the device."""
        errors = frame_errors_mm(pred, target)
        columns = torch.stack((*(errors[name] for name in METRIC_NAMES), torch.ones_like(errors["mpjpe"])))
        # Not a product: what stands in a frame of padding, be it NaN, must not count.
        sums = torch.where(counted, columns.double(), 0.0).flatten(1).sum(dim=1)
        self.sums = sums if self.sums is None else self.sums + sums
        return errors

    def result(self) -> dict[str, float]:
        """Each metric's mean over the counted frames, mm, and `frames`, their number. Waits for the device.

        Raises UserError where no frame was counted.
        """
        *sums, frames = [0.0] if self.sums is None else self.sums.tolist()
        if frames == 0:
            raise UserError(
                "no test frame to score: the test split gives no clip of clip_len frames. "
                "Lower clip_len, or set eval_clips: all_frames."
            )
        return {name: total / frames for name, total in zip(METRIC_NAMES, sums, strict=True)} | {"frames": int(frames)}


def _select(values: Tensor, rows: tuple[int, ...], dim: int) -> Tensor:
    if rows == ALL_JOINTS:
        return values
    # An index tensor would have to be copied to the device, which waits for it.
    parts = values.unbind(dim)
    return torch.stack([parts[row] for row in rows], dim=dim)
