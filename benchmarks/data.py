"""How long a dataset file of H36M's size takes until training can begin, against reading its bytes and unpickling.

The file is synthetic: float32, pickle protocol 4, 1,559,752 train and 566,920 test frames. Every reading is a process of
its own; the file is in the page cache, so that the disk is not what is measured.
"""

import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import describe, median_ratio, parser, peak_growth_mib, report, table
from kinemesh.data.reading import CAMERA_IMAGE_SIZES

FRAMES = {"train": 1_559_752, "test": 566_920}
_VIDEO_FRAMES = 2600


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--scale", type=float, default=1.0, help="part of the frames to make (default: all)")
    flags.add_argument("--read", choices=("plain", "ours"), help="read --file once, print seconds and MiB, and stop")
    flags.add_argument("--file", type=Path)
    arguments = flags.parse_args()
    if arguments.read:
        print(*_read(arguments.read, arguments.file))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh_det_h36m.pkl"
        array_mib = write_file(path, arguments.scale)
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        peaks: dict[str, float] = {}
        path.read_bytes()
        for _ in range(arguments.rounds):
            for side, times in seconds.items():
                command = [sys.executable, "-m", "benchmarks.data", "--read", side, "--file", str(path)]
                printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
                times.append(float(printed[0]))
                peaks[side] = float(printed[1])
        size_mib = path.stat().st_size / 2**20
    rows = [("", "seconds", "peak memory, MiB", "peak / arrays")]
    titles = {"plain": "bytes read and unpickled", "ours": "checked, cut into clips, ready to train"}
    for side, title in titles.items():
        rows.append((title, statistics.median(seconds[side]), peaks[side], peaks[side] / array_mib))
    import torch

    text = (
        f"a dataset file of {sum(FRAMES.values()) * arguments.scale:,.0f} frames, {size_mib:,.0f} MiB, of which its "
        f"numeric arrays are {array_mib:,.0f} MiB\n{describe(torch.device('cpu'))}\n\n{table(rows)}\n\n"
        f"ratio ours / plain: {1 / median_ratio(seconds['plain'], seconds['ours']):.2f}"
    )
    report("data", text, arguments.keep)


def write_file(path: Path, scale: float = 1.0) -> float:
    """Write a synthetic H36M file; the MiB that its numeric arrays take."""
    rng = np.random.default_rng(0)
    content, total = {}, 0
    for split, count in FRAMES.items():
        count = round(count * scale)
        arrays = {
            "joint_2d": rng.random((count, 17, 2), dtype=np.float32) * 1000,
            "confidence": rng.random((count, 17), dtype=np.float32),
            "smpl_pose": rng.random((count, 72), dtype=np.float32),
            "smpl_shape": rng.random((count, 10), dtype=np.float32),
        }
        total += sum(array.nbytes for array in arrays.values())
        videos = np.arange(count) // _VIDEO_FRAMES
        cameras = list(CAMERA_IMAGE_SIZES)
        arrays["source"] = [f"s_{split}_{video:05d}" for video in videos]
        arrays["camera_name"] = [cameras[video % len(cameras)] for video in videos]
        content[split] = arrays
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=4)
    return total / 2**20


def _read(side: str, path: Path) -> tuple[float, int]:
    """Seconds, and by how many MiB the reading raises memory at its peak."""
    if side == "ours":
        from kinemesh.data.clips import cut_clips
        from kinemesh.data.loader import ClipLoader
        from kinemesh.data.sources import load_dataset

    def plain():
        with path.open("rb") as file:
            return pickle.loads(file.read())

    def ours():
        dataset = load_dataset("h36m", path)
        clips, _ = cut_clips(dataset.train.video_lengths, dataset.test.video_lengths, 16, 8)
        return ClipLoader(dataset.train, clips, batch_size=128, training=True)

    began = time.perf_counter()
    mib = peak_growth_mib(plain if side == "plain" else ours)
    return time.perf_counter() - began, mib


if __name__ == "__main__":
    sys.exit(main())
