"""The places of a picture that are looked at, and their numbers: each pixel's middle, or n x n places of some pixels."""

from typing import NamedTuple

import numpy as np


class Places(NamedTuple):
    """Numbered row by row; those of one row of places side by side. Numbers are int32."""

    size: tuple[int, int]  # columns and rows of places in the whole picture
    samples: int  # in a pixel, in each direction
    pixels: np.ndarray | None  # (K,) row * width + column of those that are looked at; None: all, in one place each
    before: np.ndarray | None  # (width * height + 2,) how many of those lie before each pixel

    @classmethod
    def of(cls, image_size: tuple[int, int], wanted: np.ndarray | None, samples: int) -> "Places":
        """In the pixels of `wanted` (height, width) bool; None: in every one."""
        width, height = image_size
        if wanted is None and samples == 1:
            return cls(image_size, 1, None, None)
        wanted = np.ones((height, width), dtype=bool) if wanted is None else wanted
        before = np.zeros(width * height + 2, dtype=np.int32)
        np.cumsum(wanted.ravel(), dtype=np.int32, out=before[1:-1])
        before[-1] = before[-2]
        return cls((width * samples, height * samples), samples, np.flatnonzero(wanted).astype(np.int32), before)

    @property
    def count(self) -> int:
        return self.size[0] * self.size[1] if self.pixels is None else len(self.pixels) * self.samples**2

    def numbers(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """The number of the first place of this row that lies in this column or after it."""
        if self.pixels is None:
            return row * np.int32(self.size[0]) + column
        samples = np.int32(self.samples)
        pixel_row, pixel_column = row // samples, column // samples
        pixel = pixel_row * (np.int32(self.size[0]) // samples) + pixel_column
        before = self.before.take(pixel)
        in_pixel = (column - pixel_column * samples) * (self.before.take(pixel + 1) - before)
        return ((row - pixel_row * samples) * np.int32(len(self.pixels)) + before) * samples + in_pixel

    def rows_and_columns(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.pixels is None:
            row = numbers // np.int32(self.size[0])
            return row, numbers - row * np.int32(self.size[0])
        samples, width = np.int32(self.samples), np.int32(self.size[0] // self.samples)
        turn = numbers // samples
        row_in_pixel = turn // np.int32(len(self.pixels))
        pixel = self.pixels.take(turn - row_in_pixel * np.int32(len(self.pixels)))
        row = pixel // width
        return row * samples + row_in_pixel, (pixel - row * width) * samples + numbers - turn * samples
