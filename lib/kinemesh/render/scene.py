"""Draws closed triangle meshes with smooth shading, and with smooth outlines where they are seen."""

from typing import NamedTuple

import numpy as np

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
_CHANNEL_WEIGHTS = np.array([4, 2, 1], dtype=np.float32)
_OUTLINE_STEP = 150
_NOTHING = -1000  # further from any colour than that


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
        samples: n takes n x n samples a pixel wherever neighbouring pixels differ, for smooth outlines.
    """
    width, height = image_size
    background = np.asarray(background)
    if background.ndim == 1:
        background = np.broadcast_to(np.round(255 * background).astype(np.uint8), (height, width, 3))
    if background.shape != (height, width, 3) or background.dtype != np.uint8:
        found = f"{background.dtype} {background.shape}"
        raise ValueError(f"background is {found}, expected uint8 {(height, width, 3)} or one colour in [0, 1]")
    picture = background.copy()
    triangles = front_triangles(vertices, faces, camera)
    window, triangles = _window(triangles, image_size)
    if window is None:
        return picture
    # Lit at the vertices: triangles are a few pixels large.
    lit = 255 * shade(vertex_normals(vertices, faces), np.asarray(color, dtype=np.float64))
    surface = _Surface(triangles, np.ascontiguousarray(faces[triangles.faces].T), lit.T.astype(np.float32), camera)
    shown = picture[window]
    size = shown.shape[1], shown.shape[0]
    seen = rasterize(triangles, camera, size)
    rows, columns = np.divmod(seen.pixels, size[0])
    colors = surface.colors(seen)
    shown[rows, columns] = colors
    if samples > 1:
        outline = _outline(rows, columns, colors, size)
        shown[outline] = surface.softened(outline, background[window][outline], samples)
    return picture


class _Surface(NamedTuple):
    """What is drawn in one window."""

    triangles: Triangles
    corners: np.ndarray  # (3, n) vertices of each triangle
    lit: np.ndarray  # (3, V) float32, red, green and blue, of 255
    camera: Camera

    def colors(self, seen: Fragments) -> np.ndarray:
        """(n, 3) whole numbers as float32."""
        corners, shares = self.corners.take(seen.triangles, axis=1), seen.shares.astype(np.float32)
        drawn = np.empty((len(seen.pixels), 3), dtype=np.float32)
        for channel, values in enumerate(self.lit):
            shown = sum(share * values[corner] for share, corner in zip(shares, corners, strict=True))
            np.rint(shown, out=drawn[:, channel])
        return drawn

    def softened(self, outline: np.ndarray, background: np.ndarray, samples: int) -> np.ndarray:
        """Mean colours (n, 3) of samples x samples points in each outline pixel, over its `background` (n, 3)."""
        height, width = outline.shape
        touching = _touching(self.triangles, outline)
        triangles = self.triangles.chosen(touching).scaled(samples)
        wanted = outline.repeat(samples, axis=0).repeat(samples, axis=1)
        fine = rasterize(triangles, self.camera, (width * samples, height * samples), wanted)
        row, column = np.divmod(fine.pixels, width * samples)
        slots = np.cumsum(outline, dtype=np.int32) - 1
        slot = slots[row // samples * width + column // samples]
        colors = self.colors(fine._replace(triangles=touching[fine.triangles]))
        drawn = np.stack([np.bincount(slot, channel, len(background)) for channel in colors.T], axis=1)
        coverage = np.bincount(slot, minlength=len(background))[:, None] / samples**2
        return np.rint(drawn / samples**2 + (1 - coverage) * background)


def _window(triangles: Triangles, image_size: tuple[int, int]) -> tuple[tuple[slice, slice] | None, Triangles]:
    """The part of the picture (rows, columns) that holds all triangles, and these as seen in it; None for nothing."""
    bounds = []
    for values, end in ((triangles.y_px, image_size[1]), (triangles.x_px, image_size[0])):
        low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
        bounds.append(slice(int(np.clip(np.floor(low) - 1, 0, end)), int(np.clip(np.ceil(high) + 1, 0, end))))
    rows, columns = bounds
    if rows.start == rows.stop or columns.start == columns.stop or not triangles.faces.size:
        return None, triangles
    moved = triangles._replace(x_px=triangles.x_px - columns.start, y_px=triangles.y_px - rows.start)
    return (rows, columns), moved


def _outline(rows: np.ndarray, columns: np.ndarray, colors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: pixels beside one that shows another colour, or that is covered where they are not.

    `rows`, `columns` (n,) are the covered pixels', `colors` (n, 3) what they show, of 255.
    """
    shown = np.full((size[1], size[0]), _NOTHING, dtype=np.float32)
    shown[rows, columns] = colors @ _CHANNEL_WEIGHTS
    outline = np.zeros(shown.shape, dtype=bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = np.abs(shown[one] - shown[other]) > _OUTLINE_STEP
        outline[one] |= differs
        outline[other] |= differs
    return outline


def _touching(triangles: Triangles, outline: np.ndarray) -> np.ndarray:
    """Those whose bounding box holds a pixel of the outline (height, width)."""
    counts = np.zeros((outline.shape[0] + 1, outline.shape[1] + 1), dtype=np.int32)
    counts[1:, 1:] = outline.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    (top, bottom), (left, right) = (
        (
            np.floor(values.min(axis=0)).clip(0, end).astype(np.int32),
            np.ceil(values.max(axis=0)).clip(0, end).astype(np.int32),
        )
        for values, end in zip((triangles.y_px, triangles.x_px), outline.shape, strict=True)
    )
    held = counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left]
    return np.flatnonzero(held)
