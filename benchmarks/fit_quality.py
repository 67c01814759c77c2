"""What fitting to keypoints changes for made-up people: other motions, cameras, noise and estimators than training had.

Clips are drawn anew; nothing was chosen on the seed that is the default. The body is the stand-in: nothing published compares.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.infer_quality import _params
from benchmarks.timing import describe, parser, report, table
from kinemesh.body.kinematics import regress_joints_m
from kinemesh.body.skeleton import H36M_JOINT_COUNT, MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.camera import View, point_cameras, see
from kinemesh.demo.detector import Detection, detect
from kinemesh.demo.estimator import estimate
from kinemesh.demo.splits import STATURE_M, StandIn, axis_angles
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.tracks import fit_tracks
from kinemesh.geometry.rotation import turn_part_way
from kinemesh.geometry.translation import solve_translation
from kinemesh.infer import MeshPredictor, Settings
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.metrics import ALL_JOINTS, acceleration_error_mm, mpjpe_mm, mpve_mm, pa_mpjpe_mm
from kinemesh.motion.actions import EVERYDAY, Vocabulary
from kinemesh.motion.motion import make_motion
from kinemesh.motion.poses import HELD_OUT_KINDS, KINDS
from kinemesh.structures import BodyMesh, Track, VideoCamera

_FRAMES, FPS = 90, 30.0
EVERYDAY_KINDS = ("walk", "walk_turn", "walk_carry", "run", "stairs", "stand_talk", "idle", "phone", "sit", "reach")
_FAST = ("run", "jumping_jack", "dance", "sport")
VIEW = View((1000.0, 2300.0), (2.5, 7.0), ((760.0, 830.0, 1160.0, 1090.0),), ((960.0, 960.0),))
_METRICS = ("MPJPE", "PA-MPJPE", "MPVE", "acceleration", "place", "peak speed, %")


# True rotations (1, F, 24, 3, 3) and betas (1, 10) -> what is made of them, of the same shapes.
Estimator = Callable[[np.random.Generator, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def err_by(share: float) -> Estimator:
    """The demo's estimator with so much of its usual error."""

    def make(rng: np.random.Generator, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        guess = estimate(rng, rotations, betas, np.ones((*rotations.shape[:2], H36M_JOINT_COUNT)), FPS)
        shape = betas + share * (guess.betas.mean(axis=1) - betas)
        true, guessed = torch.from_numpy(rotations), torch.from_numpy(guess.rotations)
        return turn_part_way(true, guessed, torch.full(true.shape[:-2], share, dtype=true.dtype)).numpy(), shape

    return make


class Clips(NamedTuple):
    """Videos of one kind of difficulty."""

    kinds: tuple[str, ...]
    view: View = VIEW
    is_biased: bool = (
        False  # lasting errors of every joint, jitter and peaks, as WHAM's training has; else the demo's detector
    )
    estimator: Estimator | None = None  # None: the network
    vocabulary: Vocabulary = EVERYDAY


SETS = {
    "everyday motion, held camera": Clips(EVERYDAY_KINDS, VIEW._replace(is_held=True)),
    "every motion": Clips(tuple(KINDS)),
    "motions never trained on": Clips(tuple(HELD_OUT_KINDS)),
    "fast motion": Clips(_FAST),
    "any attitude": Clips(tuple(KINDS), VIEW._replace(any_attitude=1.0)),
    "lasting errors, jitter and peaks": Clips(EVERYDAY_KINDS, is_biased=True),
    "another estimator": Clips(tuple(KINDS), estimator=err_by(1.0)),
    "a good estimator": Clips(tuple(KINDS), estimator=err_by(0.45)),
}


def opened(description: str, clips: int, seed: int) -> "tuple[argparse.Namespace, Scorer]":
    """The flags of a benchmark over clips, with these defaults, and what scores the shipped model."""
    flags = parser(description)
    flags.add_argument("--clips", type=int, default=clips, help="of each row's kind")
    flags.add_argument("--seed", type=int, default=seed)
    arguments = flags.parse_args()
    return arguments, Scorer(MeshPredictor.load(CHECKPOINT_PATH, device=arguments.device, assets=StandIn().assets))


def main() -> None:
    arguments, scorer = opened(__doc__, clips=16, seed=2026)
    rows = [("mm, network -> fitted [95 % of the difference]", *_METRICS)]
    for number, (name, clips) in enumerate(SETS.items()):
        scores = np.array(list(scorer.scores(clips, arguments.clips, np.random.default_rng([arguments.seed, number]))))
        rows.append((name, *(difference(*column) for column in scores.transpose(2, 1, 0))))
    text = f"fitting to keypoints, {arguments.clips} clips of {_FRAMES} frames a row\n{describe(scorer.predictor.device)}\n\n{table(rows)}"
    report("fit_quality", text, arguments.keep)


def difference(before: np.ndarray, after: np.ndarray) -> str:
    """Two means, and the 95 % interval over clips of how much they differ."""
    low, high = interval(after - before)
    return f"{before.mean():.1f} -> {after.mean():.1f} [{low:+.1f}, {high:+.1f}]"


def interval(differences: np.ndarray) -> np.ndarray:
    """(2, ...) bounds of the 95 % interval of the mean over clips, by bootstrap; (clips, ...) values."""
    drawn = np.random.default_rng(0).integers(len(differences), size=(4000, len(differences)))
    return np.quantile(differences[drawn].mean(axis=1), (0.025, 0.975), axis=0)


def kinds_of(clips: Clips, count: int) -> list[str]:
    """The kind of each of so many clips."""
    kinds = clips.kinds
    return [
        kinds[number * len(kinds) // count if count < len(kinds) else number % len(kinds)] for number in range(count)
    ]


class Scorer:
    def __init__(self, predictor: MeshPredictor):
        self.predictor, self.stand_in = predictor, StandIn()
        self.body, self.points = PosedBody(predictor.assets), BodyPoints(predictor.assets)

    def scores(self, clips: Clips, count: int, rng: np.random.Generator) -> Iterator[tuple[list[float], list[float]]]:
        """Of each clip the metrics before and after."""
        for kind in kinds_of(clips, count):
            truth, keypoints, camera, start = self.make(clips, kind, rng)
            (fitted,), _ = fit_tracks(
                self.points, [start], [keypoints], camera, FPS, are_lifted=clips.estimator is None
            )
            target = self.mesh(truth)
            yield tuple(self.metrics(track, truth, target) for track in (start, fitted))

    def mesh(self, track: Track) -> BodyMesh:
        return self.body(_params(track.poses, track.betas))

    def metrics(self, track: Track, truth: Track, target) -> list[float]:
        mesh = self.mesh(track)
        relative = [one.joints_mm - one.joints_mm[:, :1] for one in (mesh, target)]
        place = (
            mesh.joints_mm[:, 0] - target.joints_mm[:, 0] + MM_PER_M * torch.from_numpy(track.trans_m - truth.trans_m)
        )
        # Of wrists and ankles: what smoothing would take from fast movement.
        speeds = [one.diff(dim=0).norm(dim=-1)[:, (3, 6, 13, 16)].quantile(0.95, dim=0).mean() for one in relative]
        errors = (
            mpjpe_mm(mesh.joints_mm, target.joints_mm, ALL_JOINTS), pa_mpjpe_mm(mesh.joints_mm, target.joints_mm),
            mpve_mm(mesh, target), acceleration_error_mm(*relative, ALL_JOINTS), place.norm(dim=-1),
        )  # fmt: skip
        return [*(error.mean().item() for error in errors), 100 * (speeds[0] / speeds[1]).item()]

    def make(self, clips: Clips, kind: str, rng: np.random.Generator) -> tuple[Track, np.ndarray, VideoCamera, Track]:
        """The truth, keypoints, camera and what the estimator makes of them."""
        betas = np.clip(rng.standard_normal((1, 10)), -2.5, 2.5)
        rest = self.stand_in.shaped_rest_joints_m(betas)
        motion = make_motion(rng, [kind], _FRAMES, FPS, rest, clips.vocabulary)
        seen = point_cameras(rng, clips.view, motion.root_m + rest[:, None, 0], FPS)
        rotations = motion.rotations.copy()
        rotations[:, :, 0] = seen.rotations @ rotations[:, :, 0]
        trans = seen.pelvis_m - rest[:, None, 0]
        joints = self.stand_in.regressed_joints_m(rotations, betas) + trans[:, :, None]
        stature_px = seen.focal_px[:, None] * STATURE_M / seen.pelvis_m[..., 2]
        make = _err_for_long if clips.is_biased else detect
        detection = make(rng, see(joints, seen), stature_px, FPS)
        keypoints = np.concatenate((detection.keypoints_px, detection.confidence[..., None]), axis=-1)[0].astype(
            np.float32
        )
        camera = VideoCamera(float(seen.focal_px[0]), tuple(seen.centre_px[0]), (1920, 1920))
        truth = _track(axis_angles(rotations)[0], betas[0], trans[0])
        if clips.estimator is None:
            settings = Settings(focal_px=camera.focal_px, is_pixel=True, fit="none")
            detections = detections_of_array(keypoints)
            found = self.predictor.infer(detections, image_size=camera.image_size, fps=FPS, settings=settings)
            start = found.tracks[0]
            kept = start.frame_ids
            return _track(truth.poses[kept], betas[0], trans[0][kept]), keypoints[kept], camera, start
        guess, shape = clips.estimator(rng, rotations, betas)
        start = _track(axis_angles(guess)[0], shape[0], np.zeros_like(trans[0]))
        return truth, keypoints, camera, place(self.predictor, start, keypoints, camera)


def place(predictor: MeshPredictor, track: Track, keypoints: np.ndarray, camera: VideoCamera) -> Track:
    """The track where its body fits the keypoints."""
    joints = regress_joints_m(predictor.kinematics, track.poses, track.betas)
    return track._replace(trans_m=solve_translation(joints, keypoints, camera, FPS)[1].astype(np.float32))


def _err_for_long(rng: np.random.Generator, keypoints_px: np.ndarray, stature_px: np.ndarray, fps: float) -> Detection:
    """In parts of the stature: a bias a clip, jitter, peaks, and a confidence that says half of it."""
    shape = keypoints_px.shape
    error = 0.008 * rng.standard_normal((shape[0], 1, *shape[2:])) + 0.005 * rng.standard_normal(shape)
    error += (rng.random((*shape[:3], 1)) < 0.01) * 0.1 * rng.standard_normal(shape)
    size = np.linalg.norm(error, axis=-1)
    confidence = np.clip(1 - size / 0.08 + 0.14 * rng.standard_normal(shape[:3]), 0.05, 1)
    return Detection(keypoints_px + error * stature_px[..., None, None], confidence)


def _track(poses: np.ndarray, betas: np.ndarray, trans_m: np.ndarray) -> Track:
    arrays = (one.astype(np.float32) for one in (poses, betas, trans_m))
    return Track("0", np.arange(len(poses)), *arrays, np.ones(len(poses), np.float32), np.zeros(len(poses), bool))


if __name__ == "__main__":
    sys.exit(main())
