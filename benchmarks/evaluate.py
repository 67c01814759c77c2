"""Scoring a test split against the plain way, and what memory it takes as the split grows.

The plain way poses whole meshes with smplx, item by item for targets, keeps every vertex and aligns one frame after another.
Peak memory is taken in processes of their own, on the test clips once and ten times over.
"""

import os
import subprocess
import sys

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks import setting
from benchmarks.plain import PlainBody, PlainDataset, plain_evaluate
from benchmarks.timing import describe, interleaved_ms, median_ratio, parser, peak_growth_mib, report, table
from kinemesh.data.clips import Clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.split import place_split
from kinemesh.evaluation.evaluate import evaluate
from kinemesh.protocols import DEFAULT


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--size", choices=("small", "released"), default="small")
    flags.add_argument("--clips", type=int, default=64, help="test clips that both score")
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument(
        "--peak", choices=("ours", "plain"), help="print by how many MiB one pass raises memory, and stop"
    )
    flags.add_argument("--times", type=int, default=1, help="with --peak: how often the clips are repeated")
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    passes = _passes(arguments.size, arguments.clips, arguments.times, device)
    if arguments.peak:
        print(peak_growth_mib(passes[arguments.peak]))
        return
    found = {name: run() for name, run in passes.items()}
    times = interleaved_ms(passes, device, arguments.rounds, warm_up=0)
    frames = arguments.clips * setting.open_config(arguments.size).clip_len
    rows = [("", "ms a frame", "MPJPE, mm", "PA-MPJPE, mm", "MPVE, mm")]
    for name in ("plain", "ours"):
        rows.append(
            (name, min(times[name]) / frames, *(f"{found[name][m]:.4f}" for m in ("mpjpe", "pa_mpjpe", "mpve")))
        )
    memory = [("peak memory grows by, MiB", f"{frames:,} frames", f"{10 * frames:,} frames")]
    memory += [(side, *(_peak_of(side, times_over, arguments) for times_over in (1, 10))) for side in ("plain", "ours")]
    text = (
        f"evaluation without the flip test, {arguments.size} model, {arguments.clips} clips\n{describe(device)}\n\n"
        f"{table(rows)}\n\nratio plain / ours: {median_ratio(times['plain'], times['ours']):.2f}\n\n{table(memory)}"
    )
    report(f"evaluate_{arguments.size}_{device.type}", text, arguments.keep)


def _passes(size: str, clip_count: int, times_over: int, device: torch.device) -> dict:
    config = setting.open_config(size, flip=False)
    assets, dataset = setting.open_data()
    _, clips = setting.cut(dataset, config)
    some = np.arange(clip_count * times_over) % min(clip_count, len(clips.frames))
    clips = Clips(clips.frames[some], clips.counted[some])
    model, body = setting.build(config, assets, device)
    split = place_split(dataset.test, device)
    loader = ClipLoader(split, clips, batch_size=config.batch_size, device=device)
    plain_loader = DataLoader(PlainDataset(dataset.test, clips.frames, PlainBody(assets)), config.batch_size)
    on_device = _OnDevice(plain_loader, device)
    plain_body = PlainBody(assets).to(device)
    return {
        "plain": lambda: plain_evaluate(model, plain_body, on_device),
        "ours": lambda: evaluate(model, loader, body.mesh, config, label="test")[DEFAULT].metrics,
    }


class _OnDevice:
    """A loader's batches, moved."""

    def __init__(self, loader: DataLoader, device: torch.device):
        self.loader, self.device = loader, device

    def __iter__(self):
        for batch in self.loader:
            yield {name: value.to(self.device) for name, value in batch.items()}


def _peak_of(side: str, times_over: int, arguments) -> int:
    """By how many MiB one pass raises the peak memory of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.evaluate", "--peak", side, "--times", str(times_over)]
    command += ["--size", arguments.size, "--clips", str(arguments.clips), "--device", arguments.device]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
    return int(printed.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
