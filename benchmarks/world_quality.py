"""How near the world that inference finds comes to a made-up one: up, floor, feet and paths, clip by clip.

The checkpoint is the one that comes with the program, for the stand-in body: the figures compare with nothing published.
Nothing was chosen on the seed that is the default, but that one of two first beliefs in contacts was left out with its figures seen.
Made-up people shuffle even when they idle; those whose feet are at rest are beside them (`benchmarks.planted`).
"""

import sys

import numpy as np
import torch

from benchmarks.planted import plant_feet
from benchmarks.timing import describe, parser, report, table
from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.detector import detect
from kinemesh.demo.splits import STATURE_M, StandIn, axis_angles
from kinemesh.geometry.camera import project
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.infer import MeshPredictor, Settings
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.motion import make_motion
from kinemesh.structures import BodyParams, Track, VideoCamera
from kinemesh.world import metrics

_FRAMES, FPS = 150, 30.0
CLIPS = (
    ("walk",), ("walk_turn",), ("walk_back",), ("stand_talk",), ("idle",), ("reach",), ("run",), ("sidestep",),
    ("walk", "stand_talk"), ("walk", "walk_carry"), ("idle", "phone"), ("walk", "wave", "idle"),
    ("sit",), ("sit_down",), ("pick_up",), ("squat",), ("dance",), ("jump",), ("kick",), ("lie",),
)  # fmt: skip
_EVERYDAY = 12  # of these
# Who stands: both feet stay where they are.
PLANTED = (("idle",), ("phone",), ("stand_talk",), ("wave",), ("idle",), ("phone",), ("stand_talk",), ("wave",))
COLUMNS = (
    "up, degrees", "said", "sliding, mm a frame", "the truth's", "feet off the floor, mm", "penetration, mm",
    "WA-MPJPE, mm", "W-MPJPE, mm", "RTE, %", "jitter, 10 m/s^3", "depth of who stands: its error, mm", "its movement, mm",
    "the true movement, mm",
)  # fmt: skip


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--seed", type=int, default=2026)
    arguments = flags.parse_args()
    predictor = MeshPredictor.load(CHECKPOINT_PATH, device=arguments.device, assets=StandIn().assets)
    rows, found = [("", *COLUMNS)], []
    for number, kinds in enumerate((*CLIPS, *PLANTED)):
        are_planted = number >= len(CLIPS)
        clip = _Clip(kinds, np.random.default_rng([arguments.seed, number]), are_planted=are_planted)
        scores = clip.scores(predictor)
        found.append(scores)
        title = " + ".join(kinds) + ", feet at rest" * are_planted
        rows.append((title, *(" / ".join(map(_cell, pair)) for pair in zip(*scores, strict=True))))
    groups = {"everyday": found[:_EVERYDAY], "all": found[: len(CLIPS)], "who stands": found[len(CLIPS) :]}
    for title, some in groups.items():
        rows.append(
            (f"{title}, without / with the floor", *(_interval(column) for column in np.array(some).transpose(2, 1, 0)))
        )
    text = f"one camera, {len(CLIPS) + len(PLANTED)} made-up videos, without / with the floor\n{describe(predictor.device)}\n\n{table(rows)}"
    report("world_quality", text, arguments.keep)


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.1f}"


def _interval(pair: np.ndarray) -> str:
    """Means over clips before and after, and the 95 % interval of the latter."""
    kept = pair[:, ~np.isnan(pair[1])]
    if not kept.shape[1]:
        return "-"
    drawn = np.random.default_rng(0).integers(kept.shape[1], size=(4000, kept.shape[1]))
    low, high = np.quantile(kept[1][drawn].mean(axis=1), (0.025, 0.975))
    before = np.nanmean(pair[0]) if not np.isnan(pair[0]).all() else np.nan
    return f"{_cell(before)} / {kept[1].mean():.1f} [{low:.1f}, {high:.1f}]"


