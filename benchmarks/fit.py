"""How fast bodies are fitted to the keypoints of tracks of several lengths, one person and several."""

import sys
import time

import numpy as np
import torch

from benchmarks.timing import describe, parser, peak_growth_mib, report, table
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import FPS, make_video
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.tracks import fit_tracks
from kinemesh.structures import Track

_MADE_FRAMES = 500


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--frames", type=int, nargs="+", default=[100, 1000, 10000])
    flags.add_argument("--rounds", type=int, default=3, help="the fastest counts")
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    body = BodyPoints(StandIn().assets).to(device)
    rows = [
        (
            "frames",
            "people",
            "seconds",
            "frames a second",
            "frames a second of processor time",
            "memory, MiB a 1,000 frames",
        )
    ]
    for frames in arguments.frames:
        for people in (1, 8) if frames <= 1000 else (1,):
            tracks, keypoints, camera = _tracks(frames, people)
            seconds, busy = [], []
            for _ in range(arguments.rounds):
                began, began_busy = time.perf_counter(), time.process_time()
                fit_tracks(body, tracks, keypoints, camera, FPS)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                seconds.append(time.perf_counter() - began)
                busy.append(time.process_time() - began_busy)
            total = frames * people
            grown = peak_growth_mib(lambda: fit_tracks(body, tracks, keypoints, camera, FPS)) * 1000 / total  # noqa: B023
            rows.append((frames, people, min(seconds), total / min(seconds), total / min(busy), f"{grown:.0f}"))
    report("fit", f"bodies fitted to keypoints\n{describe(device)}\n\n{table(rows)}", arguments.keep)


def _tracks(frames: int, people: int) -> tuple[list[Track], list[np.ndarray], object]:
    """True bodies of a made-up video, turned by some degrees, over and over."""
    video = make_video(_MADE_FRAMES)
    rows = np.arange(frames) % _MADE_FRAMES
    rng = np.random.default_rng(0)
    tracks = []
    for person in range(people):
        poses = video.poses[person % 2][rows].astype(np.float32)
        poses[:, :60] += np.float32(0.1) * rng.standard_normal(60).astype(np.float32)
        place = video.trans_m[person % 2][rows].astype(np.float32)
        flags = np.zeros(frames, bool)
        betas = video.betas[person % 2].astype(np.float32)
        tracks.append(Track(str(person), np.arange(frames), poses, betas, place, np.ones(frames, np.float32), flags))
    return tracks, [video.keypoints_px[person % 2][rows] for person in range(people)], video.camera


if __name__ == "__main__":
    sys.exit(main())
