"""People in motion, and recipes in which only one thing goes wrong."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from kinemesh.demo.splits import StandIn, axis_angles
from kinemesh.machine.seeds import Draws, draw_keys
from kinemesh.motion.motion import make_motion
from kinemesh.synthesis.recipe import SCORED, NoiseRecipe, Recipe

FRAMES, FPS = 24, 30.0


class People(NamedTuple):
    """Made-up motion of N people, T frames."""

    poses: Tensor  # (N, T, 72)
    rotations: Tensor  # (N, T, 24, 3, 3)
    betas: Tensor  # (N, 10)
    root_m: Tensor  # (N, T, 3)


@pytest.fixture(scope="session")
def people() -> People:
    rng = np.random.default_rng(0)
    kinds = [["walk", "dance", "run", "sit", "idle", "any_pose"][number % 6] for number in range(240)]
    betas = np.clip(rng.standard_normal((len(kinds), 10)), -2.5, 2.5)
    motion = make_motion(rng, kinds, FRAMES, FPS, StandIn().shaped_rest_joints_m(betas))
    arrays = (axis_angles(motion.rotations), motion.rotations, betas, motion.root_m)
    return People(*(torch.from_numpy(array).float() for array in arrays))


@pytest.fixture(scope="session")
def perfect_noise():
    """A detector without error or loss, but for what keyword arguments say."""
    quiet = {
        "drift_m": tuple((name, 0.0) for name, _ in NoiseRecipe().drift_m), "jitter_m": 0.0, "peak_chance": 0.0,
        "level": (1.0, 1.0), "sure_chance": 1.0, "drop_chance": 0.0, "legs_gone_chance": 0.0, "swap_chance": 0.0,
        "occluder_chance": 0.0, "outside_drop_chance": 1.0, "definition_share": (0.0, 0.0), "definition_std_m": 0.0,
    }  # fmt: skip
    return lambda **changes: NoiseRecipe()._replace(**(quiet | changes))


@pytest.fixture(scope="session")
def exact(perfect_noise) -> Recipe:
    """True projections, and bodies as they were."""
    return SCORED._replace(noise=perfect_noise())


@pytest.fixture(scope="session")
def draws():
    """Random numbers for so many clips."""
    return lambda clips, seed=0: Draws(draw_keys(torch.arange(clips), seed))
