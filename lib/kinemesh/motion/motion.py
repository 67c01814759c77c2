"""Made-up human motion: a kind of motion per video in, SMPL rotations and the root's path out.

No capture went into it. Legs, arms and trunk come from a gait or from key poses; habits, small movements and
rhythm are added; joint limits clip what is impossible; the feet are set on the floor. It is broad rather than
fine, because a network trained on it should know the next person's habits too.
"""

from typing import NamedTuple

import numpy as np

from kinemesh.body.chain import joint_positions
from kinemesh.body.skeleton import SIDES, SMPL_JOINT_NAMES
from kinemesh.motion import broad
from kinemesh.motion.actions import EVERYDAY, Vocabulary, key_pose_motion
from kinemesh.motion.anatomy import (
    ANGLE_COUNT,
    ANGLE_INDEX,
    ANGLE_NAMES,
    HABIT_SPREAD,
    MOVEMENT_SPREAD,
    REST,
    Rigs,
    clip_angles,
    mirror_angles,
    to_rotations,
)
from kinemesh.motion.gait import gait_motion
from kinemesh.motion.signals import seconds, smooth_in_time, smooth_noise

_ARM_WORDS = ("collar", "shoulder", "elbow", "forearm", "wrist")
_IS_ARM = {
    side: np.array([name.startswith(tuple(f"{side}_{word}" for word in _ARM_WORDS)) for name in ANGLE_NAMES])
    for side in SIDES
}
# Heads turn and trunks bend under way too, only less; arms and legs follow the gait.
_KEPT_UNDER_WAY = np.array([0.0 if name.startswith(SIDES) else 0.35 for name in ANGLE_NAMES])
_TRACE_OF_SWING = 0.15
_JOINT = {name: i for i, name in enumerate(SMPL_JOINT_NAMES)}
# Points that may bear on the floor, (joint, offset in that joint's axes, m): balls and heels first.
_CONTACTS = (
    ("left_foot", (0.0, -0.03, 0.06)), ("right_foot", (0.0, -0.03, 0.06)),
    ("left_ankle", (0.0, -0.075, -0.04)), ("right_ankle", (0.0, -0.075, -0.04)),
    ("left_knee", (0.0, 0.0, 0.06)), ("right_knee", (0.0, 0.0, 0.06)),
    ("left_wrist", (0.1, -0.02, 0.0)), ("right_wrist", (-0.1, -0.02, 0.0)),
    ("pelvis", (0.0, -0.09, -0.07)), ("spine3", (0.0, 0.0, -0.11)), ("spine3", (0.0, 0.0, 0.12)),
    ("head", (0.0, 0.0, -0.08)), ("left_hip", (0.03, -0.02, -0.09)), ("right_hip", (-0.03, -0.02, -0.09)),
)  # fmt: skip
_FOOT_CONTACTS = 4


class Motion(NamedTuple):
    """What one batch of people does, y up, metres, facing +z at heading 0."""

    rotations: np.ndarray  # (videos, frames, 24, 3, 3) local SMPL rotations
    root_m: np.ndarray  # (videos, frames, 3) translation of the body model's origin, floor at y = 0
    angles: np.ndarray  # (videos, frames, A) the anatomical angles behind the rotations, degrees


def _angle_tracks(rng: np.random.Generator, kinds: list[str], frame_count: int, fps: float, vocabulary: Vocabulary):
    """Angles (videos, frames, A), foot weights or NaN (videos, frames, 2), jump height (videos, frames)."""
    video_count = len(kinds)
    angles, flight_m = key_pose_motion(rng, kinds, frame_count, fps, vocabulary)
    stance = np.full((video_count, frame_count, 2), np.nan)
    walking = np.flatnonzero([bool(vocabulary.kinds[kind].gait) for kind in kinds])
    if len(walking):
        gait = gait_motion(rng, [vocabulary.kinds[kinds[i]].gait for i in walking], frame_count, fps)
        busy_chance = vocabulary.values(kinds, "busy_arms")[walking]
        # One or both arms do what the key poses say instead of swinging.
        busy = rng.random((len(walking), 2)) < np.where(rng.random(len(walking)) < busy_chance, 0.8, 0.0)[:, None]
        busy_angles = (busy[:, None, 0:1] & _IS_ARM["left"]) | (busy[:, None, 1:2] & _IS_ARM["right"])
        from_keys = angles[walking]
        on_the_way = gait.angles + _KEPT_UNDER_WAY * from_keys
        angles[walking] = np.where(busy_angles, from_keys + _TRACE_OF_SWING * gait.angles, on_the_way)
        stance[walking] = gait.stance
        flight_m[walking] = gait.flight_m
    return angles + REST, stance, flight_m


def _liveliness(rng: np.random.Generator, video_count: int, frame_count: int, fps: float) -> np.ndarray:
    """Habit, small movement and rhythm to add to angle tracks, (videos, frames, A) degrees."""
    shape = (video_count, frame_count, ANGLE_COUNT)
    habit = rng.standard_normal((video_count, 1, ANGLE_COUNT)) * HABIT_SPREAD
    amount = rng.uniform(0.3, 1.6, (video_count, 1, 1))
    movement = amount * MOVEMENT_SPREAD * smooth_noise(rng, shape, fps, rng.uniform(0.8, 3.0, video_count))
    # Some people sway with a beat: every angle with its own phase.
    beat_hz = rng.uniform(0.6, 2.2, (video_count, 1, 1))
    sways = rng.random((video_count, 1, 1)) < 0.15
    size = MOVEMENT_SPREAD * np.abs(rng.standard_normal((video_count, 1, ANGLE_COUNT)))
    size *= rng.uniform(0.5, 2.5, (video_count, 1, 1))
    phase = 2.0 * np.pi * (beat_hz * seconds(frame_count, fps)[:, None] + rng.random((video_count, 1, ANGLE_COUNT)))
    return habit + movement + sways * size * np.sin(phase)


