"""What keypoints cost that are missing, at (0, 0) with confidence 0, and with a place by `fill_missing: interpolate`.

The shipped checkpoint on the embedded default's test split, of which a part of the keypoints is taken away at random.
Intervals are over videos. The figures compare with nothing published.
"""

import sys
from dataclasses import replace

import numpy as np
import torch

from benchmarks import setting
from benchmarks.timing import describe, parser, report, table
from kinemesh.data.split import Split, fill_split
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.evaluation.intervals import ratio_interval

SHARES = (0.02, 0.1, 0.3)


def main() -> None:
    arguments = parser(__doc__).parse_args()
    device = torch.device(arguments.device)
    assets, dataset = setting.open_data()

    def errors_mm(split: Split) -> tuple[np.ndarray, np.ndarray]:
        return setting.errors_by_video(CHECKPOINT_PATH, split, assets, device)["mpjpe"]

    plain, counts = errors_mm(dataset.test)
    rows = [("of the keypoints missing", "MPJPE at (0, 0)", "interpolated", "costs at (0, 0)", "costs interpolated")]
    rows.append(("none", f"{plain.sum() / counts.sum():.1f}", "", "", ""))
    for share in SHARES:
        lost = _without(dataset.test, share)
        found = [errors_mm(split)[0] for split in (lost, fill_split(lost))]
        means = [f"{sums.sum() / counts.sum():.1f}" for sums in found]
        costs = ["{:.1f} ({:.1f} to {:.1f})".format(*ratio_interval(sums - plain, counts)) for sums in found]
        rows.append((f"{share:.0%}", *means, *costs))
    text = f"missing keypoints, MPJPE in mm with 95 % intervals over {len(counts)} videos\n{describe(device)}\n\n{table(rows)}"
    report("missing", text, arguments.keep)


def _without(split: Split, share: float) -> Split:
    """The split with so many of its keypoints at (0, 0), of confidence 0, and everybody else's as it was."""
    is_kept = torch.rand(split.confidence.shape, generator=torch.Generator().manual_seed(0)) >= share
    return replace(split, keypoints_px=split.keypoints_px * is_kept[..., None], confidence=split.confidence * is_kept)


if __name__ == "__main__":
    sys.exit(main())
