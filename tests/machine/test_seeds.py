"""A place in a run has its own random numbers, and the same ones each time."""

import torch

from kinemesh.machine.seeds import mix_seed, set_step_seed


def test_step_seed_depends_on_seed_and_place():
    drawn = set()
    for place in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        for seed in (0, 1):
            set_step_seed(seed, *place)
            drawn.add(torch.rand(1).item())
    assert len(drawn) == 8
    set_step_seed(1, 1, 0, 0)
    assert torch.rand(1).item() in drawn


def test_mixed_seeds_do_not_collide():
    assert len({mix_seed(a, b, c) for a in range(10) for b in range(20) for c in range(50)}) == 10_000
    assert all(0 <= mix_seed(a) < 2**63 for a in range(100))
