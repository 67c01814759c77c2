"""The equations of points that are held in space, in a body's turning and place."""

import torch
from torch import Tensor

from kinemesh.fit.landmarks import MovingPoints


class Held:
    """Anchors of R frames on a device, in camera axes."""

    def __init__(self, places_m: Tensor, held: Tensor, heights_m: Tensor, level: Tensor, below: Tensor, up: Tensor):
        self.places_m, self.held, self.heights_m = places_m, held, heights_m  # (R, P, 3), (R, P), (R, P)
        self.level, self.below, self.up = level, below, up  # (R, P), (R, P), (R, 3)

    def equations(self, points: MovingPoints, trans_m: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Normal equations (N, n, n), (N, n) of the frames `rows` (N,), whose last P points are held."""
        first = points.places.shape[1] - self.places_m.shape[1]
        places = points.places[:, first:] + trans_m[:, None]
        turning = points.by_turning(first)  # (N, P, 3, 3 A)
        moving = torch.eye(3, dtype=turning.dtype, device=turning.device).expand(*turning.shape[:2], 3, 3)
        by_frame = torch.cat((turning, moving), dim=3)  # (N, P, 3, n)
        up = self.up[rows]
        off = self.heights_m[rows] - (places * up[:, None]).sum(dim=-1)
        upward = self.level[rows] + self.below[rows] * (off > 0)
        held = self.held[rows]
        pull = held[..., None] * (self.places_m[rows] - places) + (upward * off)[..., None] * up[:, None]
        rising = (by_frame * up[:, None, :, None]).sum(dim=2)  # (N, P, n)
        flat = by_frame.flatten(1, 2)
        matrix = (flat * held.repeat_interleave(3, dim=1)[..., None]).mT @ flat
        matrix = matrix + (rising * upward[..., None]).mT @ rising
        return matrix, (flat.mT @ pull.flatten(1)[..., None])[..., 0]
