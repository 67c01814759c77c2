"""Scores a model on a test split in one pass, without keeping a vertex."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.mirror import average_params, mirror_inputs, mirror_params
from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.evaluation.accumulator import MetricAccumulator
from kinemesh.evaluation.fitting import FittedSides, Fitting
from kinemesh.evaluation.scoring import Prediction, Scored, Scoring
from kinemesh.losses import LOSSES, compute_losses, weighted_total
from kinemesh.machine.processes import Processes
from kinemesh.machine.progress import progress
from kinemesh.machine.stopping import StopRequest
from kinemesh.protocols import DEFAULT, PROTOCOLS, ClipRule, Flip, Protocol, by_clip_rule
from kinemesh.structures import Batch, BodyParams, Loader, RefineInputs

FITTED = "fitted"  # the side of the model's bodies, fitted to their keypoints
# What `EvaluationOptions.keep_rows` may ask for.
ERRORS, BODIES = "errors", "bodies"
VideoSums = dict[str, tuple[np.ndarray, np.ndarray]]  # by metric: sums and numbers of frames, (videos,)


@dataclass
class Side:
    """One side's errors under one protocol: means over counted frames, and the sums by video they come from."""

    metrics: dict[str, float]  # mm unless named otherwise; `frames` is their number
    by_video: VideoSums


@dataclass
class Evaluation:
    """What one pass over a test split found under one protocol."""

    protocol: Protocol
    clips: ClipRule  # as used; a config may ask for all frames where the protocol has the released clips
    flip: Flip  # as used: `none` without a flip test
    fps: float  # frames a second of what was scored
    coverage: float  # share of the split's frames that were scored
    video_names: list[str]
    video_actions: list[str] | None
    # "model", and where there are any: "estimate" (what it refines), "mean_pose", "fitted", files.
    sides: dict[str, Side]
    losses: dict[str, float] = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)  # one row a counted frame, when asked for

    @property
    def metrics(self) -> dict[str, float]:
        """The model's."""
        return self.sides["model"].metrics


@dataclass(frozen=True)
class EvaluationOptions:
    """What an evaluation does beside scoring the model."""

    constant: BodyParams | None = None  # a body (24, 3, 3), (10,) to score beside the model
    detailed: bool = False  # errors by joint, joint angles and PA-MPVE too
    fitting: Fitting | None = None  # to score the model's bodies fitted to their keypoints beside them
    keep_rows: str = ""  # `ERRORS` or `BODIES` of every frame
    stop: StopRequest | None = None  # raises `Stopped` between two batches once it is made
    processes: Processes = field(default_factory=Processes)  # each sees some of the videos, all return the whole result


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: Loader,
    body: PosedBody,
    config: Config,
    *,
    label: str,
    protocols: Sequence[Protocol] = (PROTOCOLS[DEFAULT],),
    options: EvaluationOptions = EvaluationOptions(),
) -> dict[str, Evaluation]:
    """Run `model` over the loader's clips, once for all `protocols`, which must have those clips.

    With `config.flip` the model also sees mirrored input, where a protocol averages: the released flip test averages
    vertices and joints of two bodies, and their axis-angle numbers for the logged losses (behaviour contract,
    section 4). Losses and rows are the first protocol's. `label` stands before progress lines.
    """
    stop, processes = options.stop, options.processes
    model.eval()
    sees_mirrored = config.flip and any(protocol.flip != "none" for protocol in protocols)
    sides = ["model", *(["estimate"] if loader.with_estimate else [])]
    extras = {"detailed": options.detailed, "constant": options.constant}
    scoring = Scoring(protocols, sides, loader.split.video_lengths, body, device=loader.device, **extras)
    fitted = None
    if options.fitting is not None:
        names = {"model": FITTED}
        fitted = FittedSides(options.fitting, names, protocols, loader, body, detailed=options.detailed)
    # Sums over clips of the loss and its terms, and the number of clips.
    losses = ("loss", *LOSSES)
    sums = torch.zeros(len(losses) + 1, dtype=torch.float64, device=loader.device)
    rows: list[dict[str, Tensor]] = []
    own = loader.of_videos(processes.share) if processes.count > 1 else loader
    for batch in progress(own.batches(), len(own), label, every=100):
        if stop is not None:
            stop.raise_if_agreed()
        mirrored = mirror_params(model(*mirror_inputs(batch.inputs))) if sees_mirrored else None
        predictions = {"model": Prediction(model(*batch.inputs), mirrored)}
        if isinstance(batch.inputs, RefineInputs):
            predictions["estimate"] = Prediction(batch.inputs.estimate)
        scored = scoring.add(batch, predictions)
        seen = _averaged(predictions["model"], protocols[0].flip)
        joints = scored.joints_mm["model"], scored.joints_mm["target"]
        terms = compute_losses(seen, joints[0], batch.target, joints[1], config.loss_type)
        terms["loss"] = weighted_total(terms, config)
        clips = batch.frames.shape[0]
        sums += torch.stack([*(terms[name] for name in losses), terms["loss"].new_ones(())]).double() * clips
        if options.keep_rows:
            rows.append(_rows(batch, predictions["model"], scored, options.keep_rows))
        if fitted is not None:
            fitted.add(batch, predictions)
    if fitted is not None:
        fitted.finish()
    if stop is not None:
        # All processes ask equally often.
        for _ in range(processes.largest(len(own)) - len(own)):
            stop.raise_if_agreed()
    own_sums = (accumulator.sums for accumulator in scoring.accumulators.values())
    for totals in (sums, *own_sums, *(fitted.sums if fitted is not None else ())):
        processes.add_up(totals)
    results = collect(scoring, loader, config.eval_clips, sees_mirrored, fitted)
    first = results[protocols[0].name]
    *totals, clip_count = sums.tolist()
    first.losses = {name: total / clip_count for name, total in zip(losses, totals, strict=True)}
    first.rows = _joined_rows([part for parts in processes.gather(rows) for part in parts]) if options.keep_rows else {}
    return results


