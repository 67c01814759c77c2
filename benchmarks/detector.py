"""What BlazePose's scores say of its errors, and how long it takes, on made-up films of the stand-in body.

Needs its files (`infer_wild_mesh.py --install_detector blazepose`). Every fifth frame is drawn.
"""

import time

import numpy as np
import torch

from benchmarks.timing import describe, parser, report, table
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.film import film
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import CAMERA, FPS, Actor, DemoVideo, make_video
from kinemesh.detect.blazepose import DOUBT_ERROR, SURE_ERROR
from kinemesh.detect.detector import open_detector
from kinemesh.fit.landmarks import landmark_regressor
from kinemesh.keypoints.formats import shown_joints, to_shown
from kinemesh.motion.poses import KINDS
from kinemesh.synthesis.calibration import errors_by_confidence

EVERY = 5
STATURE_M = 1.6
# Beyond this a detection is somebody else's.
MATCHED, LARGEST = 0.3, 0.3
BORDERS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99, 1.0)
HEADINGS = (None, 0.0, 45.0, 90.0, 180.0, -90.0)


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--films", type=int, default=30)
    arguments = flags.parse_args()
    torch.set_num_threads(1)
    detector, assets = open_detector("blazepose"), StandIn().assets
    names = tuple(shown_joints(detector.joint_order, 33))
    single = np.array(["+" not in name for name in names])  # a middle has the mean of two confidences
    regressor, body = landmark_regressor(assets, names), PosedBody(assets)
    rng = np.random.default_rng(5)
    errors, confidences, looked, frames, missed, others = [], [], 0.0, 0, 0, 0
    for seed in range(arguments.films):
        kind = list(KINDS)[seed % len(KINDS)]
        actor = Actor(kind, rng.uniform(3, 8), HEADINGS[rng.integers(len(HEADINGS))], rng.uniform(-1, 1))
        video = make_video(40, seed, (actor,))
        video = video._replace(poses=video.poses[:, ::EVERY], trans_m=video.trans_m[:, ::EVERY])
        pictures = list(film(video, assets, seed))
        true_px, stature_px = _truth(video, body, regressor), CAMERA.focal_px * STATURE_M / video.trans_m[0][:, 2]
        began = time.process_time()
        seen = list(detector.people(pictures, FPS / EVERY))
        looked += time.process_time() - began
        for number, people in enumerate(seen):
            frames += 1
            own = 0
            for joints in people.joints_px:
                shown = to_shown(joints, detector.joint_order)
                error = np.linalg.norm(shown[:, :2] - true_px[number], axis=1) / stature_px[number]
                if np.median(error) < MATCHED:
                    errors.append(error[single].clip(0, LARGEST))
                    confidences.append(shown[single, 2])
                    own += 1
            missed, others = missed + (own == 0), others + len(people.joints_px) - own
    error, confidence = np.concatenate(errors), np.concatenate(confidences)
    score = 1 - (SURE_ERROR / confidence - SURE_ERROR) / DOUBT_ERROR
    line = np.polyfit(1 - score, error, 1)
    rows = [("score", "joints", "mean error", "median", "taken for")]
    for part in errors_by_confidence(score, error, BORDERS):
        taken = SURE_ERROR + DOUBT_ERROR * (1 - part.confidence)
        numbers = (f"{value:.3f}" for value in (part.mean, part.median, taken))
        rows.append((f"{part.low:g} to {part.high:g}", f"{part.count}", *numbers))
    text = (
        f"BlazePose on {arguments.films} made-up films of one person, {frames} frames; errors in parts of the stature\n"
        f"{describe(torch.device('cpu'))}\n\n{table(rows)}\n\n"
        f"line of the mean error: {line[1]:.4f} + {line[0]:.4f} (1 - score)\n"
        f"frames in which the person was missed: {missed}; detections of nobody: {others}\n"
        f"{1e3 * looked / frames:.0f} ms of processor time a frame, everybody looked for in every third one"
    )
    report("detector", text, arguments.keep)


def _truth(video: DemoVideo, body: PosedBody, regressor: np.ndarray) -> np.ndarray:
    """(F, K, 2) where the landmarks are seen."""
    betas = torch.tensor(video.betas[0], dtype=torch.float32).expand(len(video.poses[0]), BETA_COUNT)
    mesh = body(params_from_axis_angle(torch.tensor(video.poses[0], dtype=torch.float32), betas))
    places = np.einsum("kv,fvd->fkd", regressor, mesh.vertices_mm.numpy() / MM_PER_M) + video.trans_m[0][:, None]
    return places[..., :2] / places[..., 2:] * CAMERA.focal_px + np.array(CAMERA.centre_px)


if __name__ == "__main__":
    main()
