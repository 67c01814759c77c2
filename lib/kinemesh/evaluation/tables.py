"""Evaluation results in words and as plain values: console tables, warnings."""

import math
from collections.abc import Iterable

from kinemesh.evaluation.evaluate import FITTED, Evaluation, Side
from kinemesh.evaluation.intervals import Interval, ratio_interval

TITLES = {
    "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "mpve": "MPVE", "pa_mpve": "PA-MPVE", "accel_error": "accel",
    "accel_error_m_s2": "accel m/s^2", "jitter_m_s3": "jitter m/s^3", "joint_angle_error": "joint angle deg",
}  # fmt: skip
_SHOWN = ("mpjpe", "pa_mpjpe", "mpve")
# Scored beside the model: name of the side, and what the table calls it.
SIDE_TITLES = {
    "estimate": "input estimator", "model": "", "mean_pose": "constant mean body", FITTED: "fitted to keypoints",
}  # fmt: skip
# Sides of which a difference is told: first minus second, and what the table calls it.
_DIFFERENCES = (("model", "estimate", "difference"), (FITTED, "model", "difference of the fit"))

Results = Iterable[tuple[str, Evaluation]]  # dataset and evaluation


def results_table(results: Results) -> str:
    """Mean errors, a table a protocol, a line a dataset and side.

    Beside the model: what one constant mean body would score, where that was asked for; for a refiner the estimator's
    own error; where bodies were fitted, those too; and of both the difference with its 95 % interval over videos. A
    detailed evaluation shows intervals of all.
    """
    by_protocol: dict[str, list[tuple[str, Evaluation]]] = {}
    for dataset, evaluation in results:
        by_protocol.setdefault(evaluation.protocol.name, []).append((dataset, evaluation))
    return "\n".join(_protocol_table(part) for part in by_protocol.values())


def _protocol_table(results: list[tuple[str, Evaluation]]) -> str:
    is_detailed = any("pa_mpve" in evaluation.metrics for _, evaluation in results)
    first = results[0][1]
    shown = (*_SHOWN, *("pa_mpve",) * is_detailed, first.protocol.acceleration)
    rows = [("test split", "frames", *(TITLES[metric] for metric in shown), "coverage")]
    for name, evaluation in results:
        is_refiner = "estimate" in evaluation.sides
        coverage = f"{evaluation.coverage:.1%}"
        for side, title in SIDE_TITLES.items():
            if side not in evaluation.sides:
                continue
            title = "refined" if side == "model" and is_refiner else title
            label = f"{name}, {title}" if title else name
            metrics = evaluation.sides[side].metrics
            rows.append((label, str(metrics["frames"]), *(_cell(metrics.get(metric)) for metric in shown), coverage))
            if is_detailed and side in ("model", FITTED):
                found = intervals(evaluation.sides[side], shown)
                cells = (_interval_cell(found.get(metric), "[{1:.2f}, {2:.2f}]") for metric in shown)
                rows.append(("  95 % interval", "", *cells, ""))
        for title, found in told_differences(evaluation, shown):
            cells = (_interval_cell(found.get(metric), "{0:+.2f} [{1:+.2f}, {2:+.2f}]") for metric in shown)
            rows.append((f"{name}, {title}", "", *cells, ""))
    rates = ", ".join(f"{evaluation.fps:g} ({name})" for name, evaluation in results)
    head = f"protocol {first.protocol.name}: {first.clips.replace('_', ' ')}"
    head += " clips" * (first.clips == "released") + f", flip averaging {first.flip}; errors in mm, accel in "
    head += "mm per frame squared" if first.protocol.acceleration == "accel_error" else f"m/s^2 at {rates} frames/s"
    return "\n".join((head, *aligned(rows), *_fit_lines(results)))


