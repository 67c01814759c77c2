"""Everybody in a video: looked for now and then, followed from frame to frame in between."""

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kinemesh.detect.regions import Region
from kinemesh.geometry.keypoints import box_overlap

# So often everybody is looked for; in between people are where they just were.
_SEARCHED_EVERY_S = 0.5
# Who is lost but has not left the picture is looked for at once, so often and for so long, until somebody new is found: who
# jumps or turns over is seen again some frames later. Each time uses up so much of a store that time fills, and that
# holds no more than so much: where people are lost again and again the usual searches are enough.
_MISSED_EVERY_S, _MISSED_FOR_S = 0.1, 1.0
_MISSED_COST_S, _MOST_STORED_S = 0.2, 2.0
_RIM = 0.1  # who was so near the picture's rim, in parts of the region, has left it
# Two regions are one person's whose middles are so near, in parts of the larger, and which are as large but for a factor.
_SAME_PLACE, _SAME_SIZE = 0.12, 2.0
# So are two people whose joints are so near, in parts of the region, or whose boxes overlap so much.
_SAME_JOINTS, _SAME_BOX = 0.06, 0.6
# Of the two the larger and surer is kept; who was there before counts so much more, since a second guess is often the worse.
_KNOWN = 1.3
# Somebody so much smaller than another, and with so much inside the other's box, is that one's face or arms. Joints do
# not reach to the top of the head: the box is so much larger than theirs.
_PART_SIZE, _PART_INSIDE, _PART_BORDER = 0.5, 0.8, 0.15
_GHOST_S = 0.3


class Seen(NamedTuple):
    """A person in one frame."""

    joints_px: np.ndarray  # (J, 3) x, y, confidence
    following: Region  # where the next frame shows this person
    presence: float  # how sure it is that somebody is there, in [0, 1]


class Eyes(NamedTuple):
    """A detector as two functions of a picture (H, W, 3) uint8."""

    find: Callable[[np.ndarray], list[Region]]  # where people may be, the surest first
    look: Callable[[np.ndarray, list[Region]], list[Seen]]  # what each region shows
    # Somebody new must be surer than who was there a frame before.
    least_presence: float
    least_presence_of_new: float


class State(NamedTuple):
    """What the search knows after a frame, beside its people."""

    regions: list[Region]  # where the next frame shows each of them
    since: int  # frames since everybody was looked for
    sought_for: int  # frames for which somebody lost will be looked for
    stored: int  # frames of the store for that
    count: int  # people so far


class Frame(NamedTuple):
    """The P people of one frame."""

    tracks: list[int]  # numbers that people keep from frame to frame
    joints_px: list[np.ndarray]  # (J, 3) each
    state: State | None = None  # None: nothing can go on from here


def follow_people(
    pictures: Iterable[np.ndarray], fps: float, after: Frame | None = None, *, eyes: Eyes
) -> Iterator[Frame]:
    """The people of each picture of a video; `after` is what was found in the one before the first."""
    every, soon, long, cost, most = (
        max(1, round(fps * time_s))
        for time_s in (_SEARCHED_EVERY_S, _MISSED_EVERY_S, _MISSED_FOR_S, _MISSED_COST_S, _MOST_STORED_S)
    )
    seen: dict[int, Seen] = {}
    since, sought_for, stored, count = every, 0, most, 0
    if after is not None and after.state is not None:
        regions, since, sought_for, stored, count = after.state
        people = zip(after.tracks, after.joints_px, regions, strict=True)
        seen = {track: Seen(joints_px, region, 1.0) for track, joints_px, region in people}
    for picture in pictures:
        followed = eyes.look(picture, [person.following for person in seen.values()])
        people = {
            track: person
            for track, person in zip(seen, followed, strict=True)
            if person.presence >= eyes.least_presence and _is_region(person.following)
        }
        since, stored, sought_for = since + 1, min(stored + 1, most), max(sought_for - 1, 0)
        if any(_is_inside(person.following, picture) for track, person in seen.items() if track not in people):
            sought_for = long
        is_missed = sought_for > 0 and since >= soon and stored >= cost
        if since >= every or is_missed:
            stored -= cost * (since < every)
            since = 0
            regions = _distinct_regions(eyes.find(picture), [person.following for person in people.values()])
            for person in eyes.look(picture, regions):
                if person.presence >= eyes.least_presence_of_new and _is_region(person.following):
                    people[count] = person
                    count += 1
        known, seen = seen, _distinct(people, known=seen)
        if seen.keys() - known:
            sought_for = 0
        state = State([person.following for person in seen.values()], since, sought_for, stored, count)
        yield Frame(list(seen), [person.joints_px for person in seen.values()], state)


