"""A BVH file as an SMPL motion."""

from pathlib import Path

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations
from kinemesh.body.skeleton import BETA_COUNT, SIDES, SMPL_JOINT_COUNT
from kinemesh.errors import UserError
from kinemesh.geometry.camera import UP_TURNS
from kinemesh.prepare.bvh.chain import Chain, rest_places
from kinemesh.prepare.bvh.names import match_joints
from kinemesh.prepare.bvh.skeleton import (
    SAME_M,
    UNITS,
    bone_lengths,
    fit_shape,
    number,
    standing_rest,
    trunk_axes,
    unit_m,
)
from kinemesh.prepare.bvh.text import Bvh, read_bvh
from kinemesh.prepare.bvh.transfer import constants_of_motion, constants_of_rest, smpl_rotations
from kinemesh.prepare.motions.sequences import (
    MEAN,
    UP_SAID,
    Bodies,
    Choices,
    NotAMotion,
    Sequence,
    axis_of,
    checked,
)

_FRAMES_AT_ONCE = 2000
# Frames from which what does not change is found.
_SAMPLED = 1500
# A first frame is the rest pose that capture programs put there if it is that, or if what follows is far from it.
_AT_REST_DEG, _JUMP_DEG, _JUMP_TIMES = 0.01, 10.0, 8.0
# Legs whose lengths differ by less are the same but for rounding.
_SAME_SCALE = 1e-5
# Frame times have few digits: 0.008333 is 120 frames a second.
_ROUNDED_RATE = 2e-4


def read_motion(path: Path, name: str, bodies: Bodies, choices: Choices) -> Sequence:
    """The whole file as one sequence. Raises UserError, whose text begins with the file, or NotAMotion."""
    bvh = read_bvh(path)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers that no motion has, which are then refused
            return _motion(bvh, name, bodies, choices)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _motion(bvh: Bvh, name: str, bodies: Bodies, choices: Choices) -> Sequence:
    matched, family = match_joints(bvh, choices.names or {})
    bvh, notes = _without_rest_frames(bvh, list(matched.values()))
    if choices.unit == "auto":
        unit, unit_name = unit_m(bvh, matched, bodies.neutral.joints_m)
    else:
        unit, unit_name = UNITS[choices.unit], choices.unit
    notes += [f"names of {family}", f"unit {unit_name}"]
    rest = standing_rest(bvh, matched, unit)
    betas, left_over = np.zeros(BETA_COUNT), np.inf
    if choices.betas == MEAN:
        notes.append("mean shape")
    else:
        known = {joint: length * unit for joint, length in bone_lengths(bvh, matched).items() if length * unit > 0.005}
        betas, left_over = fit_shape(known, bodies.neutral.joints_m, bodies.neutral.by_shape_m)
        notes.append("shape from the lengths of bones")
    rest_joints_m = bodies.neutral.rest_joints_m(betas)

    chain = Chain(bvh, list(matched.values()))
    few = chain.pose(slice(None, None, max(1, len(bvh.values) // _SAMPLED)))
    if rest is not None:
        constants = constants_of_rest(rest, matched, rest_joints_m)
        notes.append("rotations from the rest pose")
    else:
        trunk = None if left_over < SAME_M else trunk_axes(bvh, matched)
        constants = constants_of_motion(few, matched, rest_joints_m, trunk)
        notes.append("rotations fitted to joint positions, since the rest pose does not stand")
    up = choices.up if choices.up != "auto" else _up(few[1], matched)
    notes.append(UP_SAID[up])
    size = _leg_length(rest_joints_m, range(SMPL_JOINT_COUNT)) / (_leg_length(rest_places(bvh), matched) * unit)
    if abs(size - 1) > _SAME_SCALE:
        notes.append("paths scaled by the length of the legs")

    poses, trans_m = [], []
    middle = (rest_joints_m[number("left_hip")] + rest_joints_m[number("right_hip")]) / 2 - rest_joints_m[0]
    for first in range(0, len(bvh.values), _FRAMES_AT_ONCE):
        turned, places = chain.pose(slice(first, first + _FRAMES_AT_ONCE))
        rotations = smpl_rotations(turned, matched, constants, UP_TURNS[up])
        hips = (places[matched[number("left_hip")]] + places[matched[number("right_hip")]]) / 2
        placed = hips @ UP_TURNS[up].T * (unit * size)
        trans_m.append(placed - rotations[:, 0] @ middle - rest_joints_m[0])
        poses.append(axis_angle_from_rotations(torch.from_numpy(rotations)).numpy())
    fps = _rate(bvh.frame_time_s)
    return Sequence(name, *checked(np.concatenate(poses), np.concatenate(trans_m), betas, fps), fps, notes=tuple(notes))


def _rate(frame_time_s: float) -> float:
    """Frames a second: a whole number, where the file's digits may be one's."""
    fps = 1.0 / frame_time_s
    return float(round(fps)) if abs(fps / max(round(fps), 1) - 1) < _ROUNDED_RATE else fps


def _up(places: dict[int, np.ndarray], matched: dict[int, int]) -> str:
    head, left, right = (places[matched[number(joint)]] for joint in ("head", "left_ankle", "right_ankle"))
    return axis_of((head - (left + right) / 2).mean(axis=0))


def _leg_length(joints: np.ndarray, places: dict[int, int] | range) -> float:
    """Of both legs, hip to knee to ankle."""
    total = 0.0
    for side in SIDES:
        hip, knee, ankle = (joints[places[number(f"{side}_{joint}")]] for joint in ("hip", "knee", "ankle"))
        total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
    return total


def _without_rest_frames(bvh: Bvh, places: list[int]) -> tuple[Bvh, list[str]]:
    """The file without the first frames that only show the rest pose, or a T-pose, for programs that calibrate by it."""
    columns = [
        column
        for joint, first in enumerate(bvh.first_channels)
        if joint in places and bvh.parents[joint] >= 0
        for column, (kind, _) in enumerate(bvh.channels[joint], start=first)
        if kind == "rotation"
    ]
    angles = bvh.values[:, columns]
    is_rest = (np.abs(angles) <= _AT_REST_DEG).all(axis=1)
    count = len(is_rest) if is_rest.all() else int(np.argmin(is_rest))
    if count == len(is_rest):
        raise NotAMotion("the rest pose in every frame")
    if count:
        return bvh._replace(values=bvh.values[count:]), ["first frames in the rest pose dropped"]
    if len(angles) > 2:
        steps = np.abs((np.diff(angles, axis=0) + 180) % 360 - 180).mean(axis=1)
        if steps[0] > max(_JUMP_DEG, _JUMP_TIMES * float(np.median(steps[1:]))):
            return bvh._replace(values=bvh.values[1:]), ["first frame dropped, far from the second"]
    return bvh, []