def _settle_feet(angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ankles turned so that feet which carry the person lie flat, for most people most of the time."""
    settled = angles.copy()
    willing = rng.beta(3.0, 1.0, (len(angles), 1))
    for side in SIDES:
        thigh, knee, ankle = (
            angles[..., ANGLE_INDEX[f"{side}_{n}"]] for n in ("hip_flexion", "knee_flexion", "ankle_flexion")
        )
        flat = np.clip(knee - thigh, -45.0, 32.0)
        # A shank tilted far from upright belongs to a leg in the air or on the floor, which has no sole to set down.
        share = willing * np.clip((55.0 - np.abs(knee - thigh)) / 20.0, 0.0, 1.0)
        settled[..., ANGLE_INDEX[f"{side}_ankle_flexion"]] = ankle + share * (flat - 0.75 * np.clip(ankle, -45.0, 32.0))
    return settled


def _root_path(
    rotations: np.ndarray, rest_joints_m: np.ndarray, stance: np.ndarray, flight_m: np.ndarray
) -> np.ndarray:
    """(videos, frames, 3) translation that keeps the lowest point on the floor and the loaded foot in its place.

    The loaded foot of a gait is known from its phase: taking the lowest one instead would brake every step.
    """
    positions, turned = joint_positions(rotations, rest_joints_m)
    joints = [_JOINT[name] for name, _ in _CONTACTS]
    offsets = np.array([offset for _, offset in _CONTACTS])
    points = positions[:, :, joints] + (turned[:, :, joints] @ offsets[..., None])[..., 0]
    root = np.zeros((*points.shape[:2], 3))
    root[..., 1] = -points[..., 1].min(axis=2)

    height = points[..., 1] + root[..., 1:2]
    load = np.exp(-height / 0.012)
    feet_load = np.concatenate([stance, stance], axis=-1) * np.exp(-height[..., :_FOOT_CONTACTS] / 0.05)
    known = ~np.isnan(stance[..., :1])
    load[..., :_FOOT_CONTACTS] = np.where(known, np.nan_to_num(feet_load), load[..., :_FOOT_CONTACTS])
    load[..., _FOOT_CONTACTS:] *= ~known
    load /= load.sum(axis=-1, keepdims=True) + 1e-9
    step = -np.diff(points[..., [0, 2]], axis=1)
    moved = (step * (0.5 * (load[:, 1:] + load[:, :-1]))[..., None]).sum(axis=2)
    root[:, 1:, [0, 2]] = np.cumsum(moved, axis=1)
    root[..., 1] += flight_m
    return root


def make_motion(
    rng: np.random.Generator,
    kinds: list[str],
    frame_count: int,
    fps: float,
    rest_joints_m: np.ndarray,
    vocabulary: Vocabulary = EVERYDAY,
) -> Motion:
    """Motion of the given kinds.

    Args:
        kinds: one name of the vocabulary's kinds per video.
        frame_count: frames of every video.
        fps: frames a second; a kind is as fast at any rate.
        rest_joints_m: (videos, 24, 3) rest joints of each video's body, m.
        vocabulary: `EVERYDAY`, or `BROAD` with kinds that most people do not do most days.
    """
    video_count = len(kinds)
    angles, stance, flight_m = _angle_tracks(rng, kinds, frame_count, fps, vocabulary)
    angles = _settle_feet(angles, rng) + _liveliness(rng, video_count, frame_count, fps)
    recline = vocabulary.values(kinds, "recline")
    angles[..., ANGLE_INDEX["recline"]] += rng.uniform(recline[:, 0], recline[:, 1])[:, None]
    turning = rng.standard_normal((video_count, 1)) * rng.choice([0.0, 15.0, 60.0], (video_count, 1), p=[0.4, 0.4, 0.2])
    wander = turning * (1.0 + smooth_noise(rng, (video_count, frame_count, 1), fps, 0.5)[..., 0])
    angles[..., ANGLE_INDEX["heading"]] += np.cumsum(wander, axis=1) / fps
    if vocabulary.is_free:
        angles = broad.slow_down(angles + broad.move_apart(rng, video_count, frame_count, fps), fps)
    mirrored = rng.random((video_count, 1, 1)) < 0.5
    angles = clip_angles(np.where(mirrored, mirror_angles(angles), angles))
    stance = np.where(mirrored, stance[..., ::-1], stance)
    rotations = to_rotations(angles, Rigs(rng, video_count))
    if vocabulary.is_free:
        specs = [vocabulary.kinds[kind] for kind in kinds]
        rotations[:, :, 0] = rotations[:, :, 0] @ broad.attitudes(rng, specs, frame_count, fps)
    root_m = _root_path(rotations, rest_joints_m, stance, flight_m)
    if frame_count > 1:
        # Who turns over bears on one point after another: their path is smoothed over longer.
        root_m = smooth_in_time(root_m, max(1, round((0.3 if vocabulary.is_free else 0.12) * fps)))
    return Motion(rotations, root_m, angles)
