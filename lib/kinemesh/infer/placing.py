"""One person's bodies -> a track: smoothed, placed before the camera, and what there is to say of it."""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics, regress_joints_m
from kinemesh.body.params import axis_angle_from_rotations, poses_between, rotations_from_axis_angle
from kinemesh.body.skeleton import H36M_JOINT_NAMES
from kinemesh.errors import UserError
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.standing.settle import Settled, Stand, look_around
from kinemesh.fit.tracks import fit_standing_tracks
from kinemesh.geometry.neighbours import rows_between
from kinemesh.geometry.translation import (
    misfit_of_frames,
    reprojection_errors_px,
    solve_from_reference,
    solve_translation,
)
from kinemesh.infer.doubts import person_size_px
from kinemesh.infer.people import Segment
from kinemesh.infer.windows import smooth_rotations
from kinemesh.structures import Track, VideoCamera, World
from kinemesh.world.finding import place_in_world

# Frames whose rotation matrices exist at once.
_FRAMES_AT_ONCE = 4096


class Filmed(NamedTuple):
    """What bodies are placed by: where their joints are, and how they were filmed."""

    kinematics: JointKinematics
    camera: VideoCamera
    fps: float


def between_seen(poses: np.ndarray, segment: Segment) -> np.ndarray:
    """Poses (F, 72) of a segment, those of frames without keypoints between those of the frames beside.

    What a network makes of keypoints that were filled in says less of such frames than the bodies before and after.
    """
    seen = np.flatnonzero(~segment.is_interpolated)
    frames = np.arange(len(poses))
    return poses if len(seen) == len(poses) else poses_between(poses[seen], seen, frames)


def place_person(
    name: str,
    segments: list[Segment],
    poses: list[np.ndarray],
    betas: np.ndarray,
    filmed: Filmed,
    *,
    smoothing_radius: int = 0,
    reference: np.ndarray | None = None,
) -> tuple[Track, dict]:
    """A track, and what `summary.json` says of it.

    Args:
        poses: (F, 72) axis-angle of each segment.
        betas: (10,) of the whole track.
        smoothing_radius: frames on both sides that the filter of rotations sees; 0: off.
        reference: (frames of the track, K, 3), or only of those that are not interpolated; see `solve_from_reference`.
    """
    joints_before = [regress_joints_m(filmed.kinematics, pose, betas) for pose in poses]
    joints = joints_before
    if smoothing_radius:
        poses = [smooth_poses(pose, smoothing_radius) for pose in poses]
        joints = [regress_joints_m(filmed.kinematics, pose, betas) for pose in poses]
    options = {"joints_before": joints_before, "reference": reference}
    trans_m, error_px, facts = place_joints(joints, segments, filmed.camera, filmed.fps, **options)
    keypoints = np.concatenate([segment.keypoints_px for segment in segments])
    track = Track(
        name=name,
        frame_ids=np.concatenate([segment.frame_ids for segment in segments]),
        poses=np.concatenate(poses),
        betas=betas,
        trans_m=trans_m,
        confidence=keypoints[..., 2].mean(axis=1),
        interpolated=np.concatenate([segment.is_interpolated for segment in segments]),
        joint_seen=keypoints[..., 2] > 0,
        reprojection_error_px=error_px,
    )
    return track, facts


