"""Tracks of an estimator's bodies -> the same people, fitted to their keypoints: the room's only door."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.params import axis_angle_from_rotations, rotations_from_axis_angle
from kinemesh.fit.evidence import Judged, Sorted, cut_pieces, judge, sort_sides, weighted_median
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.prior import GIVEN, LIFTED
from kinemesh.fit.reprojection import LEAST_DEPTH_M, Camera, project
from kinemesh.fit.solve import Evidence, Motion, fit_motion, stature_px
from kinemesh.fit.standing.settle import Settled, Stand, settle
from kinemesh.geometry.neighbours import largest_around, mean_around
from kinemesh.geometry.rotation import turn_part_way
from kinemesh.structures import Track, VideoCamera

# Where keypoints are believed less than this, the estimator's body stays.
_LEAST_TRUST = 0.5
# Nor is a frame fitted whose keypoints are still so far off, in parts of the stature.
_UNEXPLAINED = 0.05
# The floor is not a person's that takes the body off its keypoints: by this part of the error, and of the stature.
_WORSE, _WORSE_OF_STATURE = 1.15, 0.003
# From the fitted to the estimator's body and back it takes so long.
_BORDER_S = 0.2


class FitFacts(NamedTuple):
    """What a summary says of one person's fit."""

    reprojection_error_before_px: float
    reprojection_error_after_px: float
    frames_kept: int  # the estimator's body stays
    frames_sides_exchanged: int  # left and right keypoints were taken for each other
    strength_degrees: float  # how far the estimator's joints were taken to err


def fit_tracks(
    body: BodyPoints,
    tracks: list[Track],
    keypoints_px: list[np.ndarray],
    camera: VideoCamera,
    fps: float,
    *,
    are_lifted: bool = False,
) -> tuple[list[Track], list[FitFacts]]:
    """Fit each track's poses, betas and place to its keypoints (F, K, 3), those of `body.names`; confidence 0: not seen.

    The work is done on the body's device. Frames in which keypoints are not this body's keep the estimator's; interpolated
    frames of lifted bodies, which are nobody's witness, follow the motion around them.

    Args:
        are_lifted: the bodies were made from these very keypoints, which therefore are nobody else's.
    """
    options = {"stand": None, "are_lifted": are_lifted}
    return fit_standing_tracks(body, tracks, keypoints_px, camera, fps, **options)[:2]


@torch.inference_mode()
def fit_standing_tracks(
    body: BodyPoints,
    tracks: list[Track],
    keypoints_px: list[np.ndarray],
    camera: VideoCamera,
    fps: float,
    *,
    stand: Stand | None,
    are_lifted: bool = False,
) -> tuple[list[Track], list[FitFacts], Settled | None]:
    """As `fit_tracks`, then in the world that is found around all of them: resting feet stay, nothing is below the floor.

    `stand.body` is of the same keypoints as `body`; `stand` None: as `fit_tracks`.
    """
    like = body.matrix
    owner = torch.repeat_interleave(torch.tensor([len(track.poses) for track in tracks]))
    owner = owner.to(like.device)
    start = Motion(
        rotations_from_axis_angle(_tensor(np.concatenate([track.poses for track in tracks]), like)),
        _tensor(np.concatenate([track.trans_m for track in tracks]), like),
        _tensor(np.stack([track.betas for track in tracks]), like),
    )
    detected = _tensor(np.concatenate(keypoints_px), like)
    points, confidence = detected[..., :2], detected[..., 2].clamp(0.0, 1.0)
    pinhole = Camera(camera.focal_px, like.new_tensor(camera.centre_px))
    stature = stature_px(start, owner, pinhole)
    started = _projected(body, start, owner, pinhole)
    seen = sort_sides(started, points, confidence, owner, stature, body.names)
    if seen.is_swapped.any():
        start = start._replace(trans_m=_placed_again(start.trans_m, seen, pinhole))
        stature, started = stature_px(start, owner, pinhole), _projected(body, start, owner, pinhole)
    lengths = [length for track in tracks for length in _segment_lengths(track)]
    pieces = None if are_lifted else cut_pieces(lengths, fps, like.device)
    judged = judge(started, seen.keypoints_px, seen.confidence, owner, stature, pieces)
    # Who lifted no keypoints may have seen more than these: a body where none are is then no guess.
    guessed = np.concatenate([track.interpolated & are_lifted for track in tracks])
    is_guessed = torch.from_numpy(guessed).to(like.device)
    stand_ins = started, judged.stand_in_weights
    evidence = Evidence(seen.keypoints_px, seen.confidence, judged.weights, *stand_ins, is_guessed, owner, lengths)
    fitted = fit_motion(body, start, evidence, pinhole, fps, LIFTED if are_lifted else GIVEN)
    motion, is_failed = _finite(fitted.motion, start, owner)
    settled = None
    if stand is not None:
        settled = settle(stand, start, fitted._replace(motion=motion), pinhole, fps, tracks)
        standing, is_broken = _finite(settled.motion, start, owner)
        is_failed = is_failed | is_broken
        drawn = [_projected(body, moved, owner, pinhole) for moved in (motion, standing)]
        is_harmed = _are_harmed(*(places - points for places in drawn), judged, stature, owner)
        motion, ended = _choose(is_harmed, owner, motion, standing), torch.where(is_harmed[owner, None, None], *drawn)
    else:
        ended = _projected(body, motion, owner, pinhole)
    kept = _kept(ended, seen.keypoints_px, judged, stature[owner]) | is_failed
    if kept.any():
        motion = _blend(start, motion, _share(kept, lengths, fps))
        ended = _projected(body, motion, owner, pinhole)
    made, facts = [], []
    for person, track in enumerate(tracks):
        own = owner == person
        errors = [float(_mean_error((drawn - points)[own], confidence[own])) for drawn in (started, ended)]
        counts = [int(flags[own].sum()) for flags in (kept, seen.is_swapped)]
        facts.append(FitFacts(*errors, *counts, float(fitted.strength[person].rad2deg())))
        made.append(
            track._replace(
                poses=_array(axis_angle_from_rotations(motion.rotations[own])),
                betas=_array(motion.betas[person]),
                trans_m=_array(motion.trans_m[own]),
            )
        )
    return made, facts, settled


