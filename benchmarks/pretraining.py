"""What pretraining on motion alone is worth where few files are at hand: the embedded default's 3DPW-like videos.

Three networks of one size and as many steps: pretrained and then finetuned on a tenth of the videos, from scratch on that tenth,
and from scratch on all. `python -m benchmarks.ablation --rows base` pretrains. Test videos are scored once, by the epoch that
a tenth of the training videos chose. The body is a stand-in: nothing published compares.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks import setting
from benchmarks.timing import describe, parser, report, table
from kinemesh.data.split import fill_split
from kinemesh.errors import UserError
from kinemesh.evaluation.intervals import ratio_interval
from kinemesh.training.names import BEST

_CONFIG = "configs/mesh/MB_demo.yaml"
_KEYS = {
    "dt_file_h36m": "null", "dt_file_coco": "null", "warmup_h36m": 0, "warmup_coco": 0, "clip_len": 16, "data_stride": 16,
    "val_split": 0.1, "fill_missing": "interpolate", "mean_pose_baseline": False,
}  # fmt: skip
_TENTH = 10
# Finetuning starts near: at a part of the rates from scratch.
_FINETUNED = {"finetune": True, "lr_matrix": 0.008, "lr_backbone": 0.0008, "lr_head": 0.0008}
_ALL, _SCRATCH, _PRETRAINED = "from scratch on all", "from scratch on a tenth", "pretrained, then a tenth"
_ALONE = "pretrained alone"
_METRICS = ("mpjpe", "pa_mpjpe", "mpve")


def main() -> None:
    flags = parser(__doc__)
    add = flags.add_argument
    add("--pretrained", default=f"checkpoint/ablation/base/{BEST}", metavar="FILE", help="default: %(default)s")
    add("--run", default="checkpoint/pretraining", metavar="DIR", help="where the runs are (default: %(default)s)")
    add("--epochs", type=int, default=3, help="over all videos; ten times as many over a tenth")
    arguments = flags.parse_args()
    pretrained = Path(arguments.pretrained)
    if not pretrained.is_file():
        raise UserError(f"{pretrained} not found. `python -m benchmarks.ablation --rows base` makes it.")
    assets, dataset = setting.open_data()
    tenth = _write_tenth(Path(arguments.run))
    long = {"epochs": _TENTH * arguments.epochs, "data_root": tenth}
    start = ["--pretrained", str(pretrained.parent), "--selection", pretrained.name]
    run = Path(arguments.run)
    paths = {
        _SCRATCH: setting.train_run(run / "tenth", _CONFIG, _KEYS | long),
        _PRETRAINED: setting.train_run(run / "pretrained_tenth", _CONFIG, _KEYS | long | _FINETUNED, start),
        _ALL: setting.train_run(run / "all", _CONFIG, _KEYS | {"epochs": arguments.epochs, "data_root": setting.DATA}),
        _ALONE: pretrained,
    }
    split, device = fill_split(dataset.test), torch.device(arguments.device)
    found = {name: setting.errors_by_video(path, split, assets, device) for name, path in paths.items()}
    errors = {name: [by_video[metric] for metric in _METRICS] for name, by_video in found.items()}
    rows = [("mm [95 % of the difference to the tenth from scratch]", "MPJPE", "PA-MPJPE", "MPVE")]
    for name, own in errors.items():
        rows.append((name, *(_cell(*values) for values in zip(errors[_SCRATCH], own, strict=True))))
    videos = len(errors[_SCRATCH][0][1])
    heading = (
        f"{videos} test videos of 3DPW's kind; {arguments.epochs} epochs over all, {_TENTH} times as many over a tenth"
    )
    report("pretraining", f"{heading}\n{describe(device)}\n\n{table(rows)}", arguments.keep)


def _write_tenth(run: Path) -> Path:
    """A data folder whose training videos are every tenth of the embedded default's."""
    folder = run / "data"
    path = folder / "mesh_det_pw3d.pkl"
    if path.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for part in setting.DATA.glob("[SJs]*"):
        (folder / part.name).symlink_to(part.resolve())
    # Made by this program a moment ago.
    content = pickle.loads((setting.DATA / path.name).read_bytes())
    train_split = content["train"]
    names, place = np.unique(train_split["source"], return_inverse=True)
    kept = np.flatnonzero(place % _TENTH == 0)
    content["train"] = {
        key: values[kept] if isinstance(values, np.ndarray) else [values[row] for row in kept]
        for key, values in train_split.items()
    }
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(content, protocol=4))
    part.replace(path)
    print(f"{path}: every tenth of {len(names)} videos, {len(kept)} frames", file=sys.stderr)
    return folder


def _cell(base: tuple[np.ndarray, np.ndarray], own: tuple[np.ndarray, np.ndarray]) -> str:
    (base_sums, counts), (sums, _) = base, own
    mean = f"{sums.sum() / counts.sum():.1f}"
    if own is base:
        return mean
    _, low, high = ratio_interval(sums - base_sums, counts)
    return f"{mean} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    sys.exit(main())
