"""How near inference comes to made-up people whose bodies and camera are known, for several of its settings.

The checkpoint is the one that comes with the program, for the stand-in body: the figures compare with nothing published.
"""

import sys

import numpy as np
import torch

from benchmarks.timing import describe, parser, report, table
from kinemesh.body.kinematics import regress_joints_m
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import FPS, make_video
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.infer import MeshPredictor, Settings
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.metrics import ALL_JOINTS, acceleration_error_mm, mpjpe_mm, mpve_mm, pa_mpjpe_mm
from kinemesh.structures import BodyParams

_UNFITTED = {"is_pixel": True, "fit": "none"}
SETTINGS = {
    "`--pixel`": {"is_pixel": True},
    "`--pixel --smooth`": {"is_pixel": True, "smooth_s": 0.3},
    "`--pixel --fit none`": _UNFITTED,
    "`--pixel --fit none --smooth`": _UNFITTED | {"smooth_s": 0.3},
    "`--pixel --fit none --tta none`": _UNFITTED | {"is_flip_tested": False},
    "`--pixel --fit none --clip_len 32`": _UNFITTED | {"clip_len": 32},
    "box, `--fit none`": {"fit": "none"},
}


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--videos", type=int, default=4, help="of two people each")
    arguments = flags.parse_args()
    predictor = MeshPredictor.load(CHECKPOINT_PATH, device=arguments.device, assets=StandIn().assets)
    head = ("MPJPE, 17 joints", "PA-MPJPE", "MPVE", "acceleration error, mm per frame squared", "place x, y, z, mm")
    rows = [("", *head)]
    body = PosedBody(predictor.assets)
    for name, changes in SETTINGS.items():
        errors = np.mean(
            [error for seed in range(arguments.videos) for error in _errors(predictor, body, seed, changes)], axis=0
        )
        place = ", ".join(f"{value:.0f}" for value in errors[4:])
        rows.append((name, *(f"{value:.1f}" for value in errors[:4]), place))
    text = f"inference on {2 * arguments.videos} made-up people, true focal length\n{describe(predictor.device)}\n\n{table(rows)}"
    report("infer_quality", text, arguments.keep)


def _errors(predictor: MeshPredictor, body: PosedBody, seed: int, changes: dict) -> list[list[float]]:
    """For each person of a video: MPJPE, PA-MPJPE, MPVE, acceleration error, mean distance in x, y and z of the root."""
    video = make_video(120, seed)
    settings = Settings(focal_px=video.camera.focal_px, **changes)
    detections = detections_of_array(video.keypoints_px)
    found = predictor.infer(detections, image_size=video.camera.image_size, fps=FPS, settings=settings)
    rows = []
    for person, track in enumerate(found.tracks):
        joints_m = regress_joints_m(predictor.kinematics, track.poses, track.betas)
        true_m = video.joints_m[person][track.frame_ids]
        pred_mm, target_mm = (torch.from_numpy(np.asarray(points)) * MM_PER_M for points in (joints_m, true_m))
        relative = [points - points[:, :1] for points in (pred_mm, target_mm)]
        place_mm = np.abs(joints_m[:, 0] + track.trans_m - true_m[:, 0]).mean(axis=0) * MM_PER_M
        true = video.poses[person][track.frame_ids], video.betas[person]
        meshes = [body(_params(*one)) for one in ((track.poses, track.betas), true)]
        errors = (
            mpjpe_mm(pred_mm, target_mm, ALL_JOINTS),
            pa_mpjpe_mm(pred_mm, target_mm),
            mpve_mm(*meshes),
            acceleration_error_mm(*relative, ALL_JOINTS),
        )
        rows.append([*(error.mean().item() for error in errors), *place_mm])
    return rows


def _params(poses: np.ndarray, betas: np.ndarray) -> BodyParams:
    rotations = axis_angle_to_matrix(torch.from_numpy(poses).float().unflatten(1, (-1, 3)))
    return BodyParams(rotations, torch.from_numpy(betas).float().expand(len(poses), -1))


if __name__ == "__main__":
    sys.exit(main())
