"""How soon training can begin on a folder of arrays, and what memory it takes, as the folder grows tenfold.

The folder is synthetic: float32, videos of 250 frames. Every reading is a process of its own; the files are in the page
cache where there is room. Memory is told apart: what the process alone has, and pages of the files, which processes
share and the system takes back.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import describe, parser, report, table

_VIDEO_FRAMES, _PIECE = 250, 50_000
_BATCHES = 200


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--frames", type=int, default=10_000_000, help="of the larger folder (default: %(default)s)")
    flags.add_argument("--read", type=Path, help="start on this folder, print seconds and MiB, and stop")
    arguments = flags.parse_args()
    if arguments.read:
        print(*_start(arguments.read))
        return
    rows = [("frames", "GB", "s to the first batch", f"s for {_BATCHES} batches", "own MiB", "file pages, MiB")]
    for frames in (arguments.frames // 10, arguments.frames):
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "folder"
            write_folder(folder, frames)
            size = sum(path.stat().st_size for path in folder.iterdir()) / 1e9
            command = [sys.executable, "-m", "benchmarks.folder", "--read", str(folder)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-4:]
            rows.append((f"{frames:,}", size, *map(float, printed)))
    import torch

    report(
        "folder", f"training from a folder of arrays\n{describe(torch.device('cpu'))}\n\n{table(rows)}", arguments.keep
    )


def write_folder(path: Path, frames: int) -> None:
    """A dataset of so many training frames, all alike every 50,000."""
    from kinemesh.files.array_folder.writing import TEXT, Column, writing_folder

    random = np.random.default_rng(0)
    piece = {
        "joint_2d": random.uniform(0, 1000, (_PIECE, 17, 2)).astype("<f4"),
        "confidence": random.uniform(0, 1, (_PIECE, 17)).astype("<f4"),
        "smpl_pose": random.normal(0, 0.4, (_PIECE, 72)).astype("<f4"),
        "smpl_shape": random.normal(0, 1, (_PIECE, 10)).astype("<f4"),
    }
    columns = {f"train.{key}": Column(array.dtype, array.shape[1:]) for key, array in piece.items()}
    columns |= {
        "train.source": Column(np.dtype("<i4")),
        "train.img_hw": Column(np.dtype("<i8")),
        "train.source.names": TEXT,
    }
    with writing_folder(path, "dataset", columns, needed_bytes=frames * 540) as writer:
        for first in range(0, frames, _PIECE):
            writer.append({f"train.{key}": array[: frames - first] for key, array in piece.items()})
            rows = np.arange(first, min(first + _PIECE, frames), dtype="<i4")
            writer.append({"train.source": rows // np.int32(_VIDEO_FRAMES)})
        writer.append({"train.img_hw": np.array([1000, 1000], "<i8")})
        writer.append_text("train.source.names", [f"video_{number}" for number in range(-(-frames // _VIDEO_FRAMES))])


def _start(path: Path) -> tuple[float, float, int, int]:
    """Seconds to the first batch and for those after it; MiB of the process's own, and of pages of files."""
    from kinemesh.data.clips import cut_clips
    from kinemesh.data.loader import ClipLoader
    from kinemesh.data.sources import load_dataset

    began = time.perf_counter()
    before = _mib("RssAnon"), _mib("RssFile")
    dataset = load_dataset("mine", path, fps=30)
    clips, _ = cut_clips(dataset.train.video_lengths, dataset.test.video_lengths, 16, 8)
    loader = ClipLoader(dataset.train, clips, batch_size=128, training=True)
    batches = loader.training_batches(loader.training_order(0, 0))
    next(batches)
    first = time.perf_counter()
    for _ in range(_BATCHES):
        next(batches)
    found = (first - began, time.perf_counter() - first, _mib("RssAnon") - before[0], _mib("RssFile") - before[1])
    batches.close()
    return found


def _mib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


if __name__ == "__main__":
    main()
