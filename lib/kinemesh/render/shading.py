"""Light on a surface: normals, and the brightness of a matt surface under fixed lights.

Axes are those of the camera: x right, y down, z away from it.
"""

import numpy as np

# Directions towards the lights: one from above the camera's left shoulder, a weaker one from the right.
_KEY_LIGHT = np.array([-0.45, -0.60, -0.66])
_FILL_LIGHT = np.array([0.85, 0.05, -0.50])
_AMBIENT, _KEY, _FILL, _SKY = 0.32, 0.64, 0.17, 0.10


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Outward unit normals (V, 3): means of the faces around each vertex by area; 0 where a vertex has none."""
    corners = np.ascontiguousarray(faces.T)
    planes = np.ascontiguousarray(vertices.T, dtype=np.float64)
    a, b, c = (planes.take(corner, axis=1) for corner in corners)
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    summed = np.stack(
        [
            np.bincount(corners.ravel(), np.tile(normal, 3), len(vertices))
            for normal in (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
        ],
        axis=1,
        dtype=np.float64,  # of no faces, too
    )
    return summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), np.finfo(summed.dtype).tiny)


def shade(normals: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Colours (n, 3) in [0, 1] of surfaces with unit normals (n, 3) and colours (3,) or (n, 3)."""
    key_direction = _KEY_LIGHT / np.linalg.norm(_KEY_LIGHT)
    # Wrapped around by a quarter, so that the edge of the shadow is soft.
    key = np.clip((normals @ key_direction + 0.25) / 1.25, 0, 1)
    fill = np.clip(normals @ (_FILL_LIGHT / np.linalg.norm(_FILL_LIGHT)), 0, 1)
    sky = 0.5 - 0.5 * normals[:, 1]
    brightness = _AMBIENT + _KEY * key + _FILL * fill + _SKY * sky
    return np.clip(colors * brightness[:, None], 0, 1)
