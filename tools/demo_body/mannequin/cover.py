"""A thin plate over chosen regions of the body: it bends as little as it can, through what is held.

Energy and cotangent weights: Botsch and Kobbelt, An Intuitive Framework for Real-Time Freeform Modeling, 2004.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import splu

SHARP_M = 0.01  # outside all regions: smaller than a triangle, so that nothing changes
INNER_SHARE = 0.5  # of a region's radii, within which it is as smooth as it gets
FLATTEST, STEEPEST = 0.02, 20.0  # cotangents beyond are those of slivers
LEAST_AREA_M2 = 1e-6


class Region(NamedTuple):
    """An ellipsoid of the T-posed template, and its mirror image."""

    centre_m: tuple[float, float, float]  # x on the body's left
    radii_m: tuple[float, float, float]
    wavelength_m: float  # of the largest features that go


REGIONS = (
    Region((0.085, 0.565, -0.010), (0.030, 0.060, 0.050), 0.06),  # ears
    Region((0.00, 0.160, 0.100), (0.280, 0.260, 0.160), 0.6),  # chest
    Region((0.00, 0.000, 0.100), (0.150, 0.180, 0.080), 0.4),  # belly
    Region((0.00, -0.190, 0.000), (0.110, 0.110, 0.170), 0.5),  # crotch
    Region((0.00, -0.130, -0.130), (0.190, 0.150, 0.090), 0.3),  # buttocks
    Region((0.00, -0.120, -0.120), (0.080, 0.160, 0.080), 1.0),  # between them
)


def smooth_step(share: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, level at both."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


class Plate:
    """Made for one template; `relaxed` then takes any body of its topology, and is linear in it."""

    def __init__(self, template: np.ndarray, faces: np.ndarray, held: np.ndarray):
        wavelengths_m = _wavelengths_m(template)
        is_free = ~held & (wavelengths_m > 1.01 * SHARP_M)
        self.free, self.others = np.flatnonzero(is_free), np.flatnonzero(~is_free)
        laplacian, areas_m2 = _laplacian(template, faces)
        bending = (laplacian.T @ scipy.sparse.diags(1 / areas_m2) @ laplacian).tocsr()[self.free]
        # Against a wave of this length, bending and being drawn back to the old place are equally strong.
        self.stiffness = (areas_m2 * (2 * np.pi / wavelengths_m) ** 4)[self.free, None]
        self.to_others = bending[:, self.others]
        self.solver = splu((bending[:, self.free] + scipy.sparse.diags(self.stiffness[:, 0])).tocsc())

    def relaxed(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) with the free vertices where the plate comes to rest."""
        pull = self.stiffness * vertices[self.free] - self.to_others @ vertices[self.others]
        result = vertices.copy()
        result[self.free] = self.solver.solve(pull)
        return result


def _wavelengths_m(template: np.ndarray) -> np.ndarray:
    """(V,) the longest of all regions', blended by its logarithm."""
    folded = np.concatenate([np.abs(template[:, :1]), template[:, 1:]], axis=1)
    longest = np.zeros(len(template))
    for region in REGIONS:
        distance = np.linalg.norm((folded - region.centre_m) / np.array(region.radii_m), axis=1)
        inside = 1 - smooth_step((distance - INNER_SHARE) / (1 - INNER_SHARE))
        longest = np.maximum(longest, inside * np.log(region.wavelength_m / SHARP_M))
    return SHARP_M * np.exp(longest)


def _laplacian(vertices: np.ndarray, faces: np.ndarray) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """(V, V) with rows that sum to 0, and each vertex's third of the triangles around it (V,) m^2."""
    count = len(vertices)
    weights, areas = scipy.sparse.csr_matrix((count, count)), np.zeros(count)
    for corner in range(3):
        here, start, end = (faces[:, (corner + step) % 3] for step in range(3))
        to_start, to_end = vertices[start] - vertices[here], vertices[end] - vertices[here]
        double_area = np.linalg.norm(np.cross(to_start, to_end), axis=1)
        cotangent = (to_start * to_end).sum(axis=1) / np.maximum(double_area, 1e-12)
        half = np.clip(cotangent, FLATTEST, STEEPEST) / 2
        weights = weights + scipy.sparse.coo_matrix((half, (start, end)), shape=(count, count))
        areas += np.bincount(here, double_area / 6, count)
    weights = (weights + weights.T).tocsr()
    return weights - scipy.sparse.diags(np.asarray(weights.sum(axis=1)).ravel()), np.maximum(areas, LEAST_AREA_M2)