def _placed_again(trans_m: Tensor, seen: Sorted, camera: Camera) -> Tensor:
    """(R, 3), where sides were exchanged so that a body is as large as its keypoints, and where they are."""
    depth = trans_m[:, 2:].clamp(min=LEAST_DEPTH_M)
    farther = depth / seen.scale[:, None]
    drawn, detected = (seen.centres_px - camera.centre_px).unbind(1)
    aside = trans_m[:, :2] + (detected * farther - drawn * depth) / camera.focal_px
    return torch.where(seen.is_swapped[:, None], torch.cat((aside, farther), dim=1), trans_m)


def _finite(motion: Motion, start: Motion, owner: Tensor) -> tuple[Motion, Tensor]:
    """The motion, and (R,) bool, the frames of people whose equations broke down, for whom the start stands in."""
    broken = ~(motion.rotations.isfinite().flatten(1).all(dim=1) & motion.trans_m.isfinite().all(dim=1))
    people = ~motion.betas.isfinite().all(dim=1)
    people = people.index_put((owner[broken],), people.new_tensor(True))
    return (_choose(people, owner, start, motion) if people.any() else motion), people[owner]


def _choose(people: Tensor, owner: Tensor, one: Motion, other: Motion) -> Motion:
    """`one` of those `people` (P,) bool, of all others the other."""
    rows = people[owner]
    return Motion(
        torch.where(rows[:, None, None, None], one.rotations, other.rotations),
        torch.where(rows[:, None], one.trans_m, other.trans_m),
        torch.where(people[:, None], one.betas, other.betas),
    )


def _projected(body: BodyPoints, motion: Motion, owner: Tensor, camera: Camera) -> Tensor:
    """(R, K, 2) where the points are seen."""
    return project(body.places(motion.rotations, motion.betas[owner]) + motion.trans_m[:, None], camera)


def _are_harmed(before: Tensor, after: Tensor, judged: Judged, stature: Tensor, owner: Tensor) -> Tensor:
    """(P,) bool: people whose keypoints speak clearly against the floor, by residuals (R, K, 2) without and with it."""
    is_harmed = torch.zeros_like(stature, dtype=torch.bool)
    for person, size in enumerate(stature):
        own = owner == person
        errors = [_mean_error(residuals[own], judged.weights[own]) for residuals in (before, after)]
        is_harmed[person] = errors[1] > _WORSE * errors[0] + _WORSE_OF_STATURE * size
    return is_harmed


def _mean_error(residuals: Tensor, confidence: Tensor) -> Tensor:
    return (residuals.norm(dim=-1) * confidence).sum() / confidence.sum().clamp(min=1e-9)


def _kept(projected_px: Tensor, keypoints_px: Tensor, judged: Judged, stature: Tensor) -> Tensor:
    """(R,) bool: frames whose keypoints are not believed, or that no body near the estimator's explains."""
    left = (projected_px - keypoints_px).norm(dim=-1) / stature[:, None]
    return (judged.trust < _LEAST_TRUST) | (weighted_median(left, judged.weights) > _UNEXPLAINED)


def _share(kept: Tensor, segment_lengths: list[int], fps: float) -> Tensor:
    """(R,) the fitted body's share: 0 where it is not taken, with soft borders in time."""
    radius = max(1, round(_BORDER_S * fps))
    shares = []
    for flags in kept.to(torch.float32).split(segment_lengths):
        # As far around as the border is wide, then a mean of that width: 0 wherever a frame is kept.
        shares.append(1 - mean_around(largest_around(flags[None], radius), radius)[0])
    return torch.cat(shares)


def _blend(start: Motion, fitted: Motion, share: Tensor) -> Motion:
    """Along the shortest arc from the start's rotations; the shape is the fitted one throughout."""
    is_between = share < 1
    some = share[is_between].to(fitted.trans_m)
    first, last = start.rotations[is_between], fitted.rotations[is_between]
    turned = turn_part_way(first, last, some[:, None])
    rotations, trans_m = fitted.rotations.clone(), fitted.trans_m.clone()
    rotations[is_between] = turned
    trans_m[is_between] = torch.lerp(start.trans_m[is_between], trans_m[is_between], some[:, None])
    return Motion(rotations, trans_m, fitted.betas)


def _segment_lengths(track: Track) -> list[int]:
    breaks = np.flatnonzero(np.diff(track.frame_ids) > 1) + 1
    return np.diff(np.r_[0, breaks, len(track.frame_ids)]).tolist()


def _tensor(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
