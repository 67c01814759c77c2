"""Chains over time are solved as one large system would be."""

import pytest
import torch

from kinemesh.fit.chain import solve_chain


@pytest.mark.parametrize("frames", [7, 8])
def test_chains_are_solved_as_dense_systems(frames):
    torch.manual_seed(0)
    chains, size, columns = 2, 5, 3
    factors = torch.randn(chains, frames, size, size, dtype=torch.float64)
    diagonal = torch.rand(chains, size, dtype=torch.float64) + 0.1
    is_tied = torch.ones(chains, frames - 1, dtype=torch.bool)
    is_tied[0, 3] = False  # two segments that do not touch
    coupling = diagonal[:, None] * is_tied[..., None]
    nothing = torch.zeros_like(coupling[:, :1])
    ties = torch.cat((coupling, nothing), 1) + torch.cat((nothing, coupling), 1)
    matrix = factors @ factors.mT + torch.diag_embed(ties + 0.1)
    right = torch.randn(chains, frames, size, columns, dtype=torch.float64)
    dense = torch.stack([torch.block_diag(*blocks) for blocks in matrix])
    for frame in range(frames - 1):
        here, there = slice(frame * size, (frame + 1) * size), slice((frame + 1) * size, (frame + 2) * size)
        dense[:, here, there] = dense[:, there, here] = -torch.diag_embed(coupling[:, frame])
    expected = torch.linalg.solve(dense, right.flatten(1, 2)).unflatten(1, (frames, size))
    torch.testing.assert_close(solve_chain(matrix, diagonal, is_tied, right), expected)


def test_one_frame_is_a_chain():
    matrix = torch.eye(3)[None, None] * 2
    solved = solve_chain(matrix, torch.ones(1, 3), torch.ones(1, 0, dtype=torch.bool), torch.ones(1, 1, 3, 1))
    torch.testing.assert_close(solved, torch.full((1, 1, 3, 1), 0.5))
