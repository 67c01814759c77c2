"""Damped least squares over whole tracks: bodies that show their keypoints, stay near where they started, and move smoothly.

Unknowns, a frame: the turning phi of each joint that keypoints show, R = exp(phi) R_start in its parent's axes, and the
translation; a person: the shape, but for its size. Every iteration linearises, solves each stretch at once (`solve_chain`)
and moves on. docs/fit.md says the terms, and what they were measured on.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.fit.chain import solve_chain
from kinemesh.fit.evidence import learnt_gains
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.prior import Doubt, Hinges, Strength, are_measured, lasting_precision, lasting_tie, relative_spreads
from kinemesh.fit.reprojection import LEAST_DEPTH_M, Camera, NormalEquations, normal_equations, project
from kinemesh.fit.standing.cost import Held
from kinemesh.fit.stretches import Stretches, group_stretches, low_pass
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

# After so many the start's error can be told from the keypoints' (`Strength`).
_ITERATIONS_BEFORE_STRENGTH = 2
_STATURE_M = 1.6
# A keypoint's usual error, in parts of the person's stature in the picture; and how many of these are far off.
_NOISE = 0.02
_FAR_OFF = 5.0
# The start errs for so long in the same way: its error's correlation falls to 1 / e.
_LASTING_S = 0.1
# How far a frame's turning may be from the smoothed motion's at rest, at which speed of the joint that variance is twice as large,
# and how far its translation in each iteration, in parts of the depth; at 30 frames a second. Loose at first, where a start may be
# misplaced: any step away from smoothed motion is held back, however smooth it is.
_TURNING_SPREAD, _AS_FAST = math.radians(1.0), math.radians(0.8)
_MOVING_SPREADS = (0.015, 0.015, 0.008, 0.003)
_SMOOTHED_S = 0.05
_PLACE_SPREAD = 0.5
# Of the shape without its size, a frame: the same error in every frame tells of a shape no more than one frame's.
_SHAPE_SPREAD = 6.0
_LARGEST_TURN = 0.6
# What the start's body and movement count where an estimator has only guessed them.
_GUESS = 0.03
# Of a doubt between size and distance the size takes this share, but never grows or shrinks by more than people differ.
_SIZE_SHARE = 0.5
_MOST_GROWN = 0.04


class Motion(NamedTuple):
    """R frames of P people, those of one segment side by side."""

    rotations: Tensor  # (R, J, 3, 3)
    trans_m: Tensor  # (R, 3)
    betas: Tensor  # (P, 10)


class Evidence(NamedTuple):
    """What a fit takes of R frames."""

    keypoints_px: Tensor  # (R, K, 2)
    confidence: Tensor  # (R, K) in [0, 1], the detector's
    weights: Tensor  # (R, K) from 0 on; 0 is not seen
    stand_ins_px: Tensor  # (R, K, 2) the start's own points, for what is not seen
    stand_in_weights: Tensor  # (R, K)
    is_guessed: Tensor  # (R,) bool, the start's bodies that stand for nothing seen
    owner: Tensor  # (R,) int64, each row's person
    segment_lengths: list[int]  # R together


class Fitted(NamedTuple):
    """The fitted motion, and how it came out."""

    motion: Motion
    strength: Tensor  # (P,) radians
    evidence: Evidence  # as it was weighed in the end


def stature_px(start: Motion, owner: Tensor, camera: Camera) -> Tensor:
    """(P,) how tall each person is in the picture, in the middle of the way."""
    depth = torch.stack([start.trans_m[owner == person, 2].median() for person in range(len(start.betas))])
    return _STATURE_M * camera.focal_px / depth.clamp(min=LEAST_DEPTH_M)


def scales_of(start: Motion, owner: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """(P,) each: how far away a person is in the middle of the way, m, and a keypoint's usual error, pixels."""
    stature = stature_px(start, owner, camera)
    return _STATURE_M * camera.focal_px / stature, _NOISE * stature


