"""Thins a closed triangle mesh by half-edge collapses, so that the vertices left are a subset of those given.

Being a subset they keep their skinning weights and shape offsets exactly. The cost is the quadric error of Garland and
Heckbert, Surface Simplification Using Quadric Error Metrics, 1997. Many costs of a nearly symmetric body tie, so plain
Python floats are used throughout: no BLAS, whose rounding differs between CPUs and would decide otherwise.
"""

import heapq
import math

import numpy as np

SHORT_EDGE_WEIGHT = 2e-3
LEAST_NORMAL_COSINE = 0.2
LEAST_SHAPE = 0.08  # twice the area over the longest edge squared: a sliver's is near 0
POSITION_STEP_M = 1e-7

Vector = tuple[float, float, float]


def _minus(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


class _Mesh:
    """A mesh under collapse: each vertex's faces, quadric and mass."""

    def __init__(self, positions: np.ndarray, faces: np.ndarray, face_weights: np.ndarray):
        self.positions: list[Vector] = [tuple(point) for point in positions.tolist()]
        self.faces: list[list[int] | None] = faces.tolist()
        self.faces_of: list[set[int]] = [set() for _ in self.positions]
        self.quadrics = [[0.0] * 10 for _ in self.positions]
        self.masses = [0.0] * len(self.positions)
        self.versions = [0] * len(self.positions)  # raised whenever a vertex's queued costs go stale
        for number, (face, weight) in enumerate(zip(self.faces, face_weights.tolist(), strict=True)):
            self._add_plane(number, face, weight)

    def _add_plane(self, number: int, face: list[int], weight: float) -> None:
        origin, second, third = (self.positions[vertex] for vertex in face)
        normal = _cross(_minus(second, origin), _minus(third, origin))
        double_area = math.sqrt(_dot(normal, normal))
        a, b, c = (value / max(double_area, 1e-20) for value in normal)
        d = -_dot((a, b, c), origin)
        mass = double_area * weight
        plane = (a * a, a * b, a * c, a * d, b * b, b * c, b * d, c * c, c * d, d * d)
        for vertex in face:
            self.faces_of[vertex].add(number)
            self.quadrics[vertex] = [q + mass * p for q, p in zip(self.quadrics[vertex], plane, strict=True)]
            self.masses[vertex] += mass / 3

    def neighbours(self, vertex: int) -> set[int]:
        return {other for number in self.faces_of[vertex] for other in self.faces[number]} - {vertex}

    def cost(self, gone: int, target: int) -> float:
        """Squared distance of `target` from the planes of both, and a little for a long edge, to keep an even mesh."""
        x, y, z = self.positions[target]
        aa, ab, ac, ad, bb, bc, bd, cc, cd, dd = (
            p + q for p, q in zip(self.quadrics[gone], self.quadrics[target], strict=True)
        )
        error = (
            x * (aa * x + 2 * (ab * y + ac * z + ad)) + y * (bb * y + 2 * (bc * z + bd)) + z * (cc * z + 2 * cd) + dd
        )
        edge = _minus(self.positions[gone], self.positions[target])
        return error + SHORT_EDGE_WEIGHT * _dot(edge, edge) * self.masses[gone]

    def _stays_well_shaped(self, face: list[int], gone: int, target: int) -> bool:
        before = [self.positions[vertex] for vertex in face]
        after = [self.positions[target if vertex == gone else vertex] for vertex in face]
        old = _cross(_minus(before[1], before[0]), _minus(before[2], before[0]))
        sides = [_minus(after[1], after[0]), _minus(after[2], after[1]), _minus(after[0], after[2])]
        new = _cross(sides[0], _minus(after[2], after[0]))
        double_area = math.sqrt(_dot(new, new))
        if double_area < 1e-12 or _dot(old, new) < LEAST_NORMAL_COSINE * math.sqrt(_dot(old, old)) * double_area:
            return False
        return double_area >= LEAST_SHAPE * max(_dot(side, side) for side in sides)

    def may_collapse(self, gone: int, target: int) -> bool:
        """Whether the surface stays a closed one without folds or slivers."""
        if len(self.neighbours(gone) & self.neighbours(target)) != 2:
            return False
        shared = self.faces_of[gone] & self.faces_of[target]
        if len(shared) != 2:
            return False
        return all(self._stays_well_shaped(self.faces[n], gone, target) for n in self.faces_of[gone] - shared)

    def collapse(self, gone: int, target: int) -> set[int]:
        """Merge `gone` into `target`; returns the vertices whose costs changed."""
        for number in self.faces_of[gone]:
            face = self.faces[number]
            if target in face:
                for vertex in face:
                    if vertex != gone:
                        self.faces_of[vertex].discard(number)
                self.faces[number] = None
            else:
                self.faces[number] = [target if vertex == gone else vertex for vertex in face]
                self.faces_of[target].add(number)
        self.faces_of[gone] = set()
        self.quadrics[target] = [p + q for p, q in zip(self.quadrics[target], self.quadrics[gone], strict=True)]
        self.masses[target] += self.masses[gone]
        changed = self.neighbours(target) | {target}
        for vertex in (*changed, gone):
            self.versions[vertex] += 1
        return changed


def decimate(
    positions: np.ndarray, faces: np.ndarray, target_count: int, face_weights: np.ndarray, locked: set[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices kept (target_count,), ascending, and faces (., 3) that number among the input's vertices.

    Args:
        positions: (S, 3) m; those in no face are ignored.
        faces: (F, 3) of a closed mesh.
        face_weights: (F,) how much a face's shape matters.
        locked: vertices that must be kept.
    """
    mesh = _Mesh(np.round(positions / POSITION_STEP_M) * POSITION_STEP_M, faces, face_weights)
    queue = []

    def enqueue(vertex: int) -> None:
        if vertex in locked:
            return
        for other in sorted(mesh.neighbours(vertex)):
            versions = mesh.versions[vertex], mesh.versions[other]
            heapq.heappush(queue, (mesh.cost(vertex, other), vertex, other, versions))

    remaining = set(np.unique(faces).tolist())
    for vertex in sorted(remaining):
        enqueue(vertex)
    while len(remaining) > target_count:
        if not queue:
            raise RuntimeError(f"no edge is left to collapse at {len(remaining)} vertices, {target_count} wanted")
        _, gone, target, versions = heapq.heappop(queue)
        if versions != (mesh.versions[gone], mesh.versions[target]) or not mesh.may_collapse(gone, target):
            continue
        changed = mesh.collapse(gone, target)
        remaining.remove(gone)
        for vertex in sorted(changed):
            enqueue(vertex)
    return np.array(sorted(remaining)), np.array([face for face in mesh.faces if face is not None])
