"""Which frame an image is: by its name or number, whoever wrote it."""

import numpy as np
import pytest

from kinemesh.keypoints import Reading, read_keypoints
from tests.refusals import refuses

HASH = "rf.0a1b2c3d4e5f"


@pytest.fixture
def frames_of(write_json, flat_points):
    """Frames that images called so are, and whether they are separate."""

    def read(names: list, **reading):
        items = [{"image_id": name, "keypoints": flat_points(17, seed)} for seed, name in enumerate(names)]
        detections = read_keypoints(write_json(items), Reading(**reading))
        return detections.frame.tolist(), detections.are_images

    return read


@pytest.mark.parametrize(
    ("names", "frames"),
    [
        (["1.jpg", "5.jpg"], [1, 5]),  # AlphaPose's own names of a video's frames
        (["000001.jpg", "000005.jpg"], [0, 4]),  # ffmpeg's
        (["a/frame_1.png", "a/frame_5.png"], [0, 4]),
        (["000000.jpg", "000005.jpg"], [0, 5]),
        ([1, 5], [1, 5]),
        ([0.0, 5.0], [0, 5]),
        (["000005.jpg", "000009.jpg"], [4, 8]),  # nobody in the first four
        (["5.jpg", "9.jpg"], [5, 9]),
        (["frame (1).jpg", "frame (2).jpg"], [0, 1]),
        ([f"frame_0001_jpg.{HASH}.jpg", f"frame_0002_jpg.{HASH[:-1]}9.jpg"], [0, 1]),
        ([f"v-0_jpg.{HASH}.jpg", f"v-7_jpg.{HASH}.jpg"], [0, 7]),
        (["cam01_000000.jpg", "cam01_000003.jpg"], [0, 3]),
        (["2024_0001_left.png", "2024_0002_left.png"], [0, 1]),
        (["20240131123456.jpg", "20240131123457.jpg"], [0, 1]),  # 14 digits
    ],
)
def test_how_images_are_counted(frames_of, names, frames):
    assert frames_of(names) == (frames, False)


@pytest.mark.parametrize(
    ("names", "reading", "frames"),
    [
        (["000005.jpg", "000009.jpg"], {"first_frame": 0}, [5, 9]),
        (["5.jpg", "9.jpg"], {"first_frame": 1}, [4, 8]),
        (["5.jpg", "12.jpg"], {"frame_count": 12}, [4, 11]),  # a frame 12 there would not be, counted from 0
        (["5.jpg", "11.jpg"], {"frame_count": 12}, [5, 11]),
        ([0, 60_000], {"frame_count": 60_001}, [0, 60_000]),  # far apart, but of a video
    ],
)
def test_the_video_or_the_user_decides_what_names_leave_open(frames_of, names, reading, frames):
    assert frames_of(names, **reading) == (frames, False)


def test_the_user_cannot_count_from_1_what_has_a_0(frames_of):
    refuses("has an image numbered 0, but --first_frame 1", frames_of, [0, 1], first_frame=1)


@pytest.mark.parametrize("names", [[139, 581_781], ["000000000139.jpg", "000000581781.jpg"], ["anna.jpg", "bob.jpg"]])
def test_images_far_apart_or_of_any_name_are_separate(write_json, flat_points, names):
    people = [names[0], names[0], names[1]]
    items = [{"image_id": name, "keypoints": flat_points(17, seed)} for seed, name in enumerate(people)]
    detections = read_keypoints(write_json(items))
    assert detections.are_images
    first, second = (str(name).removesuffix(".jpg") for name in names)
    assert detections.person.tolist() == [f"{first}_0", f"{first}_1", second]


def test_images_of_two_videos_are_an_error_unless_one_is_chosen(write_json, flat_points):
    names = [f"{video}/{number:03d}.jpg" for video in "ab" for number in range(3)]
    items = [{"image_id": name, "keypoints": flat_points(17, seed)} for seed, name in enumerate(names)]
    path = write_json(items)
    refuses("images of 2 videos, 'a', 'b'.*keypoints.json/a", read_keypoints, path)
    detections = read_keypoints(path / "b")
    assert detections.frame.tolist() == [0, 1, 2]
    np.testing.assert_allclose(detections.keypoints_px[0].ravel(), flat_points(17, 3), rtol=1e-6)


@pytest.mark.parametrize("name", [-1, 10**16, True, None, 0.5, "", ["a"], float("nan")])
def test_what_is_no_image_is_named(frames_of, name):
    refuses("an image is called", frames_of, [3, name])
