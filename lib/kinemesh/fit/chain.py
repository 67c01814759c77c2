"""Linear systems over time in which a frame is tied to the next by a diagonal: block-tridiagonal, with shared columns."""

import torch
from torch import Tensor


def solve_chain(matrix: Tensor, coupling: Tensor, is_tied: Tensor, right: Tensor) -> Tensor:
    """x (S, T, n, m) of M_t x_t - C x_(t-1) - C x_(t+1) = r_t, for S chains at once; C is left out between frames not tied.

    Forward elimination with one factorisation a frame, S_t = M_t - C S_(t-1)^-1 C, then back. In unknowns scaled by the
    root of C, C is the identity.

    Args:
        matrix: (S, T, n, n) M_t, so that the whole is positive definite.
        coupling: (S, n) > 0, C's diagonal.
        is_tied: (S, T - 1) bool, frames t and t + 1.
        right: (S, T, n, m).
    """
    scale = coupling.rsqrt()[:, None, :, None]
    matrix, right = (matrix * scale).mul_(scale.mT), right * scale
    ties = is_tied[..., None, None].to(matrix)
    all_tied = is_tied.all(dim=0).tolist()
    inverses, eliminated = [], []
    for frame in range(matrix.shape[1]):
        current, known = matrix[:, frame], right[:, frame]
        if frame:
            inverse = inverses[-1] if all_tied[frame - 1] else inverses[-1] * ties[:, frame - 1]
            current, known = current - inverse, torch.baddbmm(known, inverse, eliminated[-1])
        inverses.append(torch.cholesky_inverse(torch.linalg.cholesky_ex(current).L))
        eliminated.append(known)
    solved = [inverses[-1] @ eliminated[-1]]
    for frame in range(matrix.shape[1] - 2, -1, -1):
        later = solved[-1] if all_tied[frame] else solved[-1] * ties[:, frame]
        solved.append(inverses[frame] @ (eliminated[frame] + later))
    return torch.stack(solved[::-1], dim=1) * scale
