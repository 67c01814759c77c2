"""A place in a run has its own random numbers, and the same ones each time."""

import torch

from kinemesh.machine.seeds import Draws, _mix, _signed, draw_keys, mix_seed, set_step_seed


def test_step_seed_depends_on_seed_and_place():
    drawn = set()
    for place in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        for seed in (0, 1):
            set_step_seed(seed, *place)
            drawn.add(torch.rand(1).item())
    assert len(drawn) == 8
    set_step_seed(1, 1, 0, 0)
    assert torch.rand(1).item() in drawn


def test_mixed_seeds_do_not_collide_and_draws_are_those_of_splitmix64():
    assert len({mix_seed(a, b, c) for a in range(10) for b in range(20) for c in range(50)}) == 10_000
    assert all(0 <= mix_seed(a) < 2**63 for a in range(100))
    # The first number of the published generator for the seed 1234567.
    mixed = _mix(torch.tensor([1234567 + _signed(0x9E3779B97F4A7C15)]))
    assert mixed.item() % 2**64 == 6457827717110365317


def test_draws_follow_from_key_and_count_and_look_random():
    draws = Draws(draw_keys(torch.arange(2000), 3))
    normal, uniform = draws.normal(61, 3), draws.uniform(301)
    assert normal.shape == (2000, 61, 3) and uniform.shape == (2000, 301) and draws.uniform().shape == (2000,)
    few = Draws(draw_keys(torch.tensor([5, 1999]), 3))
    assert torch.equal(few.normal(61, 3), normal[[5, 1999]]) and torch.equal(few.uniform(301), uniform[[5, 1999]])
    assert uniform.min() > 0 and uniform.max() < 1
    assert abs(uniform.mean().item() - 0.5) < 0.002 and abs(uniform.var().item() - 1 / 12) < 0.001
    values = normal.flatten(1)
    assert abs(values.mean().item()) < 0.005 and abs(values.std().item() - 1) < 0.005
    assert abs(values.pow(4).mean().item() - 3) < 0.05
    for table in (values[:150], values.T[:150]):  # neither keys nor places resemble one another
        unlike = torch.corrcoef(table) - torch.eye(len(table))
        assert unlike.square().mean().sqrt().item() < 1.3 / table.shape[1] ** 0.5
