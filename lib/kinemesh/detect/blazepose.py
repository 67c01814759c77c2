"""BlazePose (Bazarevsky et al., 2020): MediaPipe's person detector and its landmark network, as arithmetic on their outputs.

The detector sees people from about a sixth of its window on: it is shown the whole picture, and overlapping squares of it.
Numbers are those of MediaPipe 0.10's graphs `pose_detection_cpu` and `pose_landmark_by_roi_cpu`.
"""

import math
from collections.abc import Callable

import numpy as np

from kinemesh.detect.regions import Region, cut_out, to_picture
from kinemesh.detect.search import Eyes, Seen
from kinemesh.geometry.keypoints import box_overlap

JOINT_COUNT = 33
# The squares' sides in parts of the picture's shorter one, and how far they overlap.
_TILES, _OVERLAP = (1.0, 0.5), 0.5
_LEAST_PRESENCE, _LEAST_PRESENCE_OF_NEW = 0.5, 0.9
# The mean score of the joints of whoever is cut off by the picture's rim at the waist.
_USUALLY_SEEN = 0.5
# Beside the 33 joints, the landmark network gives where the next frame's region lies.
_MIDDLE, _RIM = 33, 34
_POINT_COUNT = 39
_SEARCH_SIDE, _LANDMARK_SIDE, _HEAT_SIDE = 224, 256, 64
_STRIDES = (8, 16, 32, 32, 32)
_ANCHORS_A_STRIDE = 2
_LEAST_BOX_SCORE = 0.5
_SAME_BOX = 0.3
_MARGIN = 1.25
# The landmark is moved to the middle of its heat in so many cells on each side, where that is hot enough.
_HEAT_REACH, _LEAST_HEAT = 3, 0.5
# Expected error of a joint in parts of the stature: so much if its score is 1, and so much more if it is 0. Measured on
# made-up films (docs/detectors.md), as the mean over joints of a score.
SURE_ERROR, DOUBT_ERROR = 0.027, 0.086

Network = Callable[[np.ndarray], list[np.ndarray]]


def anchor_centres() -> np.ndarray:
    """(2254, 2) x, y in parts of the picture, in the order of the detector's outputs."""
    centres = []
    for stride in _STRIDES:
        count = _SEARCH_SIDE // stride
        y, x = np.divmod(np.arange(count * count), count)
        centres.append(np.repeat(np.stack((x + 0.5, y + 0.5), axis=-1) / count, _ANCHORS_A_STRIDE, axis=0))
    # Grids of one stride stand side by side cell by cell.
    coarse = [np.concatenate(cells) for cells in zip(*(np.split(grid, 49) for grid in centres[2:]), strict=True)]
    return np.concatenate((*centres[:2], *coarse))


_ANCHORS = anchor_centres()


def blazepose(searcher: Network, landmarker: Network) -> Eyes:
    """The two networks as one detector."""

    def find(picture: np.ndarray) -> list[Region]:
        windows = search_windows(picture.shape[1::-1])
        found = [one for window in windows for one in find_regions(picture, window, searcher)]
        return [region for region, _ in sorted(found, key=lambda one: -one[1])]

    def look(picture: np.ndarray, regions: list[Region]) -> list[Seen]:
        return [read_landmarks(picture, region, landmarker) for region in regions]

    return Eyes(find, look, _LEAST_PRESENCE, _LEAST_PRESENCE_OF_NEW)


def search_windows(image_size: tuple[int, int]) -> list[Region]:
    """Squares of the picture in which people of any size are some sixth of one or more."""
    width, height = image_size
    windows = [Region((width / 2, height / 2), float(max(width, height)))]
    for part in _TILES:
        side = part * min(width, height)
        if side < windows[0].side_px:
            across, down = (_starts(length, side) for length in image_size)
            windows += [Region((x + side / 2, y + side / 2), side) for y in down for x in across]
    return windows


def _starts(length: float, side: float) -> np.ndarray:
    count = 1 + math.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-6)
    return np.linspace(0, length - side, count)