def fit_motion(body: BodyPoints, start: Motion, evidence: Evidence, camera: Camera, fps: float, doubt: Doubt) -> Fitted:
    """Fit bodies to their keypoints. `start` is the estimator's; its dtype and device are the work's."""
    people = len(start.betas)
    depth, unit_px = scales_of(start, evidence.owner, camera)
    strength = Strength(unit_px, doubt)
    motion = start
    groups = list(group_stretches(evidence.segment_lengths, fps, start.betas.device))
    counts = torch.bincount(evidence.owner, minlength=people).to(start.betas)
    for iteration, spread in enumerate(_MOVING_SPREADS):
        is_measured, is_last = iteration == _ITERATIONS_BEFORE_STRENGTH, iteration + 1 == len(_MOVING_SPREADS)
        given = depth, unit_px, strength.radians, spread, strength if is_measured else None
        task = Task(body, start, motion, evidence, camera, fps, *given)
        sums = None if is_last else start.betas.new_zeros(people, BETA_COUNT - 1, BETA_COUNT)
        rotations, trans_m, betas = motion.rotations.clone(), motion.trans_m.clone(), motion.betas
        for group in groups:
            task.step(group, rotations, trans_m, sums)
        # The frames follow a new shape in the next iteration: the last leaves it.
        if not is_last:
            betas = betas + _shape_step(sums, counts, motion.betas - start.betas, body.proportions)
        if is_measured:
            strength.settle()
        motion = _share_size(body, start, Motion(rotations, trans_m, betas), evidence.owner)
        if iteration + 1 == _ITERATIONS_BEFORE_STRENGTH and doubt.most_gain > 1:
            evidence = _learnt(body, motion, evidence, camera, unit_px, doubt.most_gain)
    return Fitted(motion, strength.radians, evidence)


def _learnt(
    body: BodyPoints, motion: Motion, evidence: Evidence, camera: Camera, unit_px: Tensor, most_gain: float
) -> Evidence:
    """With weights by what these bodies leave of the keypoints' errors."""
    rows = torch.arange(len(evidence.owner), device=evidence.owner.device)
    rows = rows[are_measured(rows, evidence.owner)]
    owner = evidence.owner[rows]
    places = body.places(motion.rotations[rows], motion.betas[owner]) + motion.trans_m[rows, None]
    off = project(places, camera) - evidence.keypoints_px[rows]
    error = off.square().sum(dim=-1) / unit_px[owner, None].square()
    believed = evidence.weights / evidence.confidence.square().clamp(min=1e-9)
    gains = learnt_gains(evidence.confidence, believed, evidence.owner, error, rows, most_gain)
    return evidence._replace(weights=evidence.weights * gains)


def _shape_step(sums: Tensor, counts: Tensor, moved: Tensor, proportions: Tensor) -> Tensor:
    """(P, 10) from sums (P, 9, 10) of the equations whose frames are eliminated."""
    precision = counts[:, None] / _SHAPE_SPREAD**2
    matrix = sums[..., :-1] + torch.diag_embed(precision.expand(-1, sums.shape[1]))
    right = sums[..., -1] - precision * (moved @ proportions)
    return torch.linalg.solve(matrix, right) @ proportions.T


def _share_size(body: BodyPoints, start: Motion, motion: Motion, owner: Tensor) -> Motion:
    """A larger body farther away is seen the same, so that keypoints tell neither; the start says both, and errs in both.

    Of the distance that fitted poses of the start's size would add, body and place take a share each.
    """
    before, after = (trans_m[:, 2].clamp(min=LEAST_DEPTH_M) for trans_m in (start.trans_m, motion.trans_m))
    farther = (after / before).log()
    grown = (motion.betas - start.betas) @ body.growth / (body.growth @ body.growth)
    added = torch.stack([farther[owner == person].median() for person in range(len(grown))]) - grown
    more = -_MOST_GROWN * (_SIZE_SHARE * added / _MOST_GROWN).tanh() - grown
    return Motion(
        motion.rotations, motion.trans_m * more.exp()[owner, None], motion.betas + more[:, None] * body.growth
    )