def _is_inside(region: Region, picture: np.ndarray) -> bool:
    (x, y), (height, width), rim = region.centre_px, picture.shape[:2], _RIM * region.side_px
    return rim < x < width - rim and rim < y < height - rim


def without_ghosts(found: Sequence[Frame], fps: float) -> list[Frame]:
    """Without who is there for a moment, and all that time within the box of somebody who is there for longer."""
    lasted = Counter(track for frame in found for track in frame.tracks)
    ghosts = {track for track, count in lasted.items() if count < _GHOST_S * fps}
    longer = lasted.keys() - ghosts
    for frame in found:
        people = list(zip(frame.tracks, frame.joints_px, strict=True))
        others = [joints for track, joints in people if track in longer]
        for track, joints in people:
            if track in ghosts and not any(_is_within(joints, other) for other in others):
                ghosts.discard(track)
    kept = []
    for frame in found:
        places = [place for place, track in enumerate(frame.tracks) if track not in ghosts]
        kept.append(Frame([frame.tracks[place] for place in places], [frame.joints_px[place] for place in places]))
    return kept


def _distinct_regions(regions: list[Region], known: list[Region]) -> list[Region]:
    """Each region once, and none of `known`."""
    new: list[Region] = []
    for region in filter(_is_region, regions):
        if not any(_is_same_region(region, other) for other in (*known, *new)):
            new.append(region)
    return new


def _is_region(region: Region) -> bool:
    return all(map(math.isfinite, (*region.centre_px, region.angle))) and 1 <= region.side_px < math.inf


def _is_same_region(one: Region, other: Region) -> bool:
    large, small = max(one.side_px, other.side_px), min(one.side_px, other.side_px)
    return math.dist(one.centre_px, other.centre_px) < _SAME_PLACE * large and large < _SAME_SIZE * small


def _distinct(people: dict[int, Seen], known: Container[int]) -> dict[int, Seen]:
    """Without those who lie on somebody larger and surer, or are a part of somebody; the others in their order."""

    def weight(track: int) -> float:
        person = people[track]
        # Not the region: that is a guess, and largest where nothing fits.
        return float(person.joints_px[:, 2].mean() * _extent(person.joints_px)) * (_KNOWN if track in known else 1)

    kept: list[int] = []
    for track in sorted(people, key=weight, reverse=True):
        others = [people[other] for other in kept]
        if not any(_are_same(people[track], other) or _is_part(people[track], other) for other in others):
            kept.append(track)
    return {track: people[track] for track in sorted(kept)}


def _are_same(one: Seen, other: Seen) -> bool:
    distance = float(np.median(np.linalg.norm(one.joints_px[:, :2] - other.joints_px[:, :2], axis=1)))
    is_near = distance < _SAME_JOINTS * min(one.following.side_px, other.following.side_px)
    return is_near or bool(box_overlap(_box(one.joints_px), _box(other.joints_px)) > _SAME_BOX)


def _is_part(one: Seen, other: Seen) -> bool:
    is_smaller = _extent(one.joints_px) < _PART_SIZE * _extent(other.joints_px)
    return bool(is_smaller) and _is_within(one.joints_px, other.joints_px)


def _is_within(joints_px: np.ndarray, other_px: np.ndarray) -> bool:
    (low, high), (other_low, other_high) = (np.split(_box(joints), 2) for joints in (joints_px, other_px))
    border = _PART_BORDER * _extent(other_px)
    shared = (np.minimum(high, other_high + border) - np.maximum(low, other_low - border)).clip(0).prod()
    return bool(shared > _PART_INSIDE * (high - low).prod())


def _extent(joints_px: np.ndarray) -> np.float32:
    """The longer side of their box."""
    return np.ptp(joints_px[:, :2], axis=0).max()


def _box(joints_px: np.ndarray) -> np.ndarray:
    """(4,) low x, y, high x, y."""
    return np.concatenate((joints_px[:, :2].min(axis=0), joints_px[:, :2].max(axis=0)))
