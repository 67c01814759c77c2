"""Test results as files: the metrics JSON (behaviour contract, section 8)."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from kinemesh.evaluation.evaluate import FITTED, Evaluation, Side
from kinemesh.evaluation.tables import fit_record, intervals, plain_metrics, refinement_record
from kinemesh.files.writing import json_text, write_text_atomically

Evaluations = dict[str, dict[str, Evaluation]]  # by dataset, then by protocol in the order asked for


def write_metrics(path: Path, meta: dict, evaluations: Evaluations, selected_on: str) -> None:
    """The metrics JSON, every figure at full precision: `meta`, and `metrics_content`."""
    content = {"meta": meta, **metrics_content(evaluations, selected_on)}
    write_text_atomically(path, json_text(content, indent=2) + "\n")


def metrics_content(evaluations: Evaluations, selected_on: str) -> dict[str, dict]:
    """Figures by dataset, plain values.

    A dataset's own figures are those of the first protocol; further ones stand under `protocols`. `selected_on` is
    the split that the checkpoint was chosen on, which each set of figures carries.
    """
    content = {}
    for name, by_protocol in evaluations.items():
        first, *others = [record(evaluation, selected_on) for evaluation in by_protocol.values()]
        content[name] = first | ({"protocols": {other["protocol"]: other for other in others}} if others else {})
    return content


def record(evaluation: Evaluation, selected_on: str, side: str = "model") -> dict:
    """One side's figures on a dataset under one protocol, with what they were computed from."""
    model = evaluation.sides[side]
    found = {
        "protocol": evaluation.protocol.name,
        "clips": evaluation.clips,
        "flip": evaluation.flip,
        "fps": evaluation.fps,
        "coverage": evaluation.coverage,
        "selected_on": selected_on,
        "videos": int((model.by_video["mpjpe"][1] > 0).sum()),
    }
    found |= plain_metrics(model) | evaluation.losses | refinement_record(evaluation)
    if "mean_pose" in evaluation.sides:
        found["mean_pose"] = plain_metrics(evaluation.sides["mean_pose"])
    names = evaluation.video_names, evaluation.video_actions
    if side == "model" and (fitted := fit_record(evaluation)):
        found[FITTED] = fitted | tables(evaluation.sides[FITTED], *names)
    return found | tables(model, *names)


def tables(side: Side, video_names: list[str], video_actions: list[str] | None) -> dict:
    """Intervals, errors by joint, by action (where the file says which) and by video."""
    found: dict = {"intervals": {name: list(interval[1:]) for name, interval in intervals(side).items()}}
    by_joint: dict[str, dict[str, float]] = defaultdict(dict)
    for name, value in side.metrics.items():
        metric, _, joint = name.partition("/")
        if joint:
            by_joint[metric][joint] = value
    if by_joint:
        found["by_joint"] = dict(by_joint)
    if video_actions is not None:
        actions = np.array(video_actions)
        found["by_action"] = {
            action: means for action in sorted(set(video_actions)) if (means := _means(side, actions == action))
        }
    rows = ((name, _means(side, slice(place, place + 1))) for place, name in enumerate(video_names))
    found["by_video"] = [{"video": name, **means} for name, means in rows if means]
    return found


def _means(side: Side, chosen: np.ndarray | slice) -> dict[str, float]:
    """Means over some videos; empty where none of their frames was scored."""
    means = {
        name: float(sums[chosen].sum() / counts[chosen].sum())
        for name, (sums, counts) in side.by_video.items()
        if "/" not in name and counts[chosen].sum()
    }
    return {"frames": int(side.by_video["mpjpe"][1][chosen].sum()), **means} if means else {}
