"""What a BVH skeleton is: its unit, which way it stands at rest, and the shape of the body that has its bones."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT, SIDES, SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.errors import UserError
from kinemesh.prepare.bvh.chain import rest_places
from kinemesh.prepare.bvh.text import Bvh

TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
# Metres; the last is that of Hahne's conversion of CMU's motions (cgspeed): inches, times 0.45 the other way.
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "cmu": 0.0254 / 0.45}
_FARTHEST_UNIT = 1.5
_MOST_TILTED = np.cos(np.radians(35.0))
_SNAPPED = np.cos(np.radians(20.0))
# How well a file knows the lengths of limbs, and of what programs place differently, m; and how much shapes differ.
_LIMB_SPREAD_M, _TRUNK_SPREAD_M, SAME_M = 0.005, 0.03, 2e-5
_ROUNDS = 20
# So many lengths to each beta that all of them agree only with the very body.
_TELLING = 2


# Joints at the lower ends of the bones of arms and legs, which every file has.
_LIMBS = tuple(f"{side}_{joint}" for side in SIDES for joint in ("knee", "ankle", "elbow", "wrist"))


def number(joint: str) -> int:
    """SMPL's number of a joint."""
    return SMPL_JOINT_NAMES.index(joint)


class Rest(NamedTuple):
    """A skeleton as it stands: columns of `axes` (3, 3) are the person's left, up and front in the file's axes."""

    places_m: np.ndarray  # (n, 3) of the file's joints
    axes: np.ndarray


def bone_lengths(bvh: Bvh, matched: Mapping[int, int]) -> dict[str, float]:
    """Of each SMPL joint with its parent known to the file: how far apart the two are, along the file's bones at rest."""
    places, out = rest_places(bvh), {}
    for joint, place in matched.items():
        parent = SMPL_PARENTS[joint]
        if parent in matched:
            out[SMPL_JOINT_NAMES[joint]] = float(np.linalg.norm(places[place] - places[matched[parent]]))
    return out


def unit_m(bvh: Bvh, matched: Mapping[int, int], rest_joints_m: np.ndarray) -> tuple[float, str]:
    """Metres of the file's unit, the one that makes its arms and legs nearest to a person's in size.

    Raises UserError if none does.
    """
    known = bone_lengths(bvh, matched)
    length = sum(known[limb] for limb in _LIMBS)
    if not length > 0:
        raise UserError("its arms and legs have no length. Is it a skeleton of a person?")
    factor = (
        sum(np.linalg.norm(rest_joints_m[j] - rest_joints_m[SMPL_PARENTS[j]]) for j in map(number, _LIMBS)) / length
    )
    name = min(UNITS, key=lambda unit: abs(np.log(UNITS[unit] / factor)))
    if abs(np.log(UNITS[name] / factor)) > np.log(_FARTHEST_UNIT):
        raise UserError(
            f"its arms and legs are {length:.4g} long, which is no person in {', '.join(UNITS)}. Say --unit if it is one."
        )
    return UNITS[name], name


def standing_rest(bvh: Bvh, matched: Mapping[int, int], unit: float) -> Rest | None:
    """The skeleton at rest, if it is a person who stands, arms as they may be; None if it is not.

    Raises UserError where it stands with left and right exchanged.
    """
    places = rest_places(bvh) * unit

    def place(joint: str) -> np.ndarray:
        return places[matched[number(joint)]]

    hips, ankles = ((place(f"left_{joint}") + place(f"right_{joint}")) / 2 for joint in ("hip", "ankle"))
    up = _direction(place("head") - ankles)
    left = _direction(place("left_hip") - place("right_hip"))
    parts = [place("head") - hips]
    parts += [place(f"{side}_hip") - place(f"{side}_ankle") for side in SIDES]
    if not all(_direction(part) @ up > _MOST_TILTED for part in parts) or abs(left @ up) > 0.5:
        return None
    axes = _axes(left, up)
    up, front = axes[:, 1], axes[:, 2]
    feet = [place(f"{side}_foot") - place(f"{side}_ankle") for side in SIDES if number(f"{side}_foot") in matched]
    forwards = [float(_direction(foot - (foot @ up) * up) @ front) for foot in feet if np.linalg.norm(foot) > 0.02]
    if forwards and max(forwards) < -0.5:
        raise UserError(
            "its feet point backwards: left and right are exchanged, or the file is mirrored. Mend the file."
        )
    return Rest(places, axes)


