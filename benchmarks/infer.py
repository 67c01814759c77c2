"""Frames a second of infer_wild_mesh.py without rendering, from the keypoint file to the written npz.

By default the model of `--demo`, or the built-in one, or random weights of the released configs' size, 42 M parameters, windows
of 243 frames. The file is AlphaPose's (COCO-17), two walking people repeated.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import describe, parser, report, table
from kinemesh.config import load_config
from kinemesh.demo.body import BUILTIN_PATH, CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import CAMERA, FPS, make_video
from kinemesh.export.scene import Footage
from kinemesh.export.write import OutputChoices, write_outputs
from kinemesh.infer import MeshPredictor, Settings
from kinemesh.keypoints import read_keypoints
from kinemesh.keypoints.formats import FORMATS
from kinemesh.machine.device import keep_freed_memory
from kinemesh.model.building import build_model
from kinemesh.structures import Timeline

ROOT = Path(__file__).parent.parent


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--frames", type=int, default=3000)
    flags.add_argument("--people", type=int, default=2)
    flags.add_argument("--size", choices=("demo", "builtin", "released"), default="demo")
    flags.add_argument("--tta", choices=("flip", "none"), default="flip")
    flags.add_argument("--fit", choices=("keypoints", "none"), default="keypoints")
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    predictor = _predictor(arguments.size, device)
    keep_freed_memory(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "alphapose-results.json"
        path.write_text(json.dumps(_alphapose(arguments.frames, arguments.people)))
        settings = Settings(is_pixel=True, is_flip_tested=arguments.tta == "flip", fit=arguments.fit)
        _run(predictor, path, Path(folder), settings)  # a first run to warm up
        seconds = _run(predictor, path, Path(folder), settings)
    bodies, total = arguments.frames * arguments.people, sum(seconds.values())
    rows = [("stage", "seconds", "share")]
    rows += [(stage, taken, f"{taken / total:.0%}") for stage, taken in seconds.items()]
    how = f"--tta {arguments.tta} --fit {arguments.fit}"
    text = (
        f"inference, {how}, {arguments.size} model, {arguments.frames} frames of {arguments.people} people, "
        f"without rendering\n{describe(device)}\n\n{table(rows)}\n\n"
        f"{bodies / total:.0f} bodies a second, {arguments.frames / total:.0f} frames a second"
    )
    report(f"infer_{arguments.size}_{device.type}", text, arguments.keep)


def _predictor(size: str, device: torch.device) -> MeshPredictor:
    assets = StandIn().assets
    if size != "released":
        path = BUILTIN_PATH if size == "builtin" else CHECKPOINT_PATH
        return MeshPredictor.load(path, device=str(device), assets=assets)
    config = load_config(ROOT / "configs/mesh/MB_ft_pw3d.yaml")
    model = build_model("regressor", config, assets)
    return MeshPredictor(model.to(device), assets, config, device, "regressor")


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


def _run(predictor: MeshPredictor, path: Path, folder: Path, settings: Settings) -> dict[str, float]:
    """Seconds of each stage."""
    began = time.perf_counter()
    detections = read_keypoints(path)
    seconds = {"read": time.perf_counter() - began}
    found = predictor.infer(detections, image_size=CAMERA.image_size, fps=FPS, settings=settings)
    footage = Footage(found.camera, Timeline.of_constant_rate(FPS, int(detections.frame.max()) + 1))
    options = OutputChoices(["npz"]), predictor.assets, predictor.device
    written = write_outputs(found.tracks, folder, footage, *options)
    return seconds | found.seconds | {"write npz": written["npz"]}


if __name__ == "__main__":
    main()
