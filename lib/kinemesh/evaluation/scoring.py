"""Poses predicted bodies and ground truth, each once, and adds their errors under every protocol asked for."""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.body.mirror import average_mesh, average_params
from kinemesh.body.smpl import PosedBody
from kinemesh.evaluation.accumulator import MetricAccumulator
from kinemesh.metrics import Posed, frame_columns, frame_errors
from kinemesh.protocols import Protocol
from kinemesh.structures import Batch, BodyMesh, BodyParams

# Meshes of this many frames exist at once, whatever the batch size.
_FRAMES_AT_ONCE = 256


class Prediction(NamedTuple):
    """One side's bodies of a batch, and with the flip test those seen in mirrored input, mirrored back."""

    params: BodyParams  # rotations (B, T, J, 3, 3), betas (B, T, 10)
    mirrored: BodyParams | None = None


class Scored(NamedTuple):
    """What a batch came to under the first protocol."""

    joints_mm: dict[str, Tensor]  # of each side and "target", (B, T, K, 3) regressed
    errors: dict[str, dict[str, Tensor]]  # of each side by metric, (B, T)


class FrameErrors:
    """What one side, or the truth, comes to under one protocol, some frames at a time."""

    def __init__(self):
        self.motion_mm: list[Tensor] = []  # (frames, joints, 3) that the protocol scores
        self.joints_mm: list[Tensor] = []  # (frames, K, 3) regressed
        self.errors: list[dict[str, Tensor]] = []  # by metric, (frames,)

    def add(self, protocol: Protocol, mesh: BodyMesh, errors: dict[str, Tensor] | None = None) -> None:
        """The next frames."""
        self.motion_mm.append(protocol.joints_mm(mesh))
        self.joints_mm.append(mesh.joints_mm)
        self.errors.append(errors or {})

    def all_joints_mm(self, shape: torch.Size) -> Tensor:
        """(B, T, K, 3)."""
        return torch.cat(self.joints_mm).unflatten(0, shape)

    def all_errors(self, shape: torch.Size) -> dict[str, Tensor]:
        """By metric, (B, T)."""
        return {name: torch.cat([part[name] for part in self.errors]).unflatten(0, shape) for name in self.errors[0]}


