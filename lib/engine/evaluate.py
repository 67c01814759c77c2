"""Scores a model on a test split in one pass, without keeping a vertex."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from lib.body.mirror import average_mesh, mirror_inputs, mirror_params
from lib.body.smpl import PosedBody
from lib.config import Config
from lib.engine.log import progress
from lib.engine.signals import StopRequest
from lib.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from lib.intervals import ratio_interval
from lib.losses import compute_losses, weighted_total
from lib.metrics import MetricAccumulator
from lib.structures import Batch, BodyMesh, BodyParams, RefineInputs

# Meshes of this many frames exist at once, whatever the batch size.
_FRAMES_AT_ONCE = 256


@dataclass
class Evaluation:
    """What one pass over a test split found. Metrics are means over counted frames in mm, `frames` their number."""

    metrics: dict[str, float]
    losses: dict[str, float]
    video_count: int
    mean_pose: dict[str, float] | None = None  # the same metrics of one constant body
    estimate: dict[str, float] | None = None  # of the other estimator's bodies, when the model refines them
    difference: dict[str, tuple[float, float, float]] | None = None  # model minus estimate: mean, low, high
    rows: dict[str, np.ndarray] = field(default_factory=dict)  # one row a counted frame, when asked for


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader,
    body: PosedBody,
    config: Config,
    *,
    label: str,
    constant: BodyParams | None = None,
    keep_rows: bool = False,
    stop: StopRequest | None = None,
) -> Evaluation:
    """Run `model` over the loader's clips; with `config.flip`, also on mirrored input, and average.

    The released flip test averages vertices and joints of the two bodies, and their axis-angle numbers for the logged
    losses (behaviour contract, section 4). `constant` is a body (24, 3, 3), (10,) to score beside the model.
    Raises `Stopped` between two batches once `stop` is made.
    """
    model.eval()
    videos = len(loader.split.video_lengths)
    accumulators = {"model": MetricAccumulator(videos)}
    constant_mesh = None
    if constant is not None:
        constant_mesh = body(BodyParams(constant.rotations[None], constant.betas[None]))
        accumulators["mean_pose"] = MetricAccumulator(videos)
    loss_sums: dict[str, Tensor] = {}
    clip_count = 0
    rows: list[dict[str, Tensor]] = []
    for batch in progress(loader.batches(), len(loader), label, every=100):
        if stop is not None:
            stop.raise_if_made()
        if isinstance(batch.inputs, RefineInputs):
            accumulators.setdefault("estimate", MetricAccumulator(videos))
        pred = model(*batch.inputs)
        mirrored = mirror_params(model(*mirror_inputs(batch.inputs))) if config.flip else None
        joints, errors = _score(batch, pred, mirrored, body, accumulators, constant_mesh)
        seen = pred if mirrored is None else _average_axis_angle(pred, mirrored)
        terms = compute_losses(seen, joints["model"], batch.target, joints["target"], config.loss_type)
        terms = {"loss": weighted_total(terms, config), **terms}
        clips = batch.frames.shape[0]
        clip_count += clips
        for name, value in terms.items():
            loss_sums[name] = loss_sums.get(name, 0.0) + value.double() * clips
        if keep_rows:
            rows.append(_rows(batch, pred, mirrored, joints["model"], errors))
    results = {name: accumulator.result() for name, accumulator in accumulators.items()}
    return Evaluation(
        metrics=results["model"],
        losses={name: (total / clip_count).item() for name, total in loss_sums.items()},
        video_count=loader.video_count,
        mean_pose=results.get("mean_pose"),
        estimate=results.get("estimate"),
        difference=_difference(accumulators["model"], accumulators["estimate"]) if "estimate" in results else None,
        rows={name: torch.cat([part[name] for part in rows]).numpy() for name in rows[0]} if rows else {},
    )


def _score(
    batch: Batch,
    pred: BodyParams,
    mirrored: BodyParams | None,
    body: PosedBody,
    accumulators: dict[str, MetricAccumulator],
    constant_mesh: BodyMesh | None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Pose every side, a few frames at a time, and add to the accumulators.

    Returns the joints (B, T, K, 3) of model, target and estimate, and the model's frame errors (B, T).
    """
    shape = batch.frames.shape
    sides = {"model": pred, "target": batch.target}
    if mirrored is not None:
        sides["mirrored"] = mirrored
    if "estimate" in accumulators:
        sides["estimate"] = batch.inputs.estimate
    flat = {name: BodyParams(side.rotations.flatten(0, 1), side.betas.flatten(0, 1)) for name, side in sides.items()}
    counted = batch.counted.flatten()
    videos = batch.videos[:, None].expand(shape).flatten()
    joints: dict[str, list[Tensor]] = {}
    errors: dict[str, list[Tensor]] = {}
    for first in range(0, counted.numel(), _FRAMES_AT_ONCE):
        chosen = slice(first, first + _FRAMES_AT_ONCE)
        meshes = {name: body(BodyParams(side.rotations[chosen], side.betas[chosen])) for name, side in flat.items()}
        if mirrored is not None:
            meshes["model"] = average_mesh(meshes["model"], meshes.pop("mirrored"))
        target = meshes["target"]
        for name, mesh in meshes.items():
            joints.setdefault(name, []).append(mesh.joints_mm)
        if constant_mesh is not None:
            meshes["mean_pose"] = BodyMesh(*(part.expand(len(target.joints_mm), -1, -1) for part in constant_mesh))
        for name, accumulator in accumulators.items():
            found = accumulator.update(meshes[name], target, counted[chosen], videos[chosen])
            if name == "model":
                for metric, values in found.items():
                    errors.setdefault(metric, []).append(values)
    clips = {name: torch.cat(parts).unflatten(0, shape) for name, parts in joints.items()}
    for name in accumulators.keys() & clips.keys():
        accumulators[name].update_acceleration(clips[name], clips["target"], batch.frames, batch.counted, batch.videos)
    return clips, {name: torch.cat(parts).unflatten(0, shape) for name, parts in errors.items()}


def _difference(model: MetricAccumulator, estimate: MetricAccumulator) -> dict[str, tuple[float, float, float]]:
    """Mean difference of each metric and its 95 % interval over videos."""
    ours, theirs = model.by_video(), estimate.by_video()
    return {
        name: ratio_interval((sums - theirs[name][0]).numpy(), counts.numpy()) for name, (sums, counts) in ours.items()
    }


def _average_axis_angle(first: BodyParams, second: BodyParams) -> BodyParams:
    mean = (matrix_to_axis_angle(first.rotations) + matrix_to_axis_angle(second.rotations)) / 2
    return BodyParams(axis_angle_to_matrix(mean), (first.betas + second.betas) / 2)


def _rows(
    batch: Batch, pred: BodyParams, mirrored: BodyParams | None, joints_mm: Tensor, errors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The counted frames of a batch as the predictions file holds them (behaviour contract, section 8)."""
    table = {
        "row": batch.frames,
        "poses": matrix_to_axis_angle(pred.rotations).flatten(-2),
        "betas": pred.betas,
        "joints_mm": joints_mm,
        **{f"{name}_mm": errors[name] for name in ("mpjpe", "pa_mpjpe", "mpve")},
    }
    if mirrored is not None:
        table["poses_mirrored"] = matrix_to_axis_angle(mirrored.rotations).flatten(-2)
        table["betas_mirrored"] = mirrored.betas
    return {name: value[batch.counted].cpu() for name, value in table.items()}
