"""The floor that true bodies stand on, which no dataset says: the plane on which their feet rest."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets

# What of a body at rest is so near its lowest point is a sole, told by so many vertices each.
_SOLE_M, _SOLE_POINTS = 0.015, 60
# Where a foot rests, from the plane, one standard deviation; who rests elsewhere counts less (Geman and McClure's rule).
_LEVEL_M = 0.01
# Feet must rest so far apart in all directions, one standard deviation, to tell a plane's slope.
_LEAST_SPREAD_M = 0.08
# Bodies that are so far from the plane do not touch it.
TOUCHING_M = 0.03
_ROUNDS = 8


class Floor(NamedTuple):
    """Points on it have `points @ up == height_m`."""

    up: Tensor  # (3,) unit vector
    height_m: Tensor  # ()


def find_floor(soles_m: Tensor, are_resting: Tensor, roots_m: Tensor) -> Floor | None:
    """The plane on which soles rest, by their lowest points; None: they do not tell it.

    Args:
        soles_m: (F, 2, S, 3) points of the left and the right sole.
        are_resting: (F, 2) bool.
        roots_m: (F, 3), which say which side is up.
    """
    resting = soles_m[are_resting].double()
    if len(resting) < 3:
        return None
    up = torch.nn.functional.normalize(roots_m.double().mean(dim=0) - resting.mean(dim=(0, 1)), dim=0)
    weights = torch.ones(len(resting), dtype=torch.float64)
    for number in range(_ROUNDS):
        lowest = resting[torch.arange(len(resting)), (resting @ up).argmin(dim=1)]
        middle = (weights[:, None] * lowest).sum(dim=0) / weights.sum()
        apart = lowest - middle
        spreads, axes = torch.linalg.eigh((weights[:, None] * apart).mT @ apart / weights.sum())
        if spreads[1] < _LEAST_SPREAD_M**2:
            return None
        up = axes[:, 0] * torch.sign(axes[:, 0] @ up)
        # Wide at first, so that feet off the first guess's plane are not given up.
        scale = 3 * _LEVEL_M * (4 if number < _ROUNDS // 2 else 1)
        weights = (1 + ((apart @ up) / scale) ** 2) ** -2
    return Floor(up, middle @ up)


def find_soles(assets: BodyAssets) -> Tensor:
    """(2, S) vertices of the left and the right sole."""
    height = assets.v_template[:, 1]
    is_low = height < height.min() + _SOLE_M
    soles = [np.flatnonzero(is_low & (way * assets.v_template[:, 0] > 0)) for way in (1, -1)]
    return torch.from_numpy(np.stack([own[np.linspace(0, len(own) - 1, _SOLE_POINTS).astype(int)] for own in soles]))