class Scoring:
    """Sums of errors of several sides (the model, an estimator, other files) under several protocols of one clip rule.

    `detailed` adds errors by joint, joint angles and PA-MPVE. `constant`, a body (24, 3, 3), (10,), is scored as one
    more side, "mean_pose".
    """

    def __init__(
        self,
        protocols: Sequence[Protocol],
        sides: Sequence[str],
        video_lengths: Sequence[int],
        body: PosedBody,
        *,
        device: torch.device | str,
        detailed: bool = False,
        constant: BodyParams | None = None,
    ):
        self.protocols = protocols
        self.body = body
        self.detailed = detailed
        self.constant = None
        if constant is not None:
            alone = BodyParams(constant.rotations[None], constant.betas[None])
            self.constant = body(alone), alone.rotations
            sides = [*sides, "mean_pose"]
        stops = torch.as_tensor(video_lengths, dtype=torch.int64).cumsum(0).to(device)
        self.last_row = stops - 1
        self.first_row = torch.cat((stops.new_zeros(1), stops[:-1]))
        self.accumulators = {
            (protocol.name, side): MetricAccumulator(
                protocol, frame_columns(protocol, detailed=detailed), len(video_lengths), device
            )
            for protocol in protocols
            for side in sides
        }

    def add(self, batch: Batch, predictions: dict[str, Prediction]) -> Scored:
        """Score one batch of all sides; clips must come in the order of their split. Does not wait for the device."""
        shape = batch.frames.shape
        counted, frames = batch.counted.flatten(), batch.frames.flatten()
        videos = batch.videos[:, None].expand(shape).flatten()
        sides = {side: Prediction(*map(_flat, prediction)) for side, prediction in predictions.items()}
        target = _flat(batch.target)
        scored = {key: FrameErrors() for key in self.accumulators}
        targets = {protocol.name: FrameErrors() for protocol in self.protocols}
        for first in range(0, len(frames), _FRAMES_AT_ONCE):
            chosen = slice(first, first + _FRAMES_AT_ONCE)
            truth = _rows(target, chosen)
            truth_mesh = self.body(truth)
            for protocol in self.protocols:
                targets[protocol.name].add(protocol, truth_mesh)
            for side, posed in self._pose_sides(sides, chosen, len(truth.betas)):
                for protocol in self.protocols:
                    mesh, errors = posed.under(protocol, truth_mesh, truth.rotations, self.detailed)
                    self.accumulators[protocol.name, side].add_frames(errors, counted[chosen], videos[chosen])
                    scored[protocol.name, side].add(protocol, mesh, errors)
        is_video_end = (frames == self.first_row[videos]) | (frames == self.last_row[videos])
        truths = {name: torch.cat(kept.motion_mm) for name, kept in targets.items()}
        for (protocol, side), accumulator in self.accumulators.items():
            pair = torch.cat(scored[protocol, side].motion_mm), truths[protocol]
            accumulator.add_motion(*pair, frames, videos, counted, is_video_end)
        shown = self.protocols[0].name
        firsts = {side: kept for (protocol, side), kept in scored.items() if protocol == shown}
        return Scored(
            {side: kept.all_joints_mm(shape) for side, kept in (firsts | {"target": targets[shown]}).items()},
            {side: kept.all_errors(shape) for side, kept in firsts.items()},
        )

    def _pose_sides(self, sides: dict[str, Prediction], chosen: slice, count: int):
        for side, prediction in sides.items():
            params, mirrored = (None if part is None else _rows(part, chosen) for part in prediction)
            yield side, PosedSide(params, mirrored, self.body)
        if self.constant is not None:
            mesh, rotations = self.constant
            mesh = BodyMesh(*(part.expand(count, -1, -1) for part in mesh))
            yield "mean_pose", PosedSide(BodyParams(rotations.expand(count, -1, -1, -1), None), None, lambda _: mesh)


class PosedSide:
    """One side's meshes of a few frames, each posed when a protocol first asks for it."""

    def __init__(self, params: BodyParams, mirrored: BodyParams | None, body):
        self.params, self.mirrored, self.body = params, mirrored, body
        self.meshes: dict[str, BodyMesh] = {}
        self.postures: dict[str, dict[str, Tensor]] = {}  # by way of flip averaging, what no protocol changes

    def under(
        self, protocol: Protocol, target: BodyMesh, target_rotations: Tensor, detailed: bool
    ) -> tuple[BodyMesh, dict[str, Tensor]]:
        """The mesh that the protocol's flip averaging gives, and its errors."""
        flip = "none" if self.mirrored is None else protocol.flip
        mesh = self.mesh(flip)
        # The released average has no rotations of its own: those half-way between its two bodies stand for it.
        rotations = (self.params if flip == "none" or not detailed else self.mean).rotations
        posed = Posed(protocol, mesh, target, rotations, target_rotations)
        return mesh, frame_errors(posed, detailed=detailed, posture=self.postures.setdefault(flip, {}))

    def mesh(self, flip: str) -> BodyMesh:
        """The mesh that one way of flip averaging gives."""
        if flip not in self.meshes:
            if flip == "none":
                mesh = self.body(self.params)
            elif flip == "rotations":
                mesh = self.body(self.mean)
            else:
                mesh = average_mesh(self.mesh("none"), self.body(self.mirrored))
            self.meshes[flip] = mesh
        return self.meshes[flip]

    @cached_property
    def mean(self) -> BodyParams:
        """The body half-way between the two halves of the flip test."""
        return average_params(self.params, self.mirrored)


def _flat(params: BodyParams | None) -> BodyParams | None:
    return None if params is None else BodyParams(*(part.flatten(0, 1) for part in params))


def _rows(params: BodyParams, chosen: slice) -> BodyParams:
    return BodyParams(*(part[chosen] for part in params))