@dataclass
class Task:
    """One iteration: what everybody's linearisation and solution need."""

    body: BodyPoints
    start: Motion
    motion: Motion
    evidence: Evidence
    camera: Camera
    fps: float
    depth: Tensor  # (P,)
    unit_px: Tensor  # (P,) a keypoint's usual error
    start_spread: Tensor  # (P,) radians, how far the start's turning may err
    moving_spread: float  # from frame to frame, in parts of the depth
    measured: Strength | None = None  # what is told how far it does
    held: Held | None = None  # where the last of the body's points are held, which no keypoints show

    def __post_init__(self):
        self.joints = list(self.body.joints)
        self.hinges = Hinges(self.body.joints)
        self.spreads = relative_spreads(self.body.joints).to(self.depth)
        # What is left of the start's error a frame later.
        self.lasting = math.exp(-1 / (_LASTING_S * self.fps))
        self.turning_spread = self._turning_spread()

    def step(self, group: Stretches, rotations: Tensor, trans_m: Tensor, shape_sums: Tensor | None) -> None:
        """Move the frames that are the group's own, in place, and add to `shape_sums` what they say of the shape."""
        rows, owner = group.rows.flatten(), self.evidence.owner[group.rows.flatten()]
        equations, weights, error = self._linearise(rows, group.is_inside.flatten())
        now, start = (motion.rotations[rows[:, None], self.joints] for motion in (self.motion, self.start))
        turning = matrix_to_axis_angle(now @ start.mT).flatten(1)
        precision = self._precision(owner, group.is_inside)
        own = group.is_own.flatten().nonzero()[:, 0]
        if self.measured is not None:
            some = own[are_measured(rows[own], self.evidence.owner)]
            given = equations.matrix, precision, turning / self.spreads, weights, error
            self.measured.measure(owner[some], *(part[some] for part in given))
        coupling, pull, ties = self._smoothness(group, turning.unflatten(0, group.rows.shape))
        precision = precision * self._worth(rows)[:, None]
        away = torch.cat((turning, self.motion.trans_m[rows] - self.start.trans_m[rows]), dim=1)
        right = (equations.right - precision * away + pull)[..., None]
        matrix = equations.matrix
        matrix.diagonal(dim1=1, dim2=2).add_(precision + ties)
        if shape_sums is not None:
            right = torch.cat((right, equations.mixed), dim=2)
        matrix, right = (part.unflatten(0, group.rows.shape) for part in (matrix, right))
        solved = solve_chain(matrix, coupling, group.is_inside[:, 1:], right).flatten(0, 1)[own]
        if shape_sums is not None:
            shape = torch.cat((equations.shape_matrix[own], equations.shape_right[own][..., None]), dim=2)
            shape_sums.index_add_(0, owner[own], shape - equations.mixed[own].mT @ solved.roll(-1, dims=2))
        self._move(rows[own], solved[..., 0], rotations, trans_m)

    def _move(self, rows: Tensor, move: Tensor, rotations: Tensor, trans_m: Tensor) -> None:
        turns = move[:, :-3].unflatten(1, (-1, 3))
        cap = (_LARGEST_TURN / turns.norm(dim=2).amax(dim=1).clamp(min=_LARGEST_TURN))[:, None]
        now, start = (motion.rotations[rows[:, None], self.joints] for motion in (self.motion, self.start))
        turned = axis_angle_to_matrix(turns * cap[..., None]) @ now
        rotations[rows[:, None], self.joints] = self.hinges.unbend(turned, start)
        moved = self.motion.trans_m[rows] + move[:, -3:] * cap
        moved[:, 2].clamp_(min=LEAST_DEPTH_M)
        trans_m[rows] = moved

    def _linearise(self, rows: Tensor, is_inside: Tensor) -> tuple[NormalEquations, Tensor, Tensor]:
        """Normal equations of the keypoints, and their weights and squared errors in units (N, K)."""
        owner = self.evidence.owner[rows]
        place = self.motion.trans_m[rows]
        points = self.body(self.motion.rotations[rows], self.motion.betas[owner])
        shown = points.first(self.evidence.keypoints_px.shape[1])
        residuals = self.evidence.keypoints_px[rows] - project(shown.places + place[:, None], self.camera)
        unit = self.unit_px[owner][:, None]
        error = residuals.square().sum(dim=-1) / unit.square()
        # Geman and McClure's: a keypoint that is far off counts for nothing.
        robust = (1 + error / _FAR_OFF**2) ** -2
        weights = self.evidence.weights[rows] * robust * is_inside[:, None]
        held = self.evidence.stand_in_weights[rows] * is_inside[:, None]
        # Two errors of one point: their weights add up, and they pull together.
        away = self.evidence.stand_ins_px[rows] - self.evidence.keypoints_px[rows]
        residuals = residuals + away * (held / (weights + held).clamp(min=1e-9))[..., None]
        held_up = (weights + held) / unit.square()
        equations = normal_equations(shown, place, self.camera, residuals, held_up, self.body.proportions)
        if self.held is not None:
            matrix, right = self.held.equations(points, place, rows)
            equations.matrix.add_(matrix * is_inside[:, None, None])
            equations.right.add_(right * is_inside[:, None])
        return equations, weights, error

    def _precision(self, owner: Tensor, is_inside: Tensor) -> Tensor:
        """(N, n) of the start's turning and place, less what `_smoothness` ties to the frames beside each."""
        tied = torch.nn.functional.pad(is_inside[:, 1:].to(self.depth), (1, 1))
        alone = lasting_precision((tied[:, 1:] + tied[:, :-1]).flatten(), self.lasting)
        turning = self._of_turning(owner) * alone[:, None]
        place = (_PLACE_SPREAD * self.depth[owner])[:, None].expand(-1, 3) ** -2
        return torch.cat((turning, place), dim=1)

    def _of_turning(self, owner: Tensor) -> Tensor:
        """(N, 3 A) precision of the start's turning in a frame by itself."""
        return (self.start_spread[owner][:, None] * self.spreads) ** -2

    def _worth(self, rows: Tensor) -> Tensor:
        return torch.where(self.evidence.is_guessed[rows], _GUESS, 1.0).to(self.depth)

    def _smoothness(self, group: Stretches, turned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What ties frames of a group (S, T) to the next, whose joints were turned by (S, T, 3 A).

        Coupling (S, n), its right-hand sides (S T, n), and what it adds to diagonals (S T, n).
        """
        rows, is_tied = group.rows, group.is_inside[:, 1:, None]
        owner = self.evidence.owner[rows[:, 0]]
        local = self.motion.rotations[rows[..., None], self.joints]
        turning = matrix_to_axis_angle(local[:, 1:] @ local[:, :-1].mT).flatten(2)
        speed = torch.cat((turning, self.motion.trans_m[rows].diff(dim=1)), dim=2)
        worth = self._worth(rows)
        weights = torch.minimum(worth[:, 1:], worth[:, :-1]) * group.is_inside[:, 1:]
        rest = speed - low_pass(speed, weights, _SMOOTHED_S * self.fps) if speed.shape[1] else speed
        moving = (self.moving_spread * self.depth[owner])[:, None].expand(-1, 3)
        coupling = (torch.cat((self.turning_spread[owner], moving), dim=1) * (30.0 / self.fps)) ** -2
        # The start's error now and a frame later are alike.
        alike = self._of_turning(owner) * lasting_tie(self.lasting)
        pulled = coupling[:, None] * rest
        pulled[..., :-3] += alike[:, None] * turned.diff(dim=1)
        coupling[:, :-3] += alike
        pulled, tied = pulled * is_tied, coupling[:, None] * is_tied
        nothing = tied.new_zeros(len(rows), 1, coupling.shape[1])
        pull = torch.cat((pulled, nothing), dim=1) - torch.cat((nothing, pulled), dim=1)
        ties = torch.cat((tied, nothing), dim=1) + torch.cat((nothing, tied), dim=1)
        return coupling, pull.flatten(0, 1), ties.flatten(0, 1)

    def _turning_spread(self) -> Tensor:
        """(P, 3 A) how far turning from frame to frame may be from the smoothed, at 30 frames a second.

        A joint that moves fast is smoothed less: what a low-pass takes off its movement grows with that. So is an axis
        that a start tells badly: where keypoints tell it badly too, ties between frames would else reach beyond a stretch.
        """
        rotations, owner = self.motion.rotations[:, self.joints], self.evidence.owner
        # 1 - cos is half the squared angle, without a logarithm of every frame.
        cosine = ((rotations[1:] * rotations[:-1]).sum(dim=(2, 3)) - 1) / 2
        is_one = (owner[1:] == owner[:-1])[:, None]
        squared = torch.where(is_one, 2 * (1 - cosine), 0.0).clamp(min=0.0)
        summed = squared.new_zeros(len(self.depth), squared.shape[1] + 1)
        summed.index_add_(0, owner[1:], torch.cat((squared, is_one.to(squared)), dim=1))
        # Of each axis a third.
        mean = summed[:, :-1] / summed[:, -1:].clamp(min=1.0) / 3 * (self.fps / 30.0) ** 2
        return _TURNING_SPREAD * (1 + mean / _AS_FAST**2).sqrt().repeat_interleave(3, dim=1) * self.spreads.clamp(min=1)
