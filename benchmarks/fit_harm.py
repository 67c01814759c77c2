"""What a fit does with keypoints that are wrong, and with other joints than H36M's: PA-MPJPE and MPJPE of made-up people.

Clips are drawn anew; nothing was chosen on the seed that is the default. The body is the stand-in: nothing published compares.
"""

import sys
from collections.abc import Callable

import numpy as np

from benchmarks.fit_quality import SETS, Scorer, _params, opened
from benchmarks.timing import describe, report, table
from kinemesh.body.kinematics import regress_joints_m
from kinemesh.body.skeleton import H36M_JOINT_NAMES, H36M_MIRROR_ORDER, MM_PER_M, VERTEX_LANDMARKS
from kinemesh.demo.splits import STATURE_M
from kinemesh.fit.tracks import fit_tracks
from kinemesh.geometry.camera import project
from kinemesh.geometry.translation import solve_translation
from kinemesh.infer import Settings
from kinemesh.keypoints import Detections
from kinemesh.keypoints.formats import FORMATS, shown_joints
from kinemesh.metrics import pa_mpjpe_mm
from kinemesh.structures import Track

_FPS = 30.0
_ALL, _SOME, _HALF, _GAP = slice(None), slice(30, 50), slice(45, 90), slice(30, 45)
_STARTS = "everyday motion, held camera", "a good estimator", "another estimator"
_LEGS = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]
_KNEES_AND_ANKLES = [2, 3, 5, 6]
_DETECTORS = "halpe26", "coco17", "body25", "mediapipe33", "h36m17"