def place_joints(
    joints: list[np.ndarray],
    segments: list[Segment],
    camera: VideoCamera,
    fps: float,
    *,
    joints_before: list[np.ndarray] | None = None,
    reference: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Translations (F, 3) m and mean reprojection errors (F,) px of a track, and what `summary.json` says of it.

    Args:
        joints: (F, K, 3) m of each segment, relative to the body model's origin.
        joints_before: the same before smoothing, if they were smoothed.
        reference: as for `place_person`.
    """
    joints_before = joints if joints_before is None else joints_before
    given = [(points, segment.keypoints_px, camera) for points, segment in zip(joints, segments, strict=True)]
    alone, together = zip(*(solve_translation(*columns, fps) for columns in given), strict=True)
    keypoints = np.concatenate([segment.keypoints_px for segment in segments])
    is_interpolated = np.concatenate([segment.is_interpolated for segment in segments])
    facts = {}
    if reference is not None:
        rows = _reference_rows(reference, is_interpolated)
        path, facts["reference_scale_m"] = solve_from_reference(np.concatenate(joints), keypoints, camera, rows)
        together = np.split(path, np.cumsum([len(points) for points in joints])[:-1])
    confidence = keypoints[..., 2].mean(axis=1)
    placed = [points + trans[:, None] for points, trans in zip(joints, together, strict=True)]
    is_seen = keypoints[..., 2] > 0
    frame_ids = np.concatenate([segment.frame_ids for segment in segments])
    placed_before = [points + trans[:, None] for points, trans in zip(joints_before, alone, strict=True)]
    error_of_frame, error_facts = _errors(np.concatenate(placed), keypoints, frame_ids, camera)
    guessed = (~is_seen[~is_interpolated]).mean(axis=0)
    facts |= {
        "frames": len(confidence),
        "first_frame": int(frame_ids[0]),
        "last_frame": int(frame_ids[-1]),
        "frames_interpolated": int(is_interpolated.sum()),
        "gaps_interpolated": sum(int((np.diff(segment.is_interpolated.astype(int)) > 0).sum()) for segment in segments),
        "gaps_left_open": len(segments) - 1,
        "mean_confidence": float(confidence[~is_interpolated].mean()),
        "joints_guessed": {
            name: round(float(share), 4) for name, share in zip(H36M_JOINT_NAMES, guessed, strict=True) if share
        },
        **error_facts,
        "jitter_before_m_per_s3": _jitter(placed_before, fps),
        "jitter_after_m_per_s3": _jitter(placed, fps),
    }
    return np.concatenate(together).astype(np.float32), error_of_frame, facts


def _errors(
    placed_m: np.ndarray, keypoints_px: np.ndarray, frame_ids: np.ndarray, camera: VideoCamera
) -> tuple[np.ndarray, dict]:
    """Mean reprojection error (F,) px of a track's joints (F, K, 3), and what `summary.json` says of it."""
    error = reprojection_errors_px(placed_m, keypoints_px, camera)
    error_of_frame = _mean_of_seen(error, keypoints_px[..., 2])
    mean = float(np.average(error, weights=keypoints_px[..., 2]))
    return error_of_frame, {
        "reprojection_error_px": mean,
        "reprojection_error_of_size": mean / person_size_px(keypoints_px),
        "worst_frame": int(frame_ids[np.nanargmax(error_of_frame)]),
    }


def _mean_of_seen(error_px: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """(F,) float32 mean of errors (F, K) weighted by confidence; nan where nothing is seen."""
    weight = confidence.sum(axis=1)
    mean = (error_px * confidence).sum(axis=1) / np.where(weight > 0, weight, 1)
    return np.where(weight > 0, mean, np.nan).astype(np.float32)


def fit_people(
    body: BodyPoints,
    filmed: Filmed,
    tracks: list[Track],
    facts: dict[str, dict],
    segments: list[Segment],
    *,
    are_lifted: bool,
    stand: Stand | None,
) -> tuple[list[Track], Settled | None]:
    """The tracks of all people fitted to what is shown of them; `facts` by name then say what holds of these.

    `are_lifted`, `stand`: as for `fit_standing_tracks`.
    """
    kinematics, camera, fps = filmed
    own = [[segment for segment in segments if segment.person == number] for number in range(len(tracks))]
    keypoints = [np.concatenate([segment.keypoints_px for segment in some]) for some in own]
    shown = [np.concatenate([segment.shown_px for segment in some]) for some in own]
    fitted, results, settled = fit_standing_tracks(body, tracks, shown, camera, fps, stand=stand, are_lifted=are_lifted)
    tracks_with_errors = []
    for track, points, some, result in zip(fitted, keypoints, own, results, strict=True):
        placed = regress_joints_m(kinematics, track.poses, track.betas) + track.trans_m[:, None]
        error_of_frame, error_facts = _errors(placed, points, track.frame_ids, camera)
        bounds = np.cumsum([len(segment.keypoints_px) for segment in some])[:-1]
        facts[track.name] |= error_facts | {
            "jitter_after_m_per_s3": _jitter(np.split(placed, bounds), fps),
            "fit": result._asdict(),
        }
        tracks_with_errors.append(track._replace(reprojection_error_px=error_of_frame))
    return tracks_with_errors, settled


def stand_people(
    stand: Stand, tracks: list[Track], assets: BodyAssets, fps: float, settled: Settled | None
) -> tuple[list[Track], World]:
    """The tracks with their place in the world, which is looked for if no fit has (`settled`)."""
    if settled is None:
        settled = look_around(stand, tracks, fps)
    shaped = [assets.v_template + assets.shapedirs @ track.betas for track in tracks]
    pelvis_m = [assets.J_regressor[0] @ vertices for vertices in shaped]
    placed = [
        place_in_world(track, settled.found.world, pelvis, settled.contacts[track.name])
        for track, pelvis in zip(tracks, pelvis_m, strict=True)
    ]
    return placed, settled.found.world


def misfit(
    kinematics: JointKinematics, camera: VideoCamera, poses: np.ndarray, betas: np.ndarray, keypoints_px: np.ndarray
) -> float:
    """How badly poses (F, 72), with the mean of betas (F, 10), fit keypoints (F, K, 3): see `misfit_of_frames`."""
    return misfit_of_frames(regress_joints_m(kinematics, poses, betas.mean(axis=0)), keypoints_px, camera)


@torch.inference_mode()
def smooth_poses(poses: np.ndarray, radius: int) -> np.ndarray:
    """(F, 72) of one segment, by `smooth_rotations`, part by part."""
    smoothed = np.empty_like(poses)
    for first in range(0, len(poses), _FRAMES_AT_ONCE):
        # Beyond the part by more than the filter sees, so that the part's own ends do not show.
        start, stop = max(0, first - 2 * radius), min(len(poses), first + _FRAMES_AT_ONCE + 2 * radius)
        rotations = rotations_from_axis_angle(torch.from_numpy(poses[start:stop]))
        found = axis_angle_from_rotations(smooth_rotations(rotations, radius)).numpy()
        smoothed[first : first + _FRAMES_AT_ONCE] = found[first - start :][:_FRAMES_AT_ONCE]
    return smoothed


def _jitter(segments_m: list[np.ndarray], fps: float) -> float | None:
    """Mean jerk of joints (F, K, 3), m/s^3, what is seen as jitter; None where no segment has four frames."""
    jerks = [np.linalg.norm(np.diff(joints, n=3, axis=0), axis=-1).mean(axis=1) for joints in segments_m]
    jerks = np.concatenate(jerks) * fps**3
    return float(jerks.mean()) if len(jerks) else None


def _reference_rows(reference: np.ndarray, is_interpolated: np.ndarray) -> np.ndarray:
    """The reference for every frame of a track, by lines where it leaves out those without keypoints.

    Raises UserError if it has another number of frames.
    """
    frames, seen = len(is_interpolated), int((~is_interpolated).sum())
    if len(reference) == frames:
        return reference.astype(np.float64)
    if len(reference) != seen:
        counts = f"{frames} frames" if frames == seen else f"{frames} frames, or {seen} without the interpolated"
        raise UserError(f"--ref_3d_motion_path: {len(reference)} frames. Expected the person's {counts}.")
    filled = rows_between(reference.reshape(seen, -1), np.flatnonzero(~is_interpolated), np.arange(frames))
    return filled.reshape(frames, *reference.shape[1:])
