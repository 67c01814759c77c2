"""People are found whatever their size, followed, counted once, and looked for again when they are lost."""

import numpy as np
import pytest

from kinemesh.detect.blazepose import region_of_points, search_windows
from kinemesh.detect.regions import Region
from kinemesh.detect.search import Eyes, Frame, Seen, follow_people, without_ghosts

SIZE = (640, 360)
FPS = 10.0  # everybody is looked for in every fifth frame


class Stage:
    """People by frame, (x, y of the hips, half the height), and eyes that see them."""

    def __init__(self, frames):
        self.frames, self.searches = frames, []

    def number(self, picture):
        return int(picture[0, 0, 0])

    def find(self, picture):
        self.searches.append(self.number(picture))
        return [
            region_of_points(np.array((x, y)), np.array((x, y - half)))
            for x, y, half in self.frames[self.number(picture)]
        ]

    def look(self, picture, regions):
        return [self.look_once(self.frames[self.number(picture)], region) for region in regions]

    def look_once(self, people, region):
        here = np.array(region.centre_px)
        x, y, half = min(people, key=lambda one: np.hypot(*(one[:2] - here)), default=(1e6, 1e6, 1.0))
        joints = np.ones((33, 3), dtype=np.float32)
        joints[:, 0], joints[:, 1] = x + np.linspace(-half / 3, half / 3, 33), y + np.linspace(-half, half, 33)
        is_there = np.hypot(*(here - (x, y))) < half
        return Seen(joints, region_of_points(np.array((x, y)), np.array((x, y - half))), 0.95 if is_there else 0.0)


def follow(frames):
    """What each frame shows, and the stage."""
    stage = Stage(frames)
    pictures = (np.full((SIZE[1], SIZE[0], 3), number, dtype=np.uint8) for number in range(len(frames)))
    return list(follow_people(pictures, FPS, eyes=Eyes(stage.find, stage.look, 0.5, 0.9))), stage


def test_large_and_small_people_are_found_at_once_and_followed():
    frames = [[(150.0 + 3 * n, 180.0, 150.0), (500.0 - 3 * n, 200.0, 30.0)] for n in range(12)]
    people, stage = follow(frames)
    assert [len(found.tracks) for found in people] == [2] * 12
    for found, true in zip(people, frames, strict=True):
        middles = sorted(joints[:, 0].mean() for joints in found.joints_px)
        np.testing.assert_allclose(middles, sorted(x for x, _, _ in true), atol=0.01)
        assert found.tracks == [0, 1]
    assert stage.searches == [0, 5, 10]


def test_somebody_new_is_found_in_time_and_somebody_lost_is_looked_for():
    here, there = (200.0, 180.0, 100.0), (500.0, 180.0, 100.0)
    frames = [[here]] * 2 + [[here, there]] * 5 + [[there]] * 3 + [[]] * 2 + [[here]] * 4
    people, stage = follow(frames)
    assert [len(found.tracks) for found in people] == [1] * 5 + [2] * 2 + [1] * 3 + [0] * 2 + [1] * 4
    assert [found.tracks for found in people][4:8] == [[0], [0, 1], [0, 1], [1]]
    # At once when somebody is lost, and often for a while; else every half second.
    assert stage.searches == [0, 5, 7, 8, 9, 10, 11, 12]


def test_somebody_lost_for_a_moment_is_found_again_soon_but_not_looked_for_where_people_leave():
    there, leaving = (300.0, 180.0, 100.0), [(30.0 - 12 * n, 180.0, 100.0) for n in range(4)]
    people, stage = follow([[there]] * 7 + [[]] * 2 + [[there]] * 4)
    assert [found.tracks for found in people] == [[0]] * 7 + [[]] * 2 + [[1]] * 4
    assert stage.searches == [0, 5, 7, 8, 9]
    people, stage = follow([[one] for one in leaving] + [[]] * 8)
    assert stage.searches == [0, 5, 10]


def test_who_is_lost_again_and_again_does_not_fill_the_time_with_searches():
    _, stage = follow([[(300.0, 180.0, 100.0)] * (number % 2) for number in range(200)])
    assert 200 / 5 < len(stage.searches) < 200 / 5 + 200 / 2 + 20


