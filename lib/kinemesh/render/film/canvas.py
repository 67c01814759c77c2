"""A video's frame to draw on, in the colours that it is stored in: brightness, and two colours for each 2 x 2 pixels.

What lies beneath is never turned into red, green and blue, which would cost time and blur colours twice.
"""

import av
import numpy as np

from kinemesh.render.scene import RGB_CONTRAST, Layer

PIXEL_FORMAT = "yuv420p"
# ITU-R BT.709: luma of red, green and blue of 1, and the limited range that video files use, of 255.
_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722
_LUMA = np.array([_RED, _GREEN, _BLUE])
_FROM_RGB = np.stack(
    [
        219 / 255 * _LUMA,
        224 / 255 * (np.array([0, 0, 1]) - _LUMA) / (2 * (1 - _BLUE)),
        224 / 255 * (np.array([1, 0, 0]) - _LUMA) / (2 * (1 - _RED)),
    ]
)
_BLACK = np.array([16.0, 128.0, 128.0])
# What makes the same difference as in red, green and blue.
CONTRAST = RGB_CONTRAST @ np.linalg.inv(_FROM_RGB)


def from_rgb(colors: np.ndarray) -> np.ndarray:
    """Brightness and two colours (..., 3) of red, green and blue (..., 3), all of 255."""
    return colors @ _FROM_RGB.T + _BLACK


class Canvas:
    """A frame of this width and height; sides are even, as pixels share colours."""

    def __init__(self, size: tuple[int, int], color: np.ndarray):
        """All of `color`, (3,) of `from_rgb`."""
        self.frame = av.VideoFrame(*size, PIXEL_FORMAT)
        self._planes = _planes(self.frame)
        for plane, value in zip(self._planes, color, strict=True):
            plane[:] = round(float(value))

    def paste(self, picture: av.VideoFrame) -> None:
        """Put a frame in the upper left corner; what reaches beyond this one is cut."""
        for own, other in zip(self._planes, _planes(picture), strict=True):
            height, width = min(len(own), len(other)), min(picture.width, own.shape[1], other.shape[1])
            own[:height, :width] = other[:height, :width]

    def draw(self, layer: Layer, left: int = 0) -> None:
        """Lay over it what is drawn, in colours of `from_rgb`, so many pixels from the left, an even number."""
        if not len(layer.rows):
            return
        rows, columns = layer.rows.astype(np.int32), layer.columns.astype(np.int32) + np.int32(left)
        brightness, *tints = self._planes
        _blend(brightness, rows, columns, layer.colors[0], layer.coverage)
        rows, columns = rows >> 1, columns >> 1
        first, width = rows.min(), np.int32(tints[0].shape[1])
        cell = (rows - first) * width + columns
        coverage = np.bincount(cell, layer.coverage)
        there = np.flatnonzero(coverage > 0).astype(np.int32)
        rows = there // width
        columns, rows, coverage = there - rows * width, rows + first, coverage.take(there) / 4
        for plane, colors in zip(tints, layer.colors[1:], strict=True):
            _blend(plane, rows, columns, np.bincount(cell, colors).take(there) / 4, coverage)


def _blend(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, coverage: np.ndarray) -> None:
    """Lay values on a plane (height, width), which may be a part of longer rows."""
    line = plane.strides[0]
    pixels = np.lib.stride_tricks.as_strided(plane, (plane.shape[0] * line - line + plane.shape[1],), (1,))
    numbers = rows.astype(np.intp) * line + columns  # one number finds a pixel faster than two
    pixels[numbers] = np.rint(values + (1 - coverage) * pixels.take(numbers))


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """(height, width) uint8 of each plane, which writing to them changes."""
    planes = []
    for plane in frame.planes:
        pixels = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        planes.append(pixels[: plane.height, : plane.width])
    return planes
