"""What a refiner does to estimators of five kinds, on motion, keypoint noise and errors that it was never trained on.

Clips are drawn anew; nothing was chosen on the seed that is the default. The body is the stand-in: nothing published compares.
`python train_mesh_refine.py --config configs/mesh/MB_demo_refine_any.yaml` makes the checkpoint.
"""

import sys

import numpy as np
import torch

from benchmarks.fit_quality import FPS, Clips, Estimator, Scorer, err_by, interval, place
from benchmarks.infer_quality import _params
from benchmarks.timing import describe, parser, report, table
from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.demo.splits import StandIn
from kinemesh.fit.tracks import fit_tracks
from kinemesh.geometry.keypoints import scale_by_width
from kinemesh.infer import MeshPredictor
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.poses import HELD_OUT_KINDS, KINDS
from kinemesh.motion.signals import random_runs, smooth_noise
from kinemesh.structures import Track, VideoCamera

_CHECKPOINT = "checkpoint/mesh/MB_demo_refine_any/best_epoch.bin"
_SIDES = ("input", "refined", "refined and fitted", "fitted alone")
_WORSE_MM = 1.0


def _err(make_degrees, shape_error: float) -> Estimator:
    """An estimator whose joints turn by rotation vectors that `make_degrees(rng, (frames, joints, 3))` draws."""

    def make(rng: np.random.Generator, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        degrees = make_degrees(rng, (rotations.shape[1], SMPL_JOINT_COUNT, 3))
        shape = betas + shape_error * (rng.standard_normal(betas.shape) - betas)
        return rotations @ rotation_matrices(np.radians(degrees))[None], shape

    return make


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], rate_hz: float = 1.0) -> np.ndarray:
    return smooth_noise(rng, (1, shape[0], shape[1] * shape[2]), FPS, rate_hz).reshape(shape)


def _wrong_for_moments(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    is_wrong = random_runs(rng, (1, shape[0], shape[1]), 0.02, (3, 12))[0]
    return 2.0 * _smooth(rng, shape) + 13.0 * is_wrong[..., None] * _smooth(rng, shape, 4.0)


# One rig's habits, the same for everybody.
_HABITS = np.random.default_rng(7).standard_normal((SMPL_JOINT_COUNT, 3))

# From PA-MPJPE of 16 mm to 50.
ESTIMATORS = {
    "good and smooth": _err(lambda rng, shape: 1.5 * _smooth(rng, shape), 0.2),
    "jittery": _err(lambda rng, shape: 2.6 * rng.standard_normal(shape), 0.3),
    "another rig's habits": _err(lambda rng, shape: 3.0 * _HABITS + 2.0 * _smooth(rng, shape), 0.6),
    "wrong for moments": _err(_wrong_for_moments, 0.4),
    "the demo's kind, poor": err_by(1.4),
}


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--evaluate", default=_CHECKPOINT, metavar="FILE", help="a refiner (default: %(default)s)")
    flags.add_argument("--clips", type=int, default=64, help="of each kind")
    flags.add_argument("--seed", type=int, default=2026)
    flags.add_argument("--only", default="", metavar="WORDS", help="the rows whose names hold these words")
    arguments = flags.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    predictor = MeshPredictor.load(arguments.evaluate, device=arguments.device, assets=StandIn().assets)
    scorer = Scorer(predictor)
    rows = [("MPJPE / PA-MPJPE, mm [95 % of the difference]", *_SIDES, f"worse by {_WORSE_MM:g} mm")]
    for number, (name, estimator) in enumerate(ESTIMATORS.items()):
        for what, is_biased in (("", False), (", lasting keypoint errors", True)):
            if arguments.only not in name + what:
                continue
            rng = np.random.default_rng([arguments.seed, number, is_biased])
            clips = Clips((*HELD_OUT_KINDS, *KINDS), is_biased=is_biased, estimator=estimator)
            errors = np.array([_errors(scorer, clips, place, rng) for place in range(arguments.clips)])
            worse = (errors[:, 1:, 0] - errors[:, :1, 0] > _WORSE_MM).mean(axis=0)
            cells = [_cell(errors, side) for side in range(len(_SIDES))]
            rows.append((name + what, *cells, " / ".join(f"{share:.0%}" for share in worse)))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    heading = f"{arguments.evaluate} on estimators it never saw, {arguments.clips} clips a row"
    report("refine_any", f"{heading}\n{describe(predictor.device)}\n\n{table(rows)}", arguments.keep)


def _cell(errors: np.ndarray, side: int) -> str:
    means = " / ".join(f"{mean:.1f}" for mean in errors[:, side].mean(axis=0))
    if side == 0:
        return means
    low, high = interval(errors[:, side] - errors[:, 0])
    return f"{means} [{low[0]:+.1f}, {high[0]:+.1f}] / [{low[1]:+.1f}, {high[1]:+.1f}]"


def _errors(scorer: Scorer, clips: Clips, number: int, rng: np.random.Generator) -> list[list[float]]:
    """MPJPE and PA-MPJPE of each of `_SIDES`."""
    truth, keypoints, camera, given = scorer.make(clips, clips.kinds[number % len(clips.kinds)], rng)
    refined = refine(scorer.predictor, given, keypoints, camera)
    fitted = [fit_tracks(scorer.points, [track], [keypoints], camera, FPS)[0][0] for track in (refined, given)]
    target = scorer.body(_params(truth.poses, truth.betas))
    return [scorer.metrics(track, truth, target)[:2] for track in (given, refined, *fitted)]


def refine(refiner: MeshPredictor, given: Track, keypoints: np.ndarray, camera: VideoCamera) -> Track:
    """The track as a refiner makes it, where its body fits the keypoints."""
    frames = len(given.poses)
    estimate = given.poses, np.tile(given.betas, (frames, 1))
    seen = scale_by_width(keypoints, camera.image_size)
    poses, betas = refiner.predict_arrays(seen, [frames], [0], estimate, clip_len=refiner.default_clip_len)
    return place(refiner, given._replace(poses=poses, betas=betas[0]), keypoints, camera)


if __name__ == "__main__":
    sys.exit(main())
