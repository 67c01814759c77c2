"""How long making a batch's keypoints takes, against the training step that they are for.

The motion is the 3DPW-like dataset's of the embedded default; a batch is gathered, posed, seen by its cameras and detected.
The model is the released 3DPW config's and the embedded default's; batch and clip length are theirs.
"""

import statistics
import sys

import torch

from benchmarks import setting
from benchmarks.timing import describe, interleaved_ms, median_ratio, parser, report, table
from kinemesh.body.mirror import mirror_some
from kinemesh.config import load_config
from kinemesh.data.loader import ClipLoader
from kinemesh.data.split import place_split
from kinemesh.synthesis.clips import Synthesizer
from kinemesh.synthesis.recipe import DEFAULT
from kinemesh.training.loop import training_losses
from kinemesh.training.optimizer import build_optimizer

CONFIGS = {"released": "MB_train_pw3d.yaml", "demo": "MB_demo.yaml"}


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--sizes", nargs="+", choices=tuple(CONFIGS), default=list(CONFIGS))
    flags.add_argument("--rounds", type=int, default=7)
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    rows = [("model", "clips x frames", "training step, ms", "synthesis, ms", "clips a second made", "ratio")]
    for size in arguments.sizes:
        rows.append(_row(size, device, arguments.rounds))
    text = f"making a batch's keypoints against training on it\n{describe(device)}\n\n{table(rows)}"
    report(f"synthesis_{device.type}", text, arguments.keep)


def _row(size: str, device: torch.device, rounds: int) -> tuple:
    config = load_config(setting.ROOT / "configs/mesh" / CONFIGS[size])
    assets, dataset = setting.open_data()
    clips, _ = setting.cut(dataset, config)
    model, body = setting.build(config, assets, device)
    model.train()
    optimizer = build_optimizer(model, config)
    common = {"batch_size": config.batch_size, "device": device, "training": True}
    split = place_split(dataset.train, device)
    read = ClipLoader(split, clips, **common)
    made = ClipLoader(split, clips, **common, synthesis=Synthesizer(assets, DEFAULT).to(device))
    chosen = torch.arange(config.batch_size, device=device)
    batch = read.gather(chosen)

    def step() -> None:
        total, _, _ = training_losses(model, mirror_some(batch), body.joints, config)
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    times = interleaved_ms({"step": step, "synthesis": lambda: made.gather(chosen)}, device, rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return (
        size, f"{config.batch_size} x {config.clip_len}", medians["step"], medians["synthesis"],
        1e3 * config.batch_size / medians["synthesis"], median_ratio(times["step"], times["synthesis"]),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