def trunk_axes(bvh: Bvh, matched: Mapping[int, int]) -> np.ndarray | None:
    """Left, up and front (3, 3) of the trunk at rest, if that is straight, whatever arms and legs do; None if it is not."""
    places = rest_places(bvh)
    chain = [places[matched[number(joint)]] for joint in TRUNK if number(joint) in matched]
    left = _direction(places[matched[number("left_hip")]] - places[matched[number("right_hip")]])
    up = _direction(chain[-1] - chain[0])
    bones = [bone for bone in np.diff(chain, axis=0) if np.linalg.norm(bone) > 0]
    if not all(_direction(bone) @ up > _MOST_TILTED for bone in bones) or abs(left @ up) > 0.5:
        return None
    return _axes(left, up)


def _axes(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 3) columns at right angles: left, up, and front."""
    up = _snapped(up)
    left = _snapped(_direction(left - (left @ up) * up))
    return np.stack([left, up, np.cross(left, up)], axis=1)


def _direction(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _snapped(direction: np.ndarray) -> np.ndarray:
    """The axis that it is nearly along: skeletons stand along axes, but hips and heads are not quite in line."""
    axis = int(np.abs(direction).argmax())
    if abs(direction[axis]) < _SNAPPED:
        return direction
    return np.eye(3)[axis] * np.sign(direction[axis])


def fit_shape(known_m: Mapping[str, float], joints_m: np.ndarray, by_shape_m: np.ndarray) -> tuple[np.ndarray, float]:
    """Betas (10,) of the body whose bones are as long as these, and the largest difference that is left, m.

    Gauss-Newton, at first with shapes held near the mean as people are; bones that are this very body's need no holding.

    Args:
        known_m: length of the bone that leads to each joint, by name.
        joints_m: (24, 3) rest joints of the mean body.
        by_shape_m: (24, 3, 10) how they move by a unit of each beta.
    """
    rows = np.array([number(name) for name in known_m])
    parents = np.array(SMPL_PARENTS)[rows]
    target = np.array(list(known_m.values()))
    weights = 1.0 / np.where(np.isin(rows, [number(limb) for limb in _LIMBS]), _LIMB_SPREAD_M, _TRUNK_SPREAD_M) ** 2
    bones, slopes = joints_m[rows] - joints_m[parents], by_shape_m[rows] - by_shape_m[parents]

    def solve(betas: np.ndarray, hold: float, weights: np.ndarray) -> np.ndarray:
        for _ in range(_ROUNDS):
            now = bones + slopes @ betas
            length = np.linalg.norm(now, axis=1)
            jacobian = np.einsum("nd,ndk->nk", now / length[:, None], slopes)
            matrix = (jacobian * weights[:, None]).T @ jacobian + hold * np.eye(BETA_COUNT)
            right = (jacobian * weights[:, None]).T @ (target - length) - hold * betas
            betas = betas + np.linalg.solve(matrix, right)
        return betas

    def left_over(betas: np.ndarray) -> float:
        return float(np.abs(np.linalg.norm(bones + slopes @ betas, axis=1) - target).max())

    held = solve(np.zeros(BETA_COUNT), 1.0, weights)
    if len(rows) >= _TELLING * BETA_COUNT:
        free = solve(held, 1e-9, np.full(len(rows), 1.0 / SAME_M**2))
        if left_over(free) < SAME_M and np.abs(free).max() < 10:
            return free, left_over(free)
    return held, left_over(held)
