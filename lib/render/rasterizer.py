"""Draws a closed triangle mesh with a z-buffer and smooth shading, in NumPy alone.

Camera coordinates are those of the datasets: x right, y down, z away from the camera, in any one unit of length.
Pixel (column, row) = (0, 0) covers [0, 1) x [0, 1), its centre at (0.5, 0.5).
"""

from typing import NamedTuple

import numpy as np

Color = tuple[float, float, float]

MESH_COLOR: Color = (0.62, 0.71, 0.86)
BACKGROUND_COLOR: Color = (0.965, 0.968, 0.975)

# Directions towards the lights: one from above the camera's left shoulder, a weaker one from the right.
_KEY_LIGHT = np.array([-0.45, -0.60, -0.66])
_FILL_LIGHT = np.array([0.85, 0.05, -0.50])
_AMBIENT, _KEY, _FILL, _SKY, _SHINE = 0.30, 0.62, 0.16, 0.10, 0.10
_SHININESS = 24
_LEAST_DEPTH = 1e-6


class Perspective(NamedTuple):
    """A pinhole camera: pixel = focal_px * (x, y) / z + centre_px."""

    focal_px: float
    centre_px: tuple[float, float]


class WeakPerspective(NamedTuple):
    """All points as if equally far: pixel = scale_px * (x, y) + centre_px, scale in pixels per unit of length."""

    scale_px: float
    centre_px: tuple[float, float]


Camera = Perspective | WeakPerspective


class Fragments(NamedTuple):
    """What each covered pixel shows: the nearest front-facing triangle."""

    pixels: np.ndarray  # (n,) row * width + column, each once
    faces: np.ndarray  # (n,) row of `faces`
    shares: np.ndarray  # (n, 3) barycentric coordinates on the triangle in space, sum 1