def test_the_same_person_twice_and_a_face_taken_for_somebody_count_once():
    whole = (300.0, 180.0, 120.0)
    people, _ = follow([[whole, (302.0, 181.0, 118.0), (300.0, 90.0, 25.0)]] * 3)
    assert [len(found.tracks) for found in people] == [1, 1, 1]
    assert people[0].joints_px[0][:, 1].max() == pytest.approx(300.0)
    people, _ = follow([[whole, (342.0, 182.0, 115.0)]] * 2)  # two side by side
    assert [len(found.tracks) for found in people] == [2, 2]


def test_windows_cover_the_picture_and_hold_a_small_person_whole():
    windows = search_windows((1920, 1080))
    assert windows[0].side_px == 1920
    rng = np.random.default_rng(0)
    for x, y in rng.uniform((135, 135), (1785, 945), (200, 2)):
        assert any(np.abs(np.array((x, y)) - w.centre_px).max() + 135 <= w.side_px / 2 + 1e-6 for w in windows[1:])
    assert len(search_windows((500, 500))) < 12


def test_it_goes_on_from_any_frame_as_if_it_had_not_stopped():
    here, there = [(200.0, 180.0, 100.0)], [(200.0, 180.0, 100.0), (500.0, 180.0, 100.0)]
    frames = [*[here] * 3, *[there] * 9, *[here] * 6]
    whole, _ = follow(frames)
    for first in range(1, len(frames)):
        stage = Stage(frames)
        pictures = (np.full((SIZE[1], SIZE[0], 3), number, dtype=np.uint8) for number in range(first, len(frames)))
        eyes = Eyes(stage.find, stage.look, 0.5, 0.9)
        for found, expected in zip(
            follow_people(pictures, FPS, whole[first - 1], eyes=eyes), whole[first:], strict=True
        ):
            assert (found.tracks, found.state) == (expected.tracks, expected.state)
            np.testing.assert_array_equal(found.joints_px, expected.joints_px)


def test_of_two_that_lie_on_one_another_the_one_that_shows_more_stays_whatever_its_region_says():
    true, guess = Region((300.0, 180.0), 240.0), Region((305.0, 190.0), 600.0)

    def look_once(region):
        height, confidence = (200.0, 0.85) if region == true else (150.0, 0.7)
        joints = np.full((33, 3), confidence, dtype=np.float32)
        joints[:, 0], joints[:, 1] = 300 + np.linspace(-40, 40, 33), 180 + np.linspace(-height / 2, height / 2, 33)
        return Seen(joints, region, 0.95)

    found = iter([[true], [guess]])
    eyes = Eyes(lambda _: next(found), lambda _, regions: list(map(look_once, regions)), 0.5, 0.9)
    pictures = [np.zeros((360, 640, 3), dtype=np.uint8)] * 8
    people = list(follow_people(pictures, FPS, eyes=eyes))
    assert [frame.tracks for frame in people] == [[0]] * 8
    assert all(np.ptp(frame.joints_px[0][:, 1]) == 200 for frame in people)


def test_who_is_there_for_a_moment_and_on_somebody_else_is_nobody():
    def joints(x, half):
        return np.stack(
            [x + np.linspace(-half / 3, half / 3, 33), 180 + np.linspace(-half, half, 33), np.ones(33)], axis=1
        )

    long, inside, aside = joints(300.0, 150.0), joints(310.0, 100.0), joints(450.0, 100.0)
    found = [Frame([0], [long]) for _ in range(30)]
    found[3:5] = [Frame([0, 1], [long, inside])] * 2
    found[8:10] = [Frame([0, 2], [long, aside])] * 2
    found[12:16] = [Frame([3, 0], [inside, long])] * 4  # for longer
    found[20:22] = [Frame([0, 4], [long, inside]), Frame([0, 4], [long, aside])]  # who comes out from behind
    kept = without_ghosts(found, FPS)
    assert [frame.tracks for frame in kept] == [[one for one in frame.tracks if one != 1] for frame in found]
    assert kept[12].joints_px[0] is inside and kept[3].joints_px[0] is long
