"""Everybody in a video by BlazePose: looked for now and then, followed from frame to frame."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from kinemesh.detect.blazepose import JOINT_COUNT, Network, find_regions, read_landmarks
from kinemesh.detect.regions import Region

# The detector sees people from about a sixth of its window on: it looks at the whole picture, and at overlapping squares
# of its shorter side and of half of that.
_TILES = (1.0, 0.5)
_OVERLAP = 0.5
# So often everybody is looked for, and as soon as somebody is lost; in between people are where they just were.
_SEARCHED_EVERY_S = 0.5
# Somebody new must be surer than who was there a frame before.
_LEAST_PRESENCE, _LEAST_PRESENCE_OF_NEW = 0.5, 0.9
# Two regions are one person's whose middles are so near, in parts of the larger, and which are as large but for a factor.
_SAME_PLACE, _SAME_SIZE = 0.12, 2.0
# So are two people whose joints are so near, in parts of the region.
_SAME_JOINTS = 0.05
# Somebody so much smaller than another, and with so much inside the other's box, is that one's face or arms. Joints do
# not reach to the top of the head: the box is so much larger than theirs.
_PART_SIZE, _PART_INSIDE, _PART_BORDER = 0.5, 0.8, 0.15


class Seen(NamedTuple):
    """A person in one frame."""

    joints_px: np.ndarray  # (33, 3)
    following: Region  # where the next frame shows this person


def follow_people(
    pictures: Iterable[np.ndarray], fps: float, searcher: Network, landmarker: Network
) -> Iterator[np.ndarray]:
    """Of each picture (H, W, 3) uint8 of a video its people's joints (P, 33, 3): x, y in pixels, confidence."""
    every = max(1, round(_SEARCHED_EVERY_S * fps))
    seen: list[Seen] = []
    since, was_lost = every, False
    for picture in pictures:
        followed = [_look(picture, person.following, landmarker, _LEAST_PRESENCE) for person in seen]
        is_lost = None in followed
        people = [person for person in followed if person is not None]
        since += 1
        # Nobody there any more is noticed once, not in every frame from then on.
        if since >= every or (is_lost and not was_lost):
            since = 0
            for region in _search(picture, searcher):
                if not any(_is_same_region(region, person.following) for person in people):
                    new = _look(picture, region, landmarker, _LEAST_PRESENCE_OF_NEW)
                    people += [] if new is None else [new]
        was_lost = is_lost
        seen = _distinct(people)
        yield np.stack([p.joints_px for p in seen]) if seen else np.zeros((0, JOINT_COUNT, 3), dtype=np.float32)


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


def _search(picture: np.ndarray, searcher: Network) -> list[Region]:
    """Where people may be, the surest first, each once."""
    height, width = picture.shape[:2]
    found = [one for window in search_windows((width, height)) for one in find_regions(picture, window, searcher)]
    regions: list[Region] = []
    for region, _ in sorted(found, key=lambda one: -one[1]):
        if not any(_is_same_region(region, other) for other in regions):
            regions.append(region)
    return regions


def _look(picture: np.ndarray, region: Region, landmarker: Network, least_presence: float) -> Seen | None:
    """The person in a region, None if there is none."""
    if not math.isfinite(region.side_px) or region.side_px < 1:
        return None
    joints_px, following, presence = read_landmarks(picture, region, landmarker)
    return Seen(joints_px, following) if presence >= least_presence else None


def _is_same_region(one: Region, other: Region) -> bool:
    large, small = max(one.side_px, other.side_px), min(one.side_px, other.side_px)
    return math.dist(one.centre_px, other.centre_px) < _SAME_PLACE * large and large < _SAME_SIZE * small


def _distinct(people: list[Seen]) -> list[Seen]:
    """Without those who lie on somebody larger and surer, or are a part of somebody."""
    kept: list[Seen] = []
    for person in sorted(people, key=lambda one: -one.joints_px[:, 2].mean() * one.following.side_px):
        if not any(_are_same(person, other) or _is_part(person, other) for other in kept):
            kept.append(person)
    return kept


def _are_same(one: Seen, other: Seen) -> bool:
    distance = np.linalg.norm(one.joints_px[:, :2] - other.joints_px[:, :2], axis=1)
    return float(np.median(distance)) < _SAME_JOINTS * min(one.following.side_px, other.following.side_px)


def _is_part(one: Seen, other: Seen) -> bool:
    (low, high), (other_low, other_high) = (
        (person.joints_px[:, :2].min(axis=0), person.joints_px[:, :2].max(axis=0)) for person in (one, other)
    )
    size, border = (other_high - other_low).max(), _PART_BORDER * (other_high - other_low).max()
    shared = (np.minimum(high, other_high + border) - np.maximum(low, other_low - border)).clip(0).prod()
    return bool((high - low).max() < _PART_SIZE * size and shared > _PART_INSIDE * (high - low).prod())