def project(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (..., 2) of points (..., 3), and a nearness (...) that is linear in the picture, greater being nearer."""
    if isinstance(camera, WeakPerspective):
        return camera.scale_px * points[..., :2] + camera.centre_px, -points[..., 2]
    nearness = 1 / np.maximum(points[..., 2], _LEAST_DEPTH)
    return camera.focal_px * points[..., :2] * nearness[..., None] + camera.centre_px, nearness


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Outward unit normals (V, 3): means of the faces around each vertex by area; 0 where a vertex has none."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face_normals = np.cross(b - a, c - a)
    corners = faces.T.ravel()
    summed = np.stack([np.bincount(corners, np.tile(n, 3), len(vertices)) for n in face_normals.T], axis=1)
    return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), np.finfo(summed.dtype).tiny)


def _boxes(triangles_px: np.ndarray, image_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First pixel (F, 2) and size (F, 2) of the block of pixels whose centres may lie in each triangle (F, 3, 2)."""
    first = np.ceil(triangles_px.min(axis=1) - 0.5).clip(0, image_size)
    last = np.floor(triangles_px.max(axis=1) - 0.5).clip(-1, np.array(image_size) - 1)
    return first.astype(np.int64), np.maximum(last - first + 1, 0).astype(np.int64)


def rasterize(vertices: np.ndarray, faces: np.ndarray, camera: Camera, image_size: tuple[int, int]) -> Fragments:
    """Which triangle each pixel's centre sees.

    Args:
        vertices: (V, 3) camera coordinates.
        faces: (F, 3) counter-clockwise seen from outside; back faces, and those not wholly before the camera, are
            left out.
        image_size: width, height in pixels.
    """
    pixels_px, nearness = project(np.asarray(vertices, dtype=np.float64), camera)
    a, b, c = (pixels_px[faces[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    is_drawn = area < 0
    if isinstance(camera, Perspective):
        is_drawn &= vertices[faces, 2].min(axis=1) > _LEAST_DEPTH
    first, size = _boxes(pixels_px[faces], image_size)
    drawn = np.flatnonzero(is_drawn & (size.min(axis=1) > 0))

    # One row for every pixel of every drawn triangle's block.
    counts = size[drawn].prod(axis=1)
    owner = np.repeat(np.arange(len(drawn)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    down, across = np.divmod(offset, size[drawn, 0][owner])
    columns, rows = first[drawn, 0][owner] + across, first[drawn, 1][owner] + down

    # Barycentric coordinates are linear in the pixel: value at the block's first centre plus two slopes.
    a, b, c, area = a[drawn], b[drawn], c[drawn], area[drawn]
    start = first[drawn] + 0.5 - a
    slopes_1 = np.stack([c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]], axis=1) / area[:, None]
    slopes_2 = np.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], axis=1) / area[:, None]
    share_1 = (start * slopes_1).sum(axis=1)[owner] + across * slopes_1[owner, 0] + down * slopes_1[owner, 1]
    share_2 = (start * slopes_2).sum(axis=1)[owner] + across * slopes_2[owner, 0] + down * slopes_2[owner, 1]
    inside = np.flatnonzero((share_1 >= 0) & (share_2 >= 0) & (share_1 + share_2 <= 1))
    share_1, share_2, owner = share_1[inside], share_2[inside], drawn[owner[inside]]
    shares = np.stack([1 - share_1 - share_2, share_1, share_2], axis=1)
    pixels = rows[inside] * image_size[0] + columns[inside]

    corner_nearness = nearness[faces[owner]]
    fragment_nearness = (shares * corner_nearness).sum(axis=1)
    # Later writes win: with the nearest last, each pixel keeps it.
    order = np.argsort(fragment_nearness, kind="stable")
    winner = np.full(image_size[0] * image_size[1], -1)
    winner[pixels[order]] = order
    seen = np.flatnonzero(winner >= 0)
    chosen = winner[seen]
    shares = shares[chosen]
    if isinstance(camera, Perspective):
        shares = shares * corner_nearness[chosen] / fragment_nearness[chosen, None]
    return Fragments(seen, owner[chosen], shares)


def _shade(normals: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Colours (n, 3) in [0, 1] of matt surfaces with unit normals (n, 3) under the fixed lights."""
    key_direction = _KEY_LIGHT / np.linalg.norm(_KEY_LIGHT)
    half_way = key_direction + np.array([0, 0, -1])
    # Wrapped around by a quarter, so that the edge of the shadow is soft.
    key = np.clip((normals @ key_direction + 0.25) / 1.25, 0, 1)
    fill = np.clip(normals @ (_FILL_LIGHT / np.linalg.norm(_FILL_LIGHT)), 0, 1)
    sky = 0.5 - 0.5 * normals[:, 1]
    shine = np.clip(normals @ (half_way / np.linalg.norm(half_way)), 0, 1) ** _SHININESS
    brightness = _AMBIENT + _KEY * key + _FILL * fill + _SKY * sky
    return np.clip(colors * brightness[:, None] + _SHINE * shine[:, None], 0, 1)


def _interpolate(values: np.ndarray, corners: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(n, 3) of values (V, 3) at points inside triangles with corners (n, 3)."""
    return sum(shares[:, i, None] * values[corners[:, i]] for i in range(3))


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
    """Picture (height, width, 3) uint8 of a mesh.

    Args:
        vertices: (V, 3) camera coordinates, y down.
        faces: (F, 3) counter-clockwise seen from outside.
        image_size: width, height in pixels.
        background: one colour, or a picture (height, width, 3) uint8 to draw on; it is not changed.
        color: of the surface, in [0, 1], one or (V, 3).
        samples: n takes n x n samples a pixel, for smooth outlines.
    """
    width, height = image_size
    background = np.asarray(background)
    if background.ndim == 1:
        background = np.tile(np.round(255 * background).astype(np.uint8), (height, width, 1))
    if background.shape != (height, width, 3) or background.dtype != np.uint8:
        found = f"{background.dtype} {background.shape}"
        raise ValueError(f"background is {found}, expected uint8 {(height, width, 3)} or one colour in [0, 1]")
    fine_camera = camera._replace(centre_px=(camera.centre_px[0] * samples, camera.centre_px[1] * samples))
    if isinstance(camera, Perspective):
        fine_camera = fine_camera._replace(focal_px=camera.focal_px * samples)
    else:
        fine_camera = fine_camera._replace(scale_px=camera.scale_px * samples)
    seen = rasterize(vertices, faces, fine_camera, (width * samples, height * samples))

    corners = faces[seen.faces]
    normals = _interpolate(vertex_normals(vertices, faces), corners, seen.shares)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    colors = np.asarray(color, dtype=np.float64)
    if colors.ndim == 2:
        colors = _interpolate(colors, corners, seen.shares)
    shaded = _shade(normals, colors)

    row, column = np.divmod(seen.pixels, width * samples)
    pixels, place = np.unique(row // samples * width + column // samples, return_inverse=True)
    drawn = np.stack([np.bincount(place, channel, len(pixels)) for channel in shaded.T], axis=1) / samples**2
    coverage = np.bincount(place, minlength=len(pixels))[:, None] / samples**2
    picture = background.reshape(-1, 3).copy()
    picture[pixels] = np.round(255 * drawn + (1 - coverage) * picture[pixels])
    return picture.reshape(height, width, 3)