def _fit_lines(results: list[tuple[str, Evaluation]]) -> list[str]:
    """How far bodies lie from their keypoints, where they were fitted."""
    found = [(name, evaluation.sides[FITTED].metrics) for name, evaluation in results if FITTED in evaluation.sides]
    return [
        f"{name}: fitted bodies lie {metrics['reprojection_error_after_px']:.1f} px from their keypoints, unfitted ones "
        f"{metrics['reprojection_error_before_px']:.1f}; the unfitted one is kept in {metrics['share_kept']:.1%} of frames"
        if "reprojection_error_after_px" in metrics
        else f"{name}: no frame has keypoints, so that nothing was fitted"
        for name, metrics in found
    ] + [world_line(name, metrics) for name, metrics in found if "wa_mpjpe_100" in metrics]


def world_line(name: str, metrics: dict[str, float]) -> str:
    """How near paths come to the true ones, of metrics with those of `kinemesh.world.metrics`."""
    return (
        f"{name}: in the world WA-MPJPE {metrics['wa_mpjpe_100']:.1f}, W-MPJPE {metrics['w_mpjpe_100']:.1f} mm, feet slide "
        f"{metrics.get('foot_sliding_mm', math.nan):.1f} mm a frame"
        + (
            f", bodies are {metrics['penetration_mm']:.1f} mm below the floor and {metrics['float_mm']:.1f} above it"
            if "float_mm" in metrics
            else ""
        )
    )


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of a table as lines, the first column to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def intervals(side: Side, metrics: Iterable[str] | None = None) -> dict[str, Interval]:
    """Mean, low and high of each metric, over videos; those by joint are left out unless named."""
    names = [name for name in side.by_video if "/" not in name] if metrics is None else metrics
    return {name: ratio_interval(*side.by_video[name]) for name in names if name in side.by_video}


def differences(side: Side, other: Side, metrics: Iterable[str] | None = None) -> dict[str, Interval]:
    """Of `side` minus `other`, scored on the same frames: mean, low and high of each metric, paired by video."""
    names = [name for name in side.by_video if "/" not in name] if metrics is None else metrics
    return {
        name: ratio_interval(side.by_video[name][0] - other.by_video[name][0], side.by_video[name][1])
        for name in names
        if name in side.by_video and name in other.by_video
    }


def told_differences(evaluation: Evaluation, metrics: Iterable[str]) -> list[tuple[str, dict[str, Interval]]]:
    """What tables tell of an evaluation's sides: a title, and `differences` of the metrics."""
    sides = evaluation.sides
    return [
        (title, differences(sides[side], sides[other], metrics))
        for side, other, title in _DIFFERENCES
        if side in sides and other in sides
    ]


def refinement_warnings(results: Results) -> list[str]:
    """One sentence for each dataset where the refined error is higher than the estimator's own."""
    warnings = []
    for name, evaluation in results:
        if "estimate" not in evaluation.sides:
            continue
        refined, estimate = evaluation.metrics, evaluation.sides["estimate"].metrics
        worse = [
            f"{TITLES[metric]} {refined[metric]:.2f} instead of {estimate[metric]:.2f}"
            for metric in (*_SHOWN, "accel_error")
            if metric in refined and refined[metric] > estimate[metric]
        ]
        if worse:
            warnings.append(f"{name}: refining makes the estimate worse: {', '.join(worse)}")
    return warnings


def refinement_record(evaluation: Evaluation) -> dict:
    """The three rows of a refiner's test result, as stored in JSON; empty for a regressor."""
    if "estimate" not in evaluation.sides:
        return {}
    model, estimate = evaluation.sides["model"], evaluation.sides["estimate"]
    difference = {name: list(interval) for name, interval in differences(model, estimate).items()}
    return {"input": plain_metrics(estimate), "refined": plain_metrics(model), "difference": difference}


def fit_record(evaluation: Evaluation) -> dict:
    """The figures of the model's bodies once fitted, as stored in JSON; empty where none were."""
    if FITTED not in evaluation.sides:
        return {}
    model, fitted = evaluation.sides["model"], evaluation.sides[FITTED]
    difference = {name: list(interval) for name, interval in differences(fitted, model).items()}
    return plain_metrics(fitted) | {"difference": difference}


def plain_metrics(side: Side) -> dict[str, float]:
    """The metrics without those of single joints."""
    return {name: value for name, value in side.metrics.items() if "/" not in name}


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval_cell(interval: Interval | None, form: str) -> str:
    return "-" if interval is None else form.format(*interval)
