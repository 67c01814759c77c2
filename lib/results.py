"""Test results as files: the metrics JSON and the predictions npz (behaviour contract, section 8)."""

import json
from pathlib import Path

import numpy as np

from lib.config import Config
from lib.data.sources import Split
from lib.engine.evaluate import Evaluation
from lib.engine.summary import PROTOCOL, refinement_record
from lib.files import write_atomically, write_text_atomically


def write_metrics(path: Path, meta: dict, evaluations: dict[str, Evaluation], config: Config) -> None:
    """The metrics JSON, every figure at full precision."""
    content: dict = {"meta": meta}
    for name, evaluation in evaluations.items():
        content[name] = {"protocol": PROTOCOL, "clips": config.eval_clips, "videos": evaluation.video_count}
        content[name] |= evaluation.metrics | evaluation.losses | refinement_record(evaluation)
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
