"""Draws closed triangle meshes with smooth shading and smooth outlines."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.render.raster.kernels import blend, color_planes, paint
from kinemesh.render.rasterizer import Camera, Projected, seen_faces
from kinemesh.render.shading import shade, vertex_normals

Color = tuple[float, float, float]

MESH_COLOR: Color = (0.62, 0.71, 0.86)
# Told apart also by those who see few colours; the first is MESH_COLOR.
PERSON_COLORS: tuple[Color, ...] = (
    MESH_COLOR, (0.93, 0.70, 0.47), (0.60, 0.80, 0.66), (0.86, 0.62, 0.74), (0.95, 0.87, 0.55), (0.58, 0.80, 0.86),
)  # fmt: skip
BACKGROUND_COLOR: Color = (0.965, 0.968, 0.975)


class Layer(NamedTuple):
    """What is drawn over a part of a picture."""

    top: int  # its first row and column, even
    left: int
    colors: np.ndarray  # (channels, rows, columns) float32, times the coverage
    coverage: np.ndarray  # (rows, columns) float32, which share of the pixel hides what is beneath
    spans: np.ndarray  # (rows, 2) int32, from and to which column, exclusive, anything is drawn


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
        samples: n looks at n x n places of every pixel, for smooth outlines.
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
    for layer in mesh_layers(Mesh(vertices, faces, lit), camera, image_size, samples):
        lay(picture, layer)
    return picture


def lay(picture: np.ndarray, layer: Layer) -> None:
    """Draw a layer of red, green and blue on a picture (height, width, 3) uint8."""
    part = picture[layer.top :, layer.left :]
    for channel, colors in enumerate(layer.colors):
        blend(part[..., channel], colors, layer.coverage, layer.spans)


class Mesh(NamedTuple):
    """Vertices and what is seen of them."""

    vertices: np.ndarray  # (V, 3) camera coordinates, y down
    faces: np.ndarray  # (F, 3) counter-clockwise seen from outside
    lit: np.ndarray  # (V, channels) colours, of 255


def mesh_layers(mesh: Mesh, camera: Camera, image_size: tuple[int, int], samples: int) -> Iterator[Layer]:
    """What a picture of this width and height shows of a mesh, strip by strip; each is valid until the next.

    Args:
        samples: as `render_mesh` has it.
    """
    projected = Projected.of(mesh.vertices, mesh.faces, camera, samples)
    lit = np.ascontiguousarray(mesh.lit, dtype=np.float32)
    planes = np.empty((len(mesh.faces), 2 + 3 * lit.shape[1]), dtype=np.float32)
    color_planes(projected, lit, planes)
    limits = np.stack([lit.min(axis=0), lit.max(axis=0)]) if len(lit) else np.zeros((2, lit.shape[1]), np.float32)
    for seen in seen_faces(projected, image_size):
        size = seen.faces.shape[::2]
        colors, coverage = np.zeros((lit.shape[1], *size), dtype=np.float32), np.zeros(size, dtype=np.float32)
        paint(planes, limits, projected.offsets, seen, colors, coverage)
        yield Layer(*seen.corner.tolist(), colors, coverage, seen.spans)