def _exchange(order: list[int]) -> Callable:
    def harm(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
        return keypoints[:, order]

    return harm


def _throw(joints: int | tuple[int, ...], far: float) -> Callable:
    """So many joints, or these, by this part of the stature, always the same way, surely."""

    def harm(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
        chosen = list(rng.permutation(17)[:joints] if isinstance(joints, int) else joints)
        way = rng.standard_normal((len(chosen), 2))
        keypoints[:, chosen, :2] += far * size_px * way / np.linalg.norm(way, axis=1, keepdims=True)
        keypoints[:, chosen, 2] = 1.0
        return keypoints

    return harm


def _throw_one_in_ten(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    is_far = rng.random(keypoints.shape[:2]) < 0.1
    keypoints[is_far, :2] += 0.3 * size_px * rng.standard_normal((is_far.sum(), 2))
    keypoints[is_far, 2] = 1.0
    return keypoints


def _hide_legs(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    keypoints[:, _KNEES_AND_ANKLES] = 0.0
    return keypoints


def _guess_legs(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    keypoints[:, _KNEES_AND_ANKLES, :2] = keypoints[:, [1, 1, 4, 4], :2]
    keypoints[:, _KNEES_AND_ANKLES, 2] = 0.3
    return keypoints


def _hide_all(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    return np.zeros_like(keypoints)


def _take_another(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    return np.concatenate((other[..., :2] + keypoints[:, :1, :2] - other[:, :1, :2], other[..., 2:]), axis=-1)


def _lie(keypoints: np.ndarray, rng, other, size_px) -> np.ndarray:
    keypoints[..., 2] = rng.random(keypoints.shape[:2])
    return keypoints


HARMS = {
    "nothing wrong": (_exchange(list(range(17))), _ALL),
    "all sides exchanged, 20 frames": (_exchange(list(H36M_MIRROR_ORDER)), _SOME),
    "all sides exchanged throughout": (_exchange(list(H36M_MIRROR_ORDER)), _ALL),
    "legs exchanged, 20 frames": (_exchange(_LEGS), _SOME),
    "one in ten far off, confidence 1": (_throw_one_in_ten, _ALL),
    "three keypoints a third of the stature off, 20 frames": (_throw(3, 0.33), _SOME),
    "three keypoints a tenth of the stature off, 20 frames": (_throw(3, 0.1), _SOME),
    "a wrist 15 % of the stature off, half of the frames": (_throw((13,), 0.15), _HALF),
    "knees and ankles not seen": (_hide_legs, _ALL),
    "knees and ankles at the hips, confidence 0.3": (_guess_legs, _ALL),
    "nobody seen, 15 frames": (_hide_all, _GAP),
    "another person's, 20 frames": (_take_another, _SOME),
    "another person's, half of the frames": (_take_another, _HALF),
    "another person's throughout": (_take_another, _ALL),
    "confidence at random": (_lie, _ALL),
}


def main() -> None:
    arguments, scorer = opened(__doc__, clips=8, seed=2027)
    rows = [("PA-MPJPE of the frames concerned, mm", *_STARTS)]
    made = {name: _clips(scorer, name, arguments.clips, arguments.seed) for name in _STARTS}
    for name, (harm, span) in HARMS.items():
        rows.append((name, *(_harmed(scorer, made[start], harm, span) for start in _STARTS)))
    for focal in (0.7, 1.4):
        rows.append(
            (
                f"focal length x {focal}",
                *(_harmed(scorer, made[start], *HARMS["nothing wrong"], focal) for start in _STARTS),
            )
        )
    shown = [("MPJPE / PA-MPJPE, mm", "not fitted", "to H36M-17 made of them", "to all that is shown")]
    for order in _DETECTORS:
        shown.append((FORMATS[order].title, *_shown(scorer, made[_STARTS[0]], order)))
    text = f"{arguments.clips} clips a row\n{describe(scorer.predictor.device)}\n\n{table(rows)}\n\n{table(shown)}"
    report("fit_harm", text, arguments.keep)


def _clips(scorer: Scorer, name: str, count: int, seed: int) -> list:
    clips, rng = SETS[name], np.random.default_rng([seed, list(SETS).index(name)])
    return [scorer.make(clips, clips.kinds[number % len(clips.kinds)], rng) for number in range(count)]


def _harmed(scorer: Scorer, clips: list, harm: Callable, span: slice, focal: float = 1.0) -> str:
    errors = []
    for number, (truth, keypoints, camera, start) in enumerate(clips):
        camera = camera._replace(focal_px=focal * camera.focal_px)
        other = clips[(number + 1) % len(clips)][1]
        other = other[np.arange(len(keypoints)).clip(max=len(other) - 1)][span]
        size_px = STATURE_M * camera.focal_px / np.median(start.trans_m[:, 2])
        wrong = keypoints.copy()
        wrong[span] = harm(keypoints[span].copy(), np.random.default_rng(number), other.copy(), size_px)
        joints = regress_joints_m(scorer.predictor.kinematics, start.poses, start.betas)
        places = solve_translation(joints, wrong, camera, _FPS)[1].astype(np.float32)
        placed = start._replace(trans_m=places, interpolated=~wrong[..., 2].any(axis=1))
        (fitted,), _ = fit_tracks(scorer.points, [placed], [wrong], camera, _FPS)
        errors.append([_pa_mm(scorer, track, truth, span) for track in (start, fitted)])
    before, after = np.transpose(errors)
    return f"{before.mean():.1f} -> {after.mean():.1f} (worst {(after - before).max():+.1f})"


def _pa_mm(scorer: Scorer, track: Track, truth: Track, span: slice) -> float:
    meshes = [scorer.body(_params(one.poses[span], one.betas)).joints_mm for one in (track, truth)]
    return pa_mpjpe_mm(*meshes).mean().item()


def _shown(scorer: Scorer, clips: list, order: str) -> list[str]:
    """Of a detector's joints, those of H36M's with their errors; the others err as the nearest does, and by 4 mm."""
    cells = []
    for way in ("none", "h36m17", "shown"):
        errors = [_inferred(scorer, *clip[:3], order, way, number) for number, clip in enumerate(clips)]
        cells.append(" / ".join(f"{value:.1f}" for value in np.mean(errors, axis=0)))
    return cells


def _inferred(
    scorer: Scorer, truth: Track, keypoints: np.ndarray, camera, order: str, way: str, seed: int
) -> list[float]:
    rng, count = np.random.default_rng(seed), FORMATS[order].joint_counts[0]
    mesh = scorer.body(_params(truth.poses, truth.betas))
    joints, vertices = (one.numpy() / MM_PER_M + truth.trans_m[:, None] for one in (mesh.joints_mm, mesh.vertices_mm))
    seen, on_skin = (project(points, camera.focal_px, np.array(camera.centre_px)) for points in (joints, vertices))
    error, jitter = keypoints[..., :2] - seen, 0.004 * camera.focal_px / truth.trans_m[:, 2:]
    rows = np.zeros((len(keypoints), count, 3), dtype=np.float32)
    for name, places in shown_joints(order, count).items():
        parts = name.split("+")
        if parts[0] in VERTEX_LANDMARKS:
            side, foot = name.split("_")[0], "toe" in name or "heel" in name
            nearest = H36M_JOINT_NAMES.index(f"{side}_ankle" if foot else "nose")
            at = on_skin[:, VERTEX_LANDMARKS[name]] + error[:, nearest] + jitter * rng.standard_normal((len(rows), 2))
        else:
            nearest = [H36M_JOINT_NAMES.index(part) for part in parts]
            at = keypoints[:, nearest, :2].mean(axis=1)
        if len(places) == 1:
            rows[:, places[0], :2], rows[:, places[0], 2] = (
                at,
                keypoints[:, nearest, 2].reshape(len(rows), -1).min(axis=1),
            )
    detections = Detections(np.arange(len(rows)), np.full(len(rows), "0"), rows, order)
    if way == "h36m17":
        detections = detections._replace(keypoints_px=detections.as_h36m(), joint_order="h36m17")
    settings = Settings(focal_px=camera.focal_px, is_pixel=True, fit="none" if way == "none" else "keypoints")
    (track,) = scorer.predictor.infer(detections, image_size=camera.image_size, fps=_FPS, settings=settings).tracks
    own = truth._replace(poses=truth.poses[track.frame_ids], trans_m=truth.trans_m[track.frame_ids])
    return scorer.metrics(track, own, scorer.body(_params(own.poses, own.betas)))[:2]


if __name__ == "__main__":
    sys.exit(main())
