"""Squares of a picture that networks look at: cut out, turned upright, and back to pixels."""

from typing import NamedTuple

import numpy as np
from PIL import Image


class Region(NamedTuple):
    """A square of a picture, in pixels; turned by `angle`, its own y axis points to (-sin, cos)."""

    centre_px: tuple[float, float]
    side_px: float
    angle: float = 0.0  # radians, clockwise as the picture is seen


def cut_out(picture: np.ndarray, region: Region, size: tuple[int, int]) -> np.ndarray:
    """What a region shows, (height, width, 3) uint8, black outside the picture (H, W, 3).

    `size` is width and height: a rectangle of that shape around the region's middle, as high as the region.
    """
    width, height = size
    step = region.side_px / height
    across = _axes(region) * step  # columns: the picture's movement a pixel of the cut to the right, and down
    first = np.asarray(region.centre_px) - across @ (width / 2, height / 2)
    corners = first + np.array([(0, 0), (width, 0), (0, height), (width, height)]) @ across.T
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, picture.shape[1::-1])
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, picture.shape[1::-1])
    if (high <= low).any():
        return np.zeros((height, width, 3), dtype=np.uint8)
    image = Image.fromarray(np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]]))
    # Sampling alone would skip pixels of a large picture.
    fold = max(1, int(step))
    if fold > 1:
        image = image.reduce(fold)
    (a, b), (d, e) = across / fold
    c, f = (first - low) / fold
    return np.asarray(
        image.transform(size, Image.Transform.AFFINE, (a, b, c, d, e, f), resample=Image.Resampling.BILINEAR)
    )


def to_picture(points: np.ndarray, region: Region) -> np.ndarray:
    """Points (..., 2) in parts of the region's side, from its first corner on, as pixels of the picture."""
    return np.asarray(region.centre_px) + (points - 0.5) @ (_axes(region) * region.side_px).T


def _axes(region: Region) -> np.ndarray:
    cos, sin = np.cos(region.angle), np.sin(region.angle)
    return np.array([(cos, -sin), (sin, cos)])
