"""Test results as a console table, as the metrics JSON, and as the predictions file (behaviour contract, section 8)."""

import json
from pathlib import Path

import numpy as np

from lib.config import Config
from lib.data.sources import Split
from lib.engine.evaluate import Evaluation
from lib.files import write_atomically, write_text_atomically

_SHOWN = ("mpjpe", "pa_mpjpe", "mpve", "mpjpe_17j", "pa_mpjpe_17j")
PROTOCOL = "motionbert"


def results_table(evaluations: dict[str, Evaluation]) -> str:
    """Mean errors in mm, a line a dataset; beside each what one constant mean body would score, where it was asked for."""
    rows = [("test split", "frames", *_SHOWN)]
    for name, evaluation in evaluations.items():
        sides = {name: evaluation.metrics, f"{name}, constant mean body": evaluation.mean_pose}
        for label, metrics in sides.items():
            if metrics is not None:
                rows.append((label, str(metrics["frames"]), *(f"{metrics[metric]:.2f}" for metric in _SHOWN)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "errors in mm\n" + "\n".join(lines)


def write_metrics(path: Path, meta: dict, evaluations: dict[str, Evaluation], config: Config) -> None:
    """The metrics JSON, every figure at full precision."""
    content: dict = {"meta": meta}
    for name, evaluation in evaluations.items():
        content[name] = {"protocol": PROTOCOL, "clips": config.eval_clips, "videos": evaluation.video_count}
        content[name] |= evaluation.metrics | evaluation.losses
        if evaluation.mean_pose is not None:
            content[name]["mean_pose"] = evaluation.mean_pose
    write_text_atomically(path, json.dumps(content, indent=2) + "\n")


def write_predictions(path: Path, evaluations: dict[str, Evaluation], splits: dict[str, Split], config: Config) -> None:
    """One row a scored frame of all datasets, `dataset`, `video` and `frame` saying which."""
    tables = []
    for name, evaluation in evaluations.items():
        rows = dict(evaluation.rows)
        row = rows.pop("row")
        video, frame = splits[name].locate(row)
        count = len(row)
        fps = getattr(config, f"fps_{name}")
        tables.append(
            {"dataset": np.full(count, name), "video": video, "frame": frame, "fps": np.full(count, fps), **rows}
        )
    merged = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    write_atomically(path, lambda file: np.savez(file, **merged))
