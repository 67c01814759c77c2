"""Errors of predicted bodies against ground truth: one function a metric, each with its definition and source.

Every function takes any leading shape and gives one number a frame, in mm unless its name says otherwise. What is
relative to what is a protocol's matter (kinemesh.protocols); a function named `mpjpe_mm` or `mpve_mm` alone is the
released one (behaviour contract, section 4).
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kinemesh.body.skeleton import EVALUATED_JOINTS, H36M_JOINT_COUNT, H36M_ROOT, SMPL_JOINT_NAMES
from kinemesh.geometry.alignment import align_similarity, best_similarity, relative_to_root
from kinemesh.geometry.rotation import rotation_angle
from kinemesh.protocols import Protocol
from kinemesh.structures import BodyMesh

ALL_JOINTS = tuple(range(H36M_JOINT_COUNT))


def joint_errors_mm(pred_joints_mm: Tensor, target_joints_mm: Tensor) -> Tensor:
    """Distance of each joint (..., K), for joints (..., K, 3) that are relative to their roots already."""
    return (pred_joints_mm - target_joints_mm).norm(dim=-1)


def mpjpe_mm(pred_joints_mm: Tensor, target_joints_mm: Tensor, evaluated: tuple[int, ...] = EVALUATED_JOINTS) -> Tensor:
    """Mean distance of the evaluated joints of (..., K, 3), both bodies moved so that joint 0 is at 0: (...).

    Source: Ionescu et al., Human3.6M, PAMI 2014.
    """
    relative = (relative_to_root(joints, joints) for joints in (pred_joints_mm, target_joints_mm))
    return mean_of(joint_errors_mm(*relative), evaluated)


def pa_mpjpe_mm(
    pred_joints_mm: Tensor, target_joints_mm: Tensor, evaluated: tuple[int, ...] = EVALUATED_JOINTS
) -> Tensor:
    """Mean distance of the evaluated joints of (..., K, 3) after similarity alignment of each frame: (...).

    Source: Zhou et al., MonoCap, PAMI 2018 ("reconstruction error"); Umeyama, PAMI 1991, for the alignment.
    """
    pred, target = (_select(joints, evaluated, dim=-2) for joints in (pred_joints_mm, target_joints_mm))
    return joint_errors_mm(align_similarity(pred, target), target).mean(dim=-1)


def mpve_mm(pred: BodyMesh, target: BodyMesh) -> Tensor:
    """Mean distance of the vertices, both bodies moved so that the regressed joint 0 is at 0: (...)."""
    shift = pred.joints_mm[..., H36M_ROOT, :] - target.joints_mm[..., H36M_ROOT, :]
    return vertex_error_mm(pred.vertices_mm, target.vertices_mm, shift)


def vertex_error_mm(pred_vertices_mm: Tensor, target_vertices_mm: Tensor, shift_mm: Tensor | None = None) -> Tensor:
    """Mean distance of vertices (..., V, 3), `pred` moved by -shift_mm (..., 3): (...).

    Source: Pavlakos et al., CVPR 2018 ("per-vertex error").
    """
    # Coordinate by coordinate, since posed bodies hold each as a contiguous row; both roots in one shift.
    planes = zip(pred_vertices_mm.unbind(-1), target_vertices_mm.unbind(-1), strict=True)
    shifts = [None] * 3 if shift_mm is None else [part[..., None] for part in shift_mm.unbind(-1)]
    apart = [
        own - other if moved is None else own - other - moved
        for (own, other), moved in zip(planes, shifts, strict=True)
    ]
    return (apart[0].square() + apart[1].square() + apart[2].square()).sqrt().mean(dim=-1)


def pa_mpve_mm(pred_vertices_mm: Tensor, target_vertices_mm: Tensor) -> Tensor:
    """Mean distance of the vertices (..., V, 3) after similarity alignment of each frame's vertices: (...).

    As `align_similarity`, but by products of whole coordinate rows: a twentieth of the time, the same within 1e-3 mm.
    Source: Zimmermann et al., FreiHAND, ICCV 2019 (aligned mesh error).
    """
    pred, target = (vertices.mT.flatten(0, -3) for vertices in (pred_vertices_mm, target_vertices_mm))  # (N, 3, V)
    count = pred.shape[-1]
    pred_mean, target_mean = pred.mean(dim=-1, keepdim=True), target.mean(dim=-1, keepdim=True)
    covariance = torch.baddbmm(pred_mean @ target_mean.mT, pred, target.mT, beta=-count).double()
    spread = torch.linalg.vecdot(pred, pred).sum(dim=-1).double() - count * pred_mean.double().square().sum(dim=(1, 2))
    turn = best_similarity(covariance, spread).mT.to(pred.dtype)
    apart = torch.baddbmm(target, turn, pred, beta=-1)
    squared = [
        (plane + moved).square_()
        for plane, moved in zip(apart.unbind(1), (target_mean - turn @ pred_mean).unbind(1), strict=True)
    ]
    return (squared[0] + squared[1] + squared[2]).sqrt_().mean(dim=-1).view(pred_vertices_mm.shape[:-2])


def joint_angle_errors_deg(pred_rotations: Tensor, target_rotations: Tensor) -> Tensor:
    """Geodesic angle between the rotations (..., J, 3, 3) of each SMPL joint, degrees: (..., J).

    Each joint relative to its parent, joint 0 relative to the camera. Source: Huynh, JMIV 2009 (the angle of R^T R').
    """
    return rotation_angle(pred_rotations.mT @ target_rotations) * (180 / math.pi)


def acceleration_error_mm(pred_joints_mm: Tensor, target_joints_mm: Tensor, evaluated: tuple[int, ...]) -> Tensor:
    """Mean distance of the evaluated joints' accelerations, (..., T, K, 3) -> (..., T - 2), mm per frame squared.

    An acceleration is the second difference of three frames in a row, joints relative to their root. Source: Kanazawa
    et al., HMMR, CVPR 2019.
    """
    return mean_of((pred_joints_mm - target_joints_mm).diff(n=2, dim=-3).norm(dim=-1), evaluated)


def jitter_mm(joints_mm: Tensor, evaluated: tuple[int, ...]) -> Tensor:
    """Mean length of the evaluated joints' jerks, (..., T, K, 3) -> (..., T - 3), mm per frame cubed.

    A jerk is the third difference of four frames in a row; here of joints relative to their root, since no file holds
    where the body is. Source: Yi et al., TransPose, SIGGRAPH 2021.
    """
    return mean_of(joints_mm.diff(n=3, dim=-3).norm(dim=-1), evaluated)


class Posed:
    """Predicted and true bodies of frames (...), as a protocol sees them; what several metrics share is made once."""

    def __init__(
        self,
        protocol: Protocol,
        pred: BodyMesh,
        target: BodyMesh,
        pred_rotations: Tensor | None = None,
        target_rotations: Tensor | None = None,
    ):
        self.protocol, self.pred, self.target = protocol, pred, target
        self.pred_rotations, self.target_rotations = pred_rotations, target_rotations  # (..., J, 3, 3)

    @cached_property
    def joints_mm(self) -> tuple[Tensor, Tensor]:
        """Predicted and true joints (..., joints, 3) of the protocol's kind, relative to its root."""
        return self.protocol.joints_mm(self.pred), self.protocol.joints_mm(self.target)

    @cached_property
    def joint_errors(self) -> Tensor:
        return joint_errors_mm(*self.joints_mm)

    @cached_property
    def angle_errors(self) -> Tensor:
        return joint_angle_errors_deg(self.pred_rotations, self.target_rotations)


class Metric(NamedTuple):
    """One figure of a frame, or with `joint_names` one a joint, which tables then show as `name/joint`."""

    compute: Callable[[Posed], Tensor]  # (...), or (..., joints)
    when: Literal["always", "17 joints", "detailed"] = "always"  # "17 joints": where the protocol asks for them
    joint_names: Callable[[Protocol], tuple[str, ...]] | None = None
    is_posture: bool = False  # no choice of root and joints changes it, so it is computed once for all protocols


METRICS = {
    "mpjpe": Metric(lambda posed: mean_of(posed.joint_errors, posed.protocol.evaluated)),
    "pa_mpjpe": Metric(lambda posed: pa_mpjpe_mm(*posed.joints_mm, posed.protocol.evaluated)),
    "mpve": Metric(lambda posed: vertex_error_mm(
        posed.pred.vertices_mm, posed.target.vertices_mm, posed.protocol.vertex_shift_mm(posed.pred, posed.target)
    )),
    "mpjpe_17j": Metric(lambda posed: posed.joint_errors.mean(dim=-1), "17 joints"),
    "pa_mpjpe_17j": Metric(lambda posed: pa_mpjpe_mm(*posed.joints_mm, ALL_JOINTS), "17 joints"),
    "pa_mpve": Metric(
        lambda posed: pa_mpve_mm(posed.pred.vertices_mm, posed.target.vertices_mm), "detailed", is_posture=True
    ),
    "joint_angle_error": Metric(lambda posed: posed.angle_errors.mean(dim=-1), "detailed", is_posture=True),
    "mpjpe/": Metric(lambda posed: posed.joint_errors, "detailed", lambda protocol: protocol.joint_names),
    "joint_angle_error/": Metric(
        lambda posed: posed.angle_errors, "detailed", lambda _: SMPL_JOINT_NAMES, is_posture=True
    ),
}  # fmt: skip


def frame_columns(protocol: Protocol, *, detailed: bool) -> tuple[str, ...]:
    """Names of what `frame_errors` gives, of joints `metric/joint`."""
    names: list[str] = []
    for name, metric in _chosen(protocol, detailed).items():
        names += [name] if metric.joint_names is None else [name + joint for joint in metric.joint_names(protocol)]
    return tuple(names)


def frame_errors(
    posed: Posed, *, detailed: bool = False, posture: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The protocol's errors of each frame (...): mm, angles in degrees.

    Where `posture` is given, what no protocol changes is looked up there first, and put there for the next one.
    """
    found: dict[str, Tensor] = {}
    known = {} if posture is None else posture
    for name, metric in _chosen(posed.protocol, detailed).items():
        values = known.get(name) if metric.is_posture else None
        if values is None:
            values = metric.compute(posed)
        if metric.is_posture:
            known[name] = values
        if metric.joint_names is None:
            found[name] = values
        else:
            joints = metric.joint_names(posed.protocol)
            found |= {name + joint: column for joint, column in zip(joints, values.unbind(-1), strict=True)}
    return found


def _chosen(protocol: Protocol, detailed: bool) -> dict[str, Metric]:
    asked = {"always": True, "17 joints": protocol.scores_17_joints, "detailed": detailed}
    return {name: metric for name, metric in METRICS.items() if asked[metric.when]}


def mean_of(errors: Tensor, joints: tuple[int, ...]) -> Tensor:
    """Mean over these joints of errors (..., K)."""
    return _select(errors, joints, dim=-1).mean(dim=-1)


def _select(values: Tensor, rows: tuple[int, ...], dim: int) -> Tensor:
    if len(rows) == values.shape[dim]:
        return values
    # An index tensor would have to be copied to the device, which waits for it.
    parts = values.unbind(dim)
    return torch.stack([parts[row] for row in rows], dim=dim)
