"""Linear systems over time in which a frame is tied to the next by a diagonal: block-tridiagonal, with shared columns."""

import torch
from torch import Tensor


def solve_chain(matrix: Tensor, coupling: Tensor, is_tied: Tensor, right: Tensor) -> Tensor:
    """x (S, T, n, m) of M_t x_t - C x_(t-1) - C x_(t+1) = r_t, for S chains at once; C is left out between frames not tied.

    Elimination from both ends at once, with one factorisation a frame, S_t = M_t - C S_(t-1)^-1 C, until they meet, and back:
    half the steps of one that begins at one end. In unknowns scaled by the root of C, C is the identity.

    Args:
        matrix: (S, T, n, n) M_t, so that the whole is positive definite.
        coupling: (S, n) > 0, C's diagonal.
        is_tied: (S, T - 1) bool, frames t and t + 1.
        right: (S, T, n, m).
    """
    frames = matrix.shape[1]
    half = (frames + 1) // 2
    scale = coupling.rsqrt()[:, None, :, None]
    ends = scale.repeat(2, 1, 1, 1)
    matrix, right = (_fold(part[:, :half], part[:, half:], part[:, -1:]).mul_(ends) for part in (matrix, right))
    matrix = matrix.mul_(ends.mT)
    meets = is_tied[:, half - 1 : half].any(dim=1)[:, None, None].to(matrix)
    # What fills up an odd number is tied to none.
    is_tied = _fold(is_tied[:, : half - 1], is_tied[:, half:], torch.zeros_like(is_tied[:, :1]))
    ties, all_tied = is_tied[..., None, None].to(matrix), is_tied.all(dim=0).tolist()
    inverses, eliminated = [], []
    for frame in range(half):
        current, known = matrix[:, frame], right[:, frame]
        if frame:
            inverse = inverses[-1] if all_tied[frame - 1] else inverses[-1] * ties[:, frame - 1]
            current, known = current - inverse, torch.baddbmm(known, inverse, eliminated[-1])
        inverses.append(_inverse(current))
        eliminated.append(known)
    before, (known_before, known_after) = inverses[-1].chunk(2)[0], known.chunk(2)
    after = _inverse(current.chunk(2)[1] - meets * before) @ (known_after + meets * (before @ known_before))
    solved = [torch.cat((before @ (known_before + meets * after), after))]
    for frame in range(half - 2, -1, -1):
        later = solved[-1] if all_tied[frame] else solved[-1] * ties[:, frame]
        solved.append(inverses[frame] @ (eliminated[frame] + later))
    first, last = torch.stack(solved[::-1], dim=1).chunk(2)
    return torch.cat((first, last.flip(1)), dim=1)[:, :frames] * scale


def _fold(first: Tensor, last: Tensor, filler: Tensor) -> Tensor:
    """(2 S, H, ...) the first half of S chains, and the last from its end; `filler` before it, where it is shorter."""
    last = last.flip(1)
    return torch.cat((first, last if last.shape[1] == first.shape[1] else torch.cat((filler, last), dim=1)))


def _inverse(matrix: Tensor) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky_ex(matrix).L)
