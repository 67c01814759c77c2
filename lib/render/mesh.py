"""Draws closed triangle meshes with smooth shading, and with smooth outlines where they are seen."""

import numpy as np

from lib.render.rasterizer import Camera, Fragments, Triangles, front_triangles, rasterize
from lib.render.shading import shade, vertex_normals

Color = tuple[float, float, float]

MESH_COLOR: Color = (0.62, 0.71, 0.86)
# Told apart also by those who see few colours; the first is MESH_COLOR.
PERSON_COLORS: tuple[Color, ...] = (
    MESH_COLOR, (0.93, 0.70, 0.47), (0.60, 0.80, 0.66), (0.86, 0.62, 0.74), (0.95, 0.87, 0.55), (0.58, 0.80, 0.86),
)  # fmt: skip
BACKGROUND_COLOR: Color = (0.965, 0.968, 0.975)
# Of 255: neighbours that differ by more lie on an outline.
_OUTLINE_STEP = 10
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
    if len(faces) == 0:
        return background.copy()
    triangles = front_triangles(vertices, faces, camera)
    # Lit at the vertices: triangles are a few pixels large.
    lit = 255 * shade(vertex_normals(vertices, faces), np.asarray(color, dtype=np.float64))
    corner_colors = lit.astype(np.float32)[faces]
    picture = background.copy()
    pixels = picture.reshape(-1, 3)
    seen = rasterize(triangles, camera, image_size)
    pixels[seen.pixels] = np.rint(_colors(seen, corner_colors))
    if samples > 1 and len(seen.pixels):
        outline = _outline(seen.pixels, pixels[seen.pixels], image_size)
        fine_size = (width * samples, height * samples)
        fine = rasterize(_touching(triangles, outline).scaled(samples), camera, fine_size)
        row, column = np.divmod(fine.pixels, fine_size[0])
        place = row // samples * width + column // samples
        kept = np.flatnonzero(outline.ravel()[place])
        place = place[kept]
        colors = _colors(Fragments(*(values[kept] for values in fine)), corner_colors)
        edge = np.flatnonzero(outline)
        drawn = np.stack([np.bincount(place, channel, width * height)[edge] for channel in colors.T], axis=1)
        uncovered = 1 - np.bincount(place, minlength=width * height)[edge, None] / samples**2
        pixels[edge] = np.rint(drawn / samples**2 + uncovered * background.reshape(-1, 3)[edge])
    return picture


def _outline(places: np.ndarray, colors: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: pixels beside one that shows another colour, or that is covered where they are not.

    `places` (n,) are the covered pixels, `colors` (n, 3) uint8 what they show.
    """
    shown = np.full((image_size[1], image_size[0], 3), _NOTHING, dtype=np.int16)
    shown.reshape(-1, 3)[places] = colors
    outline = np.zeros(shown.shape[:2], dtype=bool)
    for one, other in (((slice(1, None),), (slice(-1),)), ((slice(None), slice(1, None)), (slice(None), slice(-1)))):
        differs = (np.abs(shown[one] - shown[other]) > _OUTLINE_STEP).any(axis=-1)
        outline[one] |= differs
        outline[other] |= differs
    return outline


def _touching(triangles: Triangles, outline: np.ndarray) -> Triangles:
    """Those whose bounding box holds a pixel of the outline (height, width)."""
    height, width = outline.shape
    counts = np.zeros((height + 1, width + 1), dtype=np.int32)
    counts[1:, 1:] = outline.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
    left, right = (
        edge.clip(0, width).astype(np.int64)
        for edge in (np.floor(triangles.x_px.min(axis=0)), np.floor(triangles.x_px.max(axis=0)) + 1)
    )
    top, bottom = (
        edge.clip(0, height).astype(np.int64)
        for edge in (np.floor(triangles.y_px.min(axis=0)), np.floor(triangles.y_px.max(axis=0)) + 1)
    )
    held = counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left]
    return triangles.chosen(np.flatnonzero(held))


def _colors(seen: Fragments, corner_colors: np.ndarray) -> np.ndarray:
    """(n, 3) float32 from the colours (F, 3, 3) of faces' corners."""
    return np.einsum("nc,ncd->nd", seen.shares.astype(np.float32), corner_colors[seen.faces])
