"""What is known of a body before its keypoints are looked at: how far the start may err, and what joints cannot do."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle

# (joint, axis, sign): the angle sign * rotation vector[axis], in the parent's axes, is a hinge's bending.
_HINGES = (("left_knee", 0, 1.0), ("right_knee", 0, 1.0), ("left_elbow", 1, -1.0), ("right_elbow", 1, 1.0))
# A straight limb may be overstretched by this much; less far than the start already is, it never has to go.
_OVERSTRETCH = math.radians(5.0)

# How far estimators err about each axis of a joint's parent, against one another: joints that move more are told worse, hinges
# about their axis, and arms worst of all. Rounded, from the demo's network on clips that are no benchmark's.
_SPREADS = {
    "pelvis": (1.0, 1.0, 1.0), "hip": (1.0, 1.0, 1.0), "knee": (1.2, 0.5, 0.5), "ankle": (1.0, 0.5, 1.0),
    "spine1": (0.7, 0.6, 0.5), "spine2": (0.7, 0.6, 0.5), "spine3": (0.7, 0.6, 0.5), "neck": (0.7, 0.8, 0.6),
    "head": (0.7, 0.8, 0.6), "collar": (0.4, 0.6, 0.6), "shoulder": (1.6, 1.6, 1.6), "elbow": (0.8, 2.0, 0.9),
}  # fmt: skip

# What the start's turning may err by before anything is known, and the bounds of what comes out.
_UNKNOWN, _TIGHTEST, _LOOSEST = (math.radians(degrees) for degrees in (18.0, 1.0, 45.0))
# Keypoints of little confidence are as many as their weights, but decide more.
_LEAST_FREE = 0.2
# What a fit leaves is measured in every so many frames.
_MEASURED_EVERY = 4


def relative_spreads(joints: tuple[int, ...]) -> Tensor:
    """(3 A,) how far the start's turning about each axis may err, against a typical joint's."""
    names = [SMPL_JOINT_NAMES[joint].removeprefix("left_").removeprefix("right_") for joint in joints]
    return torch.tensor([_SPREADS[name] for name in names]).flatten()


def lasting_precision(frames_beside: Tensor, kept: float) -> Tensor:
    """Each frame's own precision by how many it has beside it (0, 1, 2), of an error of variance 1 of which a part is `kept`
    a frame later (a first-order autoregressive process)."""
    return 1 - frames_beside * kept / (1 + kept)


def lasting_tie(kept: float) -> float:
    """The precision of the difference to the next frame, of the same error."""
    return kept / (1 - kept**2)


class Hinges:
    """Knees and elbows among the turned joints: they do not bend backwards."""

    def __init__(self, joints: tuple[int, ...]):
        numbers = [(SMPL_JOINT_NAMES.index(name), axis, sign) for name, axis, sign in _HINGES]
        chosen = [(joints.index(number), axis, sign) for number, axis, sign in numbers if number in joints]
        self.places, self.axes, signs = (list(column) for column in zip(*chosen, strict=True))
        self.signs = torch.tensor(signs)

    def unbend(self, rotations: Tensor, start: Tensor) -> Tensor:
        """Rotations (N, A, 3, 3), those beyond a hinge's end turned back to it; the end is the start's, if that is beyond."""
        signs = self.signs.to(rotations)
        hinges = range(len(self.places))
        vectors, start_vectors = (matrix_to_axis_angle(one[:, self.places]) for one in (rotations, start))
        bent, start_bent = (signs * one[:, hinges, self.axes] for one in (vectors, start_vectors))
        beyond = (torch.clamp(start_bent, max=0.0) - _OVERSTRETCH - bent).clamp(min=0.0)
        back = torch.zeros_like(vectors)
        back[:, hinges, self.axes] = signs * beyond
        rotations = rotations.clone()
        rotations[:, self.places] = axis_angle_to_matrix(back) @ rotations[:, self.places]
        return rotations


class Doubt(NamedTuple):
    """From a ratio of turning to keypoint errors, radians a unit, to what the start may err by.

    A detector, too, errs the same way for many frames, which a fit takes for the start's error.
    """

    of_keypoints: float  # where a detector's lasting errors alone put the ratio
    more: float  # by so much more keypoints err than the ratio says
    least: float  # of the ratio, that is the start's in any case
    most_gain: float  # what a keypoint that is surer than usual counts at most; 1: all count as confidence^2 says


# Bodies that were lifted from these very keypoints follow their lasting errors, so that less of what is left is theirs.
LIFTED = Doubt(0.035, 2.4, 0.0, 3.0)
GIVEN = Doubt(0.1, 1.3, 0.45, 1.0)


def are_measured(rows: Tensor, owner: Tensor) -> Tensor:
    """(N,) bool of these rows (N,): the same frames of a person whoever else is there."""
    return (rows - torch.searchsorted(owner, owner[rows])) % _MEASURED_EVERY == 0


class Strength:
    """How far each person's start may err: one angle a person, settled by what the first iterations left.

    Two unknown sizes of error, the start's and the keypoints', explain how far a fit moves and what it leaves
    (MacKay, Bayesian interpolation, 1992): with gamma the number of unknowns that the keypoints decide,

        start's^2 = sum phi^2 / gamma,      keypoints'^2 = sum residual^2 / (number - gamma).

    Their ratio is what the prior's strength has to be, but for two constants (`Doubt`).
    """

    def __init__(self, unit_px: Tensor, doubt: Doubt):
        self.doubt = doubt
        self.radians = torch.full_like(unit_px, _UNKNOWN)
        self.sums = unit_px.new_zeros(len(unit_px), 5)

    def measure(
        self, owner: Tensor, matrix: Tensor, precision: Tensor, turning: Tensor, weights: Tensor, error: Tensor
    ) -> None:
        """Add frames (N,): normal equations (N, n, n), prior's precision (N, n), turning in
        relative spreads (N, 3 A), robust weights and squared errors in units (N, K)."""
        covariance = torch.linalg.inv(matrix + torch.diag_embed(precision))
        decided = 1 - (precision * covariance.diagonal(dim1=1, dim2=2))[:, : turning.shape[1]]
        all_decided = (matrix * covariance).sum(dim=(1, 2))
        self.sums.index_add_(
            0,
            owner,
            torch.stack(
                (turning.square().sum(1), decided.sum(1), (weights * error).sum(1), 2 * weights.sum(1), all_decided),
                dim=1,
            ),
        )

    def settle(self) -> None:
        """Take what was measured."""
        turned, decided, left, number, all_decided = self.sums.unbind(1)
        free = torch.maximum(number - all_decided, _LEAST_FREE * number)
        ratio = turned * free / (decided * left).clamp(min=1e-9)
        own = torch.maximum(ratio - self.doubt.of_keypoints**2, self.doubt.least**2 * ratio).clamp(min=0.0).sqrt()
        self.radians = (self.doubt.more * own).clamp(_TIGHTEST, _LOOSEST)
