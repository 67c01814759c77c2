"""Draws closed triangle meshes with smooth shading, and with smooth outlines where they are seen."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.render.raster.spans import batches
from kinemesh.render.raster.surface import share_slopes
from kinemesh.render.rasterizer import Camera, Fragments, Triangles, front_triangles, rasterize
from kinemesh.render.shading import shade, vertex_normals

Color = tuple[float, float, float]

MESH_COLOR: Color = (0.62, 0.71, 0.86)
# Told apart also by those who see few colours; the first is MESH_COLOR.
PERSON_COLORS: tuple[Color, ...] = (
    MESH_COLOR, (0.93, 0.70, 0.47), (0.60, 0.80, 0.66), (0.86, 0.62, 0.74), (0.95, 0.87, 0.55), (0.58, 0.80, 0.86),
)  # fmt: skip
BACKGROUND_COLOR: Color = (0.965, 0.968, 0.975)
# Neighbours lie on an outline where this sum of their channels, of 255 each, differs by more than the step. Unequal
# weights tell people apart whose colours are equally bright.
RGB_CONTRAST = np.array([4.0, 2.0, 1.0])
_OUTLINE_STEP = 150
_NOTHING = -1e4  # further from any colour than that
# What is drawn at once, so that memory does not grow with the picture: pixels, and those among them on outlines.
_PIXELS_AT_ONCE, _OUTLINE_AT_ONCE = 1 << 20, 1 << 16
_BLOCK = 4  # pixels on a side, as finely as it is looked up where an outline lies


class Layer(NamedTuple):
    """What is drawn over a picture: n of its pixels, each once."""

    rows: np.ndarray  # (n,)
    columns: np.ndarray  # (n,)
    colors: np.ndarray  # (channels, n) float32, times the coverage
    coverage: np.ndarray  # (n,) float32, which share of the pixel hides what is beneath


def render_mesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    camera: Camera,
    image_size: tuple[int, int],
    background: np.ndarray | Color = BACKGROUND_COLOR,
    *,
    color: np.ndarray | Color = MESH_COLOR,
    samples: int = 1,
) -> np.ndarray:
    """Picture (height, width, 3) uint8 of one or several meshes.

    Args:
        vertices: (V, 3) camera coordinates, y down; of all meshes together, so that the nearer hides the farther.
        faces: (F, 3) counter-clockwise seen from outside.
        image_size: width, height in pixels.
        background: one colour, or a picture (height, width, 3) uint8 to draw on; it is not changed.
        color: of the surface, in [0, 1], one or (V, 3).
        samples: n looks at n x n places of a pixel wherever neighbouring pixels differ, for smooth outlines.
    """
    width, height = image_size
    background = np.asarray(background)
    if background.ndim == 1:
        background = np.broadcast_to(np.round(255 * background).astype(np.uint8), (height, width, 3))
    if background.shape != (height, width, 3) or background.dtype != np.uint8:
        found = f"{background.dtype} {background.shape}"
        raise ValueError(f"background is {found}, expected uint8 {(height, width, 3)} or one colour in [0, 1]")
    picture = background.copy()
    # Lit at the vertices: triangles are a few pixels large.
    lit = 255 * shade(vertex_normals(vertices, faces), np.asarray(color, dtype=np.float64))
    for layer in mesh_layers(Mesh(vertices, faces, lit), camera, image_size, RGB_CONTRAST, samples):
        beneath = picture[layer.rows, layer.columns]
        picture[layer.rows, layer.columns] = np.rint(layer.colors.T + (1 - layer.coverage)[:, None] * beneath)
    return picture


class Mesh(NamedTuple):
    """Vertices and what is seen of them."""

    vertices: np.ndarray  # (V, 3) camera coordinates, y down
    faces: np.ndarray  # (F, 3) counter-clockwise seen from outside
    lit: np.ndarray  # (V, channels) colours, of 255


def mesh_layers(
    mesh: Mesh, camera: Camera, image_size: tuple[int, int], contrast: np.ndarray, samples: int
) -> Iterator[Layer]:
    """What a picture of this width and height shows of a mesh, strip by strip.

    Args:
        contrast: (channels,) how much each counts where neighbours are compared; of red, green and blue RGB_CONTRAST.
        samples: as `render_mesh` has it.
    """
    triangles = front_triangles(mesh.vertices, mesh.faces, camera)
    window = _window(triangles, image_size)
    if window is None:
        return
    lit = np.ascontiguousarray(mesh.lit.T, dtype=np.float32)
    limits = np.stack([lit.min(axis=1), lit.max(axis=1)])
    corners = np.stack([lit.take(corner, axis=1) for corner in mesh.faces.T[:, triangles.faces]])
    rows, columns = window
    # Even, as two rows of a stored video share colours.
    at_once = max(2, _PIXELS_AT_ONCE // (columns.stop - columns.start) // 2 * 2)
    for first in range(rows.start, rows.stop, at_once):
        own = slice(first, min(first + at_once, rows.stop))
        # A row more on each side, whose pixels are neighbours.
        strip = slice(max(own.start - 1, rows.start), min(own.stop + 1, rows.stop))
        if strip == rows:
            there = np.arange(len(triangles.faces))
        else:
            low, high = triangles.y_px.min(axis=0), triangles.y_px.max(axis=0)
            there = np.flatnonzero((low < strip.stop) & (high > strip.start))
        part = triangles.chosen(there)
        part = part._replace(x_px=part.x_px - columns.start, y_px=part.y_px - strip.start)
        size = (columns.stop - columns.start, strip.stop - strip.start)
        paint = _Paint.of(part, corners[..., there], limits)
        layer = _strip_layer(_Strip(part, camera, size, paint), contrast, samples)
        layer = layer._replace(rows=layer.rows + strip.start, columns=layer.columns + columns.start)
        if strip != own:
            kept = np.flatnonzero((layer.rows >= own.start) & (layer.rows < own.stop))
            layer = Layer(*(values.take(kept, axis=-1) for values in layer))
        yield layer


class _Strip(NamedTuple):
    """What is drawn at once."""

    triangles: Triangles
    camera: Camera
    size: tuple[int, int]
    paint: "_Paint"


class _Paint(NamedTuple):
    """Colours that change evenly over each of n triangles in the picture: they are a few pixels large."""

    x_px: np.ndarray  # (n,) float32, the first corner
    y_px: np.ndarray  # (n,) float32
    level: np.ndarray  # (channels, n) float32, there
    across: np.ndarray  # (channels, n) float32 a column
    down: np.ndarray  # (channels, n) float32 a row
    limits: np.ndarray  # (2, channels) float32, the least and the greatest of all

    @classmethod
    def of(cls, triangles: Triangles, corners: np.ndarray, limits: np.ndarray) -> "_Paint":
        """Of colours (3, channels, n) float32."""
        rises = corners[1] - corners[0], corners[2] - corners[0]
        slopes = share_slopes(triangles.x_px, triangles.y_px)
        across, down = (rises[0] * slopes[0][axis] + rises[1] * slopes[1][axis] for axis in (0, 1))
        first = triangles.x_px[0], triangles.y_px[0], corners[0]
        return cls(*(values.astype(np.float32) for values in (*first, across, down)), limits)

    def at(self, triangles: np.ndarray, seen: Fragments) -> np.ndarray:
        """(channels, n) float32 of these triangles (n,) where they are seen."""
        right, below = seen.x_px - self.x_px.take(triangles), seen.y_px - self.y_px.take(triangles)
        drawn = np.empty((len(self.level), len(triangles)), dtype=np.float32)
        for channel, own in enumerate(drawn):
            np.multiply(self.across[channel].take(triangles), right, out=own)
            own += self.down[channel].take(triangles) * below
            own += self.level[channel].take(triangles)
            np.minimum(own, self.limits[1, channel], out=own)
            np.maximum(own, self.limits[0, channel], out=own)
        return drawn


def _strip_layer(strip: _Strip, contrast: np.ndarray, samples: int) -> Layer:
    seen = rasterize(strip.triangles, strip.camera, strip.size)
    colors = strip.paint.at(seen.triangles, seen)
    places = seen.places
    width, height = strip.size
    if samples == 1:
        rows = places // np.int32(width)
        return Layer(rows, places - rows * np.int32(width), colors, np.ones(len(places), dtype=np.float32))
    shown = np.full((height, width), _NOTHING, dtype=np.float32)
    shown.reshape(-1)[places] = sum(
        np.float32(weight) * values for weight, values in zip(contrast, colors, strict=True)
    )
    outline = _outline(shown)
    inside = np.flatnonzero(~outline.ravel().take(places))
    found = [(places.take(inside), colors.take(inside, axis=1), np.ones(len(inside), dtype=np.float32))]
    for first, end in batches(np.count_nonzero(outline, axis=1), _OUTLINE_AT_ONCE):
        some = np.zeros_like(outline)
        some[first:end] = outline[first:end]
        found.append(_softened(strip, some, samples))
    places, colors, coverage = (np.concatenate(values, axis=-1) for values in zip(*found, strict=True))
    rows = places // np.int32(width)
    return Layer(rows, places - rows * np.int32(width), colors, coverage)


def _softened(strip: _Strip, outline: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (n,), mean colours (channels, n) and coverage (n,) of several places in each outline pixel."""
    pixels = np.flatnonzero(outline).astype(np.int32)
    touching = _touching(strip.triangles, outline)
    fine = rasterize(strip.triangles.chosen(touching), strip.camera, strip.size, outline, samples)
    colors = strip.paint.at(touching.take(fine.triangles), fine)
    sampled = np.zeros((samples**2, len(pixels)), dtype=np.float32)
    means = []
    for values in (*colors, np.float32(1)):
        sampled.reshape(-1)[fine.places] = values
        means.append(sampled.sum(axis=0) / np.float32(samples**2))
    return pixels, np.stack(means[:-1]), means[-1]


