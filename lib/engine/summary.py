"""Evaluation results in words: the console table, an epoch's line, TensorBoard names, warnings."""

from lib.engine.evaluate import Evaluation

_SHOWN = ("mpjpe", "pa_mpjpe", "mpve", "accel_error")
_TITLES = {"mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE", "mpve": "MPVE", "accel_error": "accel"}
# The only protocol so far: the released one (behaviour contract, section 4).
PROTOCOL = "motionbert"


def results_table(evaluations: dict[str, Evaluation]) -> str:
    """Mean errors, a line a dataset and side.

    Beside the model: what one constant mean body would score, where that was asked for; for a refiner the estimator's
    own error, and the difference with its 95 % interval over videos.
    """
    rows = [("test split", "frames", *(_TITLES[metric] for metric in _SHOWN))]
    for name, evaluation in evaluations.items():
        is_refiner = evaluation.estimate is not None
        sides = {
            f"{name}, input estimator": evaluation.estimate,
            f"{name}, refined" if is_refiner else name: evaluation.metrics,
        }
        for label, metrics in sides.items():
            if metrics is not None:
                rows.append((label, str(metrics["frames"]), *(_cell(metrics.get(metric)) for metric in _SHOWN)))
        if is_refiner:
            rows.append(
                (f"{name}, difference", "", *(_interval_cell(evaluation.difference.get(metric)) for metric in _SHOWN))
            )
        if evaluation.mean_pose is not None:
            mean_pose = evaluation.mean_pose
            rows.append(
                (f"{name}, constant mean body", str(mean_pose["frames"]), *(_cell(mean_pose.get(m)) for m in _SHOWN))
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return f"protocol {PROTOCOL}; errors in mm, accel in mm per frame squared\n" + "\n".join(lines)


def refinement_warnings(evaluations: dict[str, Evaluation]) -> list[str]:
    """One sentence for each dataset where the refined error is higher than the estimator's own."""
    warnings = []
    for name, evaluation in evaluations.items():
        if evaluation.difference is None:
            continue
        worse = [
            f"{_TITLES[metric]} {evaluation.metrics[metric]:.2f} instead of {evaluation.estimate[metric]:.2f}"
            for metric in _SHOWN
            if metric in evaluation.difference and evaluation.difference[metric][0] > 0
        ]
        if worse:
            warnings.append(f"{name}: refining makes the estimate worse: {', '.join(worse)}")
    return warnings


def refinement_record(evaluation: Evaluation) -> dict:
    """The three rows of a refiner's test result, as stored in JSON; empty for a regressor."""
    if evaluation.difference is None:
        return {}
    difference = {name: list(interval) for name, interval in evaluation.difference.items()}
    return {"input": evaluation.estimate, "refined": evaluation.metrics, "difference": difference}


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval_cell(interval: tuple[float, float, float] | None) -> str:
    return "-" if interval is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*interval)


def test_scalars(dataset_name: str, evaluation: Evaluation) -> dict[str, float]:
    """TensorBoard names of a test result: `test_mpjpe` for H36M, `test_mpjpe_pw3d` for 3DPW, and so on."""
    suffix = "" if dataset_name == "h36m" else f"_{dataset_name}"
    named = {f"test_loss{suffix}": evaluation.losses["loss"]}
    named |= {f"test_loss{suffix}/{name}": value for name, value in evaluation.losses.items() if name != "loss"}
    named |= {f"test_{name}{suffix}": evaluation.metrics[name] for name in ("mpjpe", "pa_mpjpe", "mpve")}
    return named


def epoch_line(epoch: int, epochs: int, record: dict[str, float], evaluations: dict[str, Evaluation]) -> str:
    """What an epoch came to, on one line."""
    parts = [f"epoch {epoch}/{epochs}"]
    if "train_loss" in record:
        parts.append(f"train loss {record['train_loss']:.2f} mpjpe(17) {record['train_mpjpe']:.1f}")
    for name, evaluation in evaluations.items():
        metrics = evaluation.metrics
        parts.append(
            f"{name} test mpjpe {metrics['mpjpe']:.1f} pa_mpjpe {metrics['pa_mpjpe']:.1f} mpve {metrics['mpve']:.1f}"
        )
    return " | ".join(parts) + " mm"
