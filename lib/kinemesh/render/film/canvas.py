"""A video's frame to draw on, in the colours that it is stored in: brightness, and two colours for each 2 x 2 pixels.

What lies beneath is never turned into red, green and blue, which would cost time and blur colours twice.
"""

import av
import numpy as np

from kinemesh.render.raster.kernels import blend, blend_shared
from kinemesh.render.scene import Layer

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
        top, left = layer.top, layer.left + left
        brightness, *tints = self._planes
        blend(brightness[top:, left:], layer.colors[0], layer.coverage, layer.spans)
        for plane, colors in zip(tints, layer.colors[1:], strict=True):
            blend_shared(plane[top // 2 :, left // 2 :], colors, layer.coverage, layer.spans)


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """(height, width) uint8 of each plane, which writing to them changes."""
    planes = []
    for plane in frame.planes:
        pixels = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        planes.append(pixels[: plane.height, : plane.width])
    return planes