def evaluate_protocols(
    model: nn.Module,
    loaders: dict[ClipRule, Loader],
    body: PosedBody,
    config: Config,
    *,
    label: str,
    protocols: Sequence[Protocol],
    options: EvaluationOptions = EvaluationOptions(),
) -> dict[str, Evaluation]:
    """`evaluate` under protocols of any clip rules: one pass over the data for each rule. In the order asked for."""
    results: dict[str, Evaluation] = {}
    for rule, chosen in by_clip_rule(protocols, config.eval_clips).items():
        results |= evaluate(model, loaders[rule], body, config, label=label, protocols=chosen, options=options)
        options = replace(options, keep_rows="")  # the first protocol's only
    return {protocol.name: results[protocol.name] for protocol in protocols}


def require_finite_figures(label: str, evaluation: Evaluation, advice: str) -> None:
    """Raise UserError, with `advice`, if a figure of an evaluation is not finite; `label` says of what it is."""
    sides = evaluation.sides.items()
    figures = {
        name if side == "model" else f"{side} {name}": each
        for side, found in sides
        for name, each in found.metrics.items()
    }
    for name, value in (figures | evaluation.losses).items():
        if not math.isfinite(value):
            raise UserError(f"{label}: {name} is {value}, by protocol {evaluation.protocol.name}. {advice}.")


def collect(
    scoring: Scoring, loader: Loader, eval_clips: ClipRule, sees_mirrored: bool, fitted: FittedSides | None = None
) -> dict[str, Evaluation]:
    """Everything that was scored, by protocol. Raises UserError where no frame counted."""
    split = loader.split
    fps = split.fps / split.sample_stride
    coverage = len(loader.clip_frames[loader.counted].unique()) / split.frame_count
    sides: dict[str, dict[str, Side]] = {protocol.name: {} for protocol in scoring.protocols}
    for each in (scoring, *(fitted.scorings.values() if fitted is not None else ())):
        for (protocol, side), accumulator in each.accumulators.items():
            sides[protocol][side] = _side(accumulator, fps)
    for each, side, facts in fitted.facts() if fitted is not None else ():
        for protocol in each.protocols:
            sides[protocol.name][side].metrics |= facts
    return {
        protocol.name: Evaluation(
            protocol=protocol,
            clips=protocol.clip_rule(eval_clips),
            flip=protocol.flip if sees_mirrored else "none",
            fps=fps,
            coverage=coverage,
            video_names=split.video_names,
            video_actions=split.video_actions,
            sides=sides[protocol.name],
        )
        for protocol in scoring.protocols
    }


def _side(accumulator: MetricAccumulator, fps: float) -> Side:
    by_video = {
        name: tuple(part.numpy() for part in pair) for name, pair in _in_seconds(accumulator.by_video(), fps).items()
    }
    means = {name: float(total.sum() / number.sum()) for name, (total, number) in by_video.items() if number.sum()}
    return Side(means | accumulator.result(), by_video)


def _in_seconds(by_video: dict[str, tuple[Tensor, Tensor]], fps: float) -> dict[str, tuple[Tensor, Tensor]]:
    """The same, and what is per frame squared or cubed also in m/s^2 and m/s^3."""
    powers = {
        "accel_error": ("accel_error_m_s2", 2),
        "jitter": ("jitter_m_s3", 3),
        "jitter_target": ("jitter_target_m_s3", 3),
    }
    found = dict(by_video)
    for name, (other, power) in powers.items():
        if name in by_video:
            total, number = by_video[name]
            found[other] = total * fps**power / 1000, number
    return found


def _averaged(prediction: Prediction, flip: Flip) -> BodyParams:
    """The body that the losses see."""
    params, mirrored = prediction
    if mirrored is None or flip == "none":
        return params
    if flip == "rotations":
        return average_params(params, mirrored)
    poses = (axis_angle_from_rotations(params.rotations) + axis_angle_from_rotations(mirrored.rotations)) / 2
    return params_from_axis_angle(poses, (params.betas + mirrored.betas) / 2)


def _joined_rows(parts: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]} if parts else {}


def _rows(batch: Batch, prediction: Prediction, scored: Scored, kept: str) -> dict[str, Tensor]:
    """The counted frames of a batch as the predictions file holds them (behaviour contract, section 8)."""
    errors = scored.errors["model"]
    table = {"row": batch.frames, **{f"{name}_mm": errors[name] for name in ("mpjpe", "pa_mpjpe", "mpve")}}
    if kept == BODIES:
        table |= {
            "poses": axis_angle_from_rotations(prediction.params.rotations),
            "betas": prediction.params.betas,
            "joints_mm": scored.joints_mm["model"],
        }
        if prediction.mirrored is not None:
            table["poses_mirrored"] = axis_angle_from_rotations(prediction.mirrored.rotations)
            table["betas_mirrored"] = prediction.mirrored.betas
    return {name: value[batch.counted].cpu() for name, value in table.items()}