def _window(triangles: Triangles, image_size: tuple[int, int]) -> tuple[slice, slice] | None:
    """The part of the picture (rows, columns) that holds all triangles; None for nothing."""
    bounds = []
    for values, end in ((triangles.y_px, image_size[1]), (triangles.x_px, image_size[0])):
        low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
        bounds.append(slice(int(np.clip(np.floor(low) - 1, 0, end)) // 2 * 2, int(np.clip(np.ceil(high) + 1, 0, end))))
    rows, columns = bounds
    is_empty = rows.start == rows.stop or columns.start == columns.stop or not triangles.faces.size
    return None if is_empty else (rows, columns)


def _outline(shown: np.ndarray) -> np.ndarray:
    """(height, width) bool: pixels beside one that shows another colour, or that is covered where they are not.

    `shown` (height, width) is the colour, as one number, or _NOTHING.
    """
    outline = np.zeros(shown.shape, dtype=bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        difference = shown[one] - shown[other]
        differs = np.abs(difference, out=difference) > _OUTLINE_STEP
        outline[one] |= differs
        outline[other] |= differs
    return outline


def _touching(triangles: Triangles, outline: np.ndarray) -> np.ndarray:
    """Those whose bounding box holds a pixel of the outline (height, width), or nearly so."""
    height, width = (-(-side // _BLOCK) for side in outline.shape)
    blocks = np.zeros((height * _BLOCK, width * _BLOCK), dtype=bool)
    blocks[: outline.shape[0], : outline.shape[1]] = outline
    blocks = np.logical_or.reduce([blocks[first::_BLOCK] for first in range(_BLOCK)])
    blocks = np.logical_or.reduce([blocks[:, first::_BLOCK] for first in range(_BLOCK)])
    counts = np.zeros((height + 1, width + 1), dtype=np.int32)
    counts[1:, 1:] = blocks.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    (top, bottom), (left, right) = (
        (
            (values.min(axis=0).clip(0, end) / _BLOCK).astype(np.int32),
            np.ceil(values.max(axis=0).clip(0, end) / _BLOCK).astype(np.int32),
        )
        for values, end in zip((triangles.y_px, triangles.x_px), outline.shape, strict=True)
    )
    counts, line = counts.ravel(), np.int32(width + 1)
    below, above = (counts.take(row * line + right) - counts.take(row * line + left) for row in (bottom, top))
    return np.flatnonzero(below > above)