class _Clip:
    """People on one floor before a camera that stands."""

    def __init__(self, kinds: tuple[str, ...], rng: np.random.Generator, *, are_planted: bool = False):
        self.kinds, body, people = kinds, StandIn(), len(kinds)
        self.betas = np.clip(rng.standard_normal((people, 10)), -2, 2)
        rest = body.shaped_rest_joints_m(self.betas)
        motion = make_motion(rng, list(kinds), _FRAMES, FPS, rest)
        self.are_planted = are_planted
        if are_planted:
            motion = plant_feet(motion, rest)
        self.rotations, pelvis = motion.rotations.copy(), rest[:, None, 0]
        middle = motion.root_m + pelvis
        middle[..., ::2] -= middle[..., ::2].mean(axis=1, keepdims=True)
        for person in range(people):
            yaw = rotation_matrices(np.array([0.0, rng.uniform(-np.pi, np.pi), 0.0]))
            self.rotations[person, :, 0] = yaw @ self.rotations[person, :, 0]
            middle[person] = middle[person] @ yaw.T
            middle[person, :, ::2] += (1.5 * (person - (people - 1) / 2), rng.uniform(-0.8, 0.8) * (people > 1))
        self.trans = middle - pelvis
        angles = np.radians([180 + rng.uniform(-8, 24), 0.0, rng.normal(0, 1.5)])
        self.turn = rotation_matrices(angles * (0, 0, 1)) @ rotation_matrices(angles * (1, 0, 0))
        self.eye = (0.0, 0.9, 0.0) - self.turn.T @ (0.0, 0.0, rng.uniform(4, 7))
        seen = (middle - self.eye) @ self.turn.T
        seen[..., 2] = np.maximum(seen[..., 2], 1.5)
        self.camera = VideoCamera(float(rng.uniform(1000, 1800)), (960.0, 540.0), (1920, 1080))
        rotations = self.rotations.copy()
        rotations[:, :, 0] = self.turn @ rotations[:, :, 0]
        joints = body.regressed_joints_m(rotations, self.betas) + (seen - pelvis)[:, :, None]
        pixels = project(joints, self.camera.focal_px, self.camera.centre_px)
        detection = detect(rng, pixels, self.camera.focal_px * STATURE_M / seen[..., 2], FPS)
        confidence = np.maximum(detection.confidence, 0.02)[..., None]
        self.keypoints = np.concatenate((detection.keypoints_px, confidence), axis=-1).astype(np.float32)

    def scores(self, predictor: MeshPredictor) -> tuple[list[float], list[float]]:
        """Columns before and after, means over people."""
        given = detections_of_array(self.keypoints), {"image_size": self.camera.image_size, "fps": FPS}
        settings = {"focal_px": self.camera.focal_px, "is_pixel": True}
        # Not fitted, a body neither rests nor stands.
        before, after = (
            predictor.infer(given[0], **given[1], settings=Settings(**settings, **other))
            for other in ({"fit": "none", "up": "camera"}, {})
        )
        rows = []
        for found in (before, after):
            people = [self._score(track, found.world.ground_m, predictor.assets) for track in found.tracks]
            up = float(np.degrees(np.arccos(np.clip(found.world.rotation[0, 1] @ self.turn[:, 1], -1, 1))))
            columns = np.array(people).T
            means = [float(np.nanmean(column)) if not np.isnan(column).all() else np.nan for column in columns]
            rows.append([up, found.world.up_error_deg, *means])
        return tuple(rows)

    def _score(self, track: Track, ground_m: float | None, assets: BodyAssets) -> list[float]:
        person, frames = int(track.name), track.frame_ids
        poses = np.concatenate((track.world.global_orient, track.poses[:, 3:]), axis=1)
        true_poses = axis_angles(self.rotations[person : person + 1])[0][frames]
        feet, lowest, joints = [], [], []
        body = PosedBody(assets)
        for one, betas, trans_m in (
            (poses, track.betas, track.world.trans_m),
            (true_poses, self.betas[person], self.trans[person][frames]),
        ):
            rotations = axis_angle_to_matrix(torch.from_numpy(one).float().unflatten(1, (-1, 3)))
            mesh = body(BodyParams(rotations, torch.from_numpy(betas).float().expand(len(one), -1)))
            moved = torch.from_numpy(trans_m).float()[:, None]
            feet.append(mesh.vertices_mm[:, list(metrics.FOOT_VERTICES)] / MM_PER_M + moved)
            lowest.append((mesh.vertices_mm[..., 1] / MM_PER_M + moved[..., 1]).amin(dim=1))
            joints.append(mesh.joints_mm / MM_PER_M + moved)
        is_standing = (lowest[1].abs() < 0.03) & (ground_m is not None)
        off = lowest[0][is_standing].abs() * MM_PER_M
        # How places change along the line of sight: by how much they are off, what was found, what is true.
        found, true = (points[:, 0, 2].numpy() for points in joints)
        depths = [MM_PER_M * float(each.std()) if self.are_planted else np.nan for each in (found - true, found, true)]
        return [
            _mean(metrics.foot_sliding_mm(*feet)), _mean(metrics.foot_sliding_mm(feet[1], feet[1])), _mean(off),
            _mean(metrics.penetration_mm(lowest[0])) if ground_m is not None else np.nan,
            _mean(metrics.wa_mpjpe_mm(*joints)), _mean(metrics.w_mpjpe_mm(*joints)),
            _mean(metrics.rte_percent(joints[0][:, 0], joints[1][:, 0])), _mean(metrics.jitter_10_m_s3(joints[0], FPS)),
            *depths,
        ]  # fmt: skip


def _mean(values: torch.Tensor) -> float:
    return float(values.double().mean()) if len(values) else np.nan


if __name__ == "__main__":
    sys.exit(main())
