"""Where the joints of a BVH file are, and how they are turned, frame by frame."""

import numpy as np

from kinemesh.prepare.bvh.text import Bvh

_AXES = ((1, 2), (2, 0), (0, 1))  # of the two axes that a rotation about x, y, z turns


class Chain:
    """A file's joints that matter, posed for any of its frames."""

    def __init__(self, bvh: Bvh, wanted: list[int]):
        self.bvh = bvh
        needed = set()
        for place in wanted:
            while place >= 0 and place not in needed:
                needed.add(place)
                place = bvh.parents[place]
        self._order = sorted(needed)  # parents stand before their children
        self._replaces = {place: self._replaces_offset(place) for place in self._order}

    def _replaces_offset(self, place: int) -> bool:
        """Whether a joint's position channels are its place in its parent, not what is added to its OFFSET.

        Programs do either, and the file does not say: in the first case the numbers are near the OFFSET, in the other
        near 0. The root's place is its channels', as they are where the OFFSET is a mere copy.
        """
        positions = self._positions(place, slice(None, None, max(1, len(self.bvh.values) // 200)))
        offset = self.bvh.offsets[place]
        if positions is None or self.bvh.parents[place] < 0:
            return positions is not None
        middle = np.median(positions, axis=0)
        return bool(np.linalg.norm(middle - offset) <= np.linalg.norm(middle))

    def _positions(self, place: int, rows: slice) -> np.ndarray | None:
        """(n, 3) of a joint's position channels; None without any."""
        first, channels = self.bvh.first_channels[place], self.bvh.channels[place]
        if not any(kind == "position" for kind, _ in channels):
            return None
        out = np.zeros((len(self.bvh.values[rows]), 3))
        for column, (kind, axis) in enumerate(channels, start=first):
            if kind == "position":
                out[:, axis] = self.bvh.values[rows, column]
        return out

    def pose(self, rows: slice) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """Of each joint its rotation relative to the world (n, 3, 3), and its place (n, 3) in the file's units."""
        turned, places = {}, {}
        for joint in self._order:
            offset, own = self._offset(joint, rows), self._rotation(joint, rows)
            parent = self.bvh.parents[joint]
            if parent < 0:
                turned[joint], places[joint] = own, offset
            else:
                turned[joint] = turned[parent] @ own
                places[joint] = places[parent] + (turned[parent] @ offset[..., None])[..., 0]
        return turned, places

    def _offset(self, joint: int, rows: slice) -> np.ndarray:
        positions = self._positions(joint, rows)
        if positions is None:
            return np.broadcast_to(self.bvh.offsets[joint], (len(self.bvh.values[rows]), 3))
        return positions if self._replaces[joint] else positions + self.bvh.offsets[joint]

    def _rotation(self, joint: int, rows: slice) -> np.ndarray:
        """(n, 3, 3): one rotation for each channel, multiplied in the order in which the channels stand."""
        first = self.bvh.first_channels[joint]
        out = np.broadcast_to(np.eye(3), (len(self.bvh.values[rows]), 3, 3))
        for column, (kind, axis) in enumerate(self.bvh.channels[joint], start=first):
            if kind == "rotation":
                out = out @ rotations_about(axis, np.radians(self.bvh.values[rows, column]))
        return out


def rotations_about(axis: int, radians: np.ndarray) -> np.ndarray:
    """(n, 3, 3) rotations about the axis 0, 1 or 2."""
    one, other = _AXES[axis]
    out = np.zeros((len(radians), 3, 3))
    out[:, axis, axis] = 1.0
    out[:, one, one] = out[:, other, other] = np.cos(radians)
    out[:, other, one] = np.sin(radians)
    out[:, one, other] = -out[:, other, one]
    return out


def rest_places(bvh: Bvh) -> np.ndarray:
    """(n, 3) joints at rest, all channels 0, the root at 0."""
    out = np.zeros_like(bvh.offsets)
    for joint, parent in enumerate(bvh.parents):
        if parent >= 0:
            out[joint] = out[parent] + bvh.offsets[joint]
    return out