def find_regions(picture: np.ndarray, window: Region, network: Network) -> list[tuple[Region, float]]:
    """Where people are in a window of a picture, upright squares around the whole body, and how sure that is."""
    pixels = cut_out(picture, window, (_SEARCH_SIDE, _SEARCH_SIDE)).astype(np.float32) / 127.5 - 1
    boxes, scores = network(pixels[None])
    boxes, points = _decode(boxes[0])
    scores = _sigmoid(scores[0, :, 0])
    return [(region_of_points(*to_picture(both, window)), score) for both, score in _suppress(boxes, points, scores)]


def _decode(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (A, 4) low x, y, high x, y and the two alignment points (A, 2, 2), in parts of the window."""
    values = raw.reshape(-1, 6, 2) / _SEARCH_SIDE
    centre, size = values[:, 0] + _ANCHORS, values[:, 1]
    return np.concatenate((centre - size / 2, centre + size / 2), axis=1), values[:, 2:4] + _ANCHORS[:, None]


def _suppress(boxes: np.ndarray, points: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Of boxes that overlap the surest, its points the mean of theirs weighted by scores: blazing non-maximum suppression."""
    left = np.flatnonzero(scores >= _LEAST_BOX_SCORE)
    left = left[np.argsort(-scores[left], kind="stable")]
    found = []
    while len(left):
        overlap = box_overlap(boxes[left[0]], boxes[left])
        own = left[overlap > _SAME_BOX]
        if not len(own):  # a box of no area
            own = left[:1]
        weight = scores[own] / scores[own].sum()
        found.append((np.einsum("n,npk->pk", weight, points[own]), float(scores[left[0]])))
        left = left[~np.isin(left, own)]
    return found


def region_of_points(middle_px: np.ndarray, rim_px: np.ndarray) -> Region:
    """The square around a circle through `rim_px`, and some more, turned so that the rim's point is above the middle."""
    x, y = rim_px - middle_px
    return Region((float(middle_px[0]), float(middle_px[1])), 2 * _MARGIN * math.hypot(x, y), math.atan2(x, -y))


def read_landmarks(picture: np.ndarray, region: Region, network: Network) -> Seen:
    """The person in a region, with the 33 joints."""
    pixels = cut_out(picture, region, (_LANDMARK_SIDE, _LANDMARK_SIDE)).astype(np.float32) / 255
    flat, presence, heat = network(pixels[None])
    values = flat.reshape(_POINT_COUNT, 5)
    points = _to_hottest(values[:, :2] / _LANDMARK_SIDE, heat[0])
    points_px = to_picture(points, region)
    # Visible, and inside the picture: the network says both.
    score = _sigmoid(values[:, 3:5]).min(axis=1)
    joints = np.concatenate((points_px, calibrated(score)[:, None]), axis=1)[:JOINT_COUNT]
    following = region_of_points(points_px[_MIDDLE], points_px[_RIM])
    # In patterns it is sure of people of whom it sees nothing.
    seen = min(1.0, float(score[:JOINT_COUNT].mean()) / _USUALLY_SEEN)
    return Seen(joints.astype(np.float32), following, float(presence.ravel()[0]) * seen)


def calibrated(score: np.ndarray) -> np.ndarray:
    """Scores as confidences whose inverse is the expected error, in that of a joint that is surely seen."""
    return SURE_ERROR / (SURE_ERROR + DOUBT_ERROR * (1 - score))


def _to_hottest(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Points (39, 2) moved to the middle of their heat (64, 64, 39) around them."""
    moved = points.copy()
    for number, (x, y) in enumerate((points * _HEAT_SIDE).astype(int)):
        if not (0 <= x < _HEAT_SIDE and 0 <= y < _HEAT_SIDE):
            continue
        low_x, low_y = max(0, x - _HEAT_REACH), max(0, y - _HEAT_REACH)
        near = _sigmoid(heat[low_y : y + _HEAT_REACH + 1, low_x : x + _HEAT_REACH + 1, number])
        if near.max() >= _LEAST_HEAT:
            rows, columns = near.sum(axis=1), near.sum(axis=0)
            moved[number] = (
                (columns @ np.arange(low_x, low_x + len(columns))) / near.sum() / _HEAT_SIDE,
                (rows @ np.arange(low_y, low_y + len(rows))) / near.sum() / _HEAT_SIDE,
            )
    return moved


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -60.0, 60.0)))
