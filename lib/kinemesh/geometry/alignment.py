"""What is left of two point sets apart from their place: relative to a root, or by Procrustes; the nearest rotation.

For single directions in NumPy, the smallest turn from one to the other.
"""

import numpy as np
import torch
from torch import Tensor

_SMALLEST_SIZE = 1e-12
# Enough for float64's last digit at every matrix that is not flat.
_ROUNDS = 6
# Of the determinant, beside the cube of the norm: below it, a matrix has no inverse to speak of, or mirrors.
_FLAT = 1e-9


def relative_to_root(points_mm: Tensor, joints_mm: Tensor) -> Tensor:
    """Points (..., N, 3) relative to the first of the joints (..., K, 3), the root."""
    return points_mm - joints_mm[..., :1, :]


def relative_to_mean(points: Tensor) -> Tensor:
    """Points (F, N, 3), or (F, N, 3, ...) how they move, about the mean of each F."""
    return points - points.mean(dim=1, keepdim=True)


def align_similarity(pred: Tensor, target: Tensor) -> Tensor:
    """Points `pred` (..., K, 3) moved onto `target` (..., K, 3), each set of K by its own least-squares similarity.

    The rotation is never a reflection, however much better that would fit. Points that all coincide land on the
    target's mean; points that are not finite give NaN. Source: Umeyama, PAMI 1991.
    """
    pred_mean, target_mean = pred.mean(dim=-2, keepdim=True), target.mean(dim=-2, keepdim=True)
    # Reported errors must not depend on how training multiplies: TF32 and autocast leave float64 alone.
    centred = (pred - pred_mean).double()
    covariance = centred.mT @ (target - target_mean).double()
    turn = best_similarity(covariance, centred.square().sum(dim=(-2, -1)))
    return (centred @ turn).to(pred.dtype) + target_mean


def best_similarity(covariance: Tensor, spread: Tensor) -> Tensor:
    """Scale times rotation, (..., 3, 3), that multiplies centred points as rows from the right.

    `covariance` (..., 3, 3) is pred^T target and `spread` (...) the sum of squares of pred, both sets centred, float64.
    """
    turn = nearest_rotation(covariance)
    scale = (turn * covariance).sum(dim=(-2, -1)) / spread.clamp(min=_SMALLEST_SIZE)
    return scale[..., None, None] * turn


def nearest_rotation(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> the rotation nearest to each by the Frobenius norm, never a reflection; NaN where one is not finite.

    It is found in float64; of several equally near, one. Sources: Higham, Computing the Polar Decomposition, 1986
    (Newton's iteration, scaled); Umeyama, PAMI 1991 (singular values, where that does not apply).
    """
    matrices = matrix.double().reshape(-1, 3, 3)
    # The batch last: the CPU then works on one entry of all matrices at a time.
    turn = matrices.permute(1, 2, 0).contiguous()
    size = turn.square().sum(dim=(0, 1)).sqrt()
    is_flat = (_cofactors(turn)[1] <= _FLAT * size**3) & size.isfinite()
    turn = torch.where(is_flat, torch.eye(3, dtype=turn.dtype, device=turn.device)[..., None], turn)
    for _ in range(_ROUNDS):
        cofactors, determinant = _cofactors(turn)
        size, inverse_size = (part.square().sum(dim=(0, 1)).sqrt() for part in (turn, cofactors / determinant))
        scale = (inverse_size / size).sqrt()
        turn = turn * (0.5 * scale) + cofactors * (0.5 / (scale * determinant))
    turn = turn.permute(2, 0, 1)
    if is_flat.any():
        turn = turn.masked_scatter(is_flat[:, None, None], _nearest_by_singular_values(matrices[is_flat]))
    return turn.reshape(matrix.shape).to(matrix.dtype)


def _cofactors(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Of (3, 3, N): the cofactors (3, 3, N), which are determinant times inverse transposed, and determinants (N,)."""
    around = torch.cat((matrices, matrices[:2]))
    around = torch.cat((around, around[:, :2]), dim=1)
    cofactors = around[1:4, 1:4] * around[2:, 2:] - around[1:4, 2:] * around[2:, 1:4]
    return cofactors, (matrices[0] * cofactors[0]).sum(dim=0)


def _nearest_by_singular_values(matrices: Tensor) -> Tensor:
    """(N, 3, 3), of any sign and rank -> (N, 3, 3)."""
    left, _, right = torch.linalg.svd(matrices)
    # Turning the least significant axis is what the closest proper rotation costs.
    handedness = torch.linalg.det(left @ right).sign()
    flips = torch.stack((torch.ones_like(handedness), torch.ones_like(handedness), handedness), dim=-1)
    return (left * flips[:, None, :]) @ right


def smallest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3) the rotation by the smallest angle that turns one direction (3,) into the other."""
    start, end = (vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in (start, end))
    cosine, axis = float(start @ end), np.cross(start, end)
    if cosine < -1 + 1e-9:  # half a turn, about anything across
        across = np.cross(start, np.eye(3)[np.abs(start).argmin()])
        across /= np.linalg.norm(across)
        return 2 * np.outer(across, across) - np.eye(3)
    cross = cross_matrix(axis)
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def turn_about(axis: np.ndarray, radians: float) -> np.ndarray:
    """(3, 3) the rotation about a unit vector (3,)."""
    along = np.outer(axis, axis)
    return along + np.cos(radians) * (np.eye(3) - along) + np.sin(radians) * cross_matrix(axis)


def cross_matrix(vector: np.ndarray) -> np.ndarray:
    """(3,) -> the matrix (3, 3) that multiplies as the cross product does."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
