"""Frames a second of infer_wild_mesh.py without rendering, from the keypoint file to the written npz.

    python -m benchmarks.infer [--frames N] [--people P] [--threads N] [--released_size]

By default the model of `--demo`; --released_size: random weights of the released configs' size, 42 M parameters, windows
of 243 frames. Each with the flip test. The file is AlphaPose's (COCO-17), two walking people repeated.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lib.assembly import build_model
from lib.config import load_config
from lib.demo.splits import StandIn
from lib.demo.video import CAMERA, FPS, make_video
from lib.export.write import write_outputs
from lib.infer import MeshPredictor, Settings
from lib.infer.keypoint_files import read_keypoints
from lib.infer.keypoint_formats import FORMATS
from lib.infer_app import DEMO_CHECKPOINT

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--released_size", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    predictor = _predictor(arguments.released_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "alphapose-results.json"
        path.write_text(json.dumps(_alphapose(arguments.frames, arguments.people)))
        _run(predictor, path, Path(folder))  # a first run to warm up
        seconds = _run(predictor, path, Path(folder))
    bodies, total = arguments.frames * arguments.people, sum(seconds.values())
    for stage, taken in seconds.items():
        print(f"{stage:10} {taken:8.2f} s {100 * taken / total:5.1f} %")
    print(
        f"{bodies / total:.0f} bodies a second, {arguments.frames / total:.0f} frames a second, {arguments.threads} threads"
    )


def _predictor(is_released_size: bool) -> MeshPredictor:
    assets = StandIn().assets
    if not is_released_size:
        return MeshPredictor.load(DEMO_CHECKPOINT, device="cpu", assets=assets)
    config = load_config(ROOT / "configs/mesh/MB_ft_pw3d.yaml")
    model = build_model("regressor", config, assets)
    return MeshPredictor(model, assets, config, torch.device("cpu"), "regressor")


def _alphapose(frame_count: int, person_count: int) -> list[dict]:
    keypoints = make_video().keypoints_px
    seen = keypoints[:, keypoints[..., 2].any(axis=-1).all(axis=0)]
    points = np.zeros((frame_count, person_count, 17, 3))
    for joint, sources in enumerate(FORMATS["coco17"].sources):
        for source in sources:
            for person in range(person_count):
                points[:, person, source] = seen[person % len(seen), np.arange(frame_count) % seen.shape[1], joint]
    return [
        {"image_id": f"{frame}.jpg", "keypoints": points[frame, person].round(2).ravel().tolist(), "idx": person}
        for frame in range(frame_count)
        for person in range(person_count)
    ]


def _run(predictor: MeshPredictor, path: Path, folder: Path) -> dict[str, float]:
    """Seconds of each stage."""
    began = time.perf_counter()
    detections = read_keypoints(path)
    seconds = {"read": time.perf_counter() - began}
    settings = Settings(is_pixel=True)
    found = predictor.infer(detections, image_size=CAMERA.image_size, fps=FPS, settings=settings)
    frame_count = int(detections.frame.max()) + 1
    options = {"fps": FPS, "frame_count": frame_count, "video_path": None, "is_side_view": False}
    written = write_outputs(
        found.tracks, found.camera, predictor.assets, folder, formats=["npz"], device=predictor.device, **options
    )
    return seconds | found.seconds | {"write npz": written["npz"]}


if __name__ == "__main__":
    main()
