"""What keypoints are of: clocks of videos, keypoints of another rate, parts of a video."""

from pathlib import Path

import numpy as np
import pytest

from kinemesh.keypoints import Detections
from kinemesh.program.wild.video import Source, check_frames, chosen_part, open_source
from tests.refusals import refused, refuses
from tests.render.clips import encode, numbered_frames


def detections_until(last):
    frame = np.arange(last + 1)
    return Detections(frame, np.full(len(frame), "0"), np.ones((len(frame), 17, 3), np.float32))


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """60 frames, 60 a second."""
    path = tmp_path_factory.mktemp("video") / "fast.mp4"
    encode(path, np.zeros((60, 16, 32, 3), np.uint8), rate=60)
    return path


def test_the_videos_clock_is_taken_unless_a_flag_says_another(fast):
    source = open_source(fast)
    assert (source.fps, source.image_size) == (60, (32, 16))
    np.testing.assert_allclose(source.time_s, np.arange(60) / 60)
    slow = open_source(fast, fps=25.0)
    assert slow.fps == 25 and slow.pictures is None
    np.testing.assert_allclose(slow.time_s, np.arange(60) / 25)


def test_a_varying_rate_goes_on_beyond_the_end_at_its_mean(tmp_path):
    ticks = [0, 33, 67, 100, 300, 333, 400]
    encode(tmp_path / "phone.mkv", numbered_frames(7), ticks=ticks)
    timeline = open_source(tmp_path / "phone.mkv").timeline(2, 9)
    assert timeline.first_frame == 2 and not timeline.is_constant and timeline.fps == pytest.approx(15)
    np.testing.assert_allclose(timeline.time_s, [0.067, 0.1, 0.3, 0.333, 0.4, 0.4 + 1 / 15, 0.4 + 2 / 15])


def test_without_a_video_or_with_an_untrue_rate_flags_say_it(tmp_path):
    source = open_source(None, image_size=(640, 480), fps=50.0)
    np.testing.assert_allclose(source.timeline(0, 5).time_s, np.arange(5) / 50)
    assert open_source(None, image_size=(640, 480)).fps == 30
    path = tmp_path / "clip.mp4"
    encode(path, numbered_frames(5), rate=20000)
    refuses(r"clip\.mp4: says no frame rate that can be true\. Give it as --fps\.", open_source, path)
    assert open_source(path, fps=240.0).fps == 240


@pytest.mark.parametrize(("last", "step"), [(29, 2), (28, 2), (19, 3), (14, 4)])
def test_keypoints_of_every_second_frame_are_noticed(fast, last, step):
    with refused(rf"has 60 frames, 60 a second, .+ Give --keypoint_fps {60 / step:g} if they are"):
        check_frames(detections_until(last), open_source(fast))
    check_frames(detections_until(last), open_source(fast, keypoint_fps=60.0))  # said to be of every frame
    check_frames(detections_until(last), open_source(fast, keypoint_fps=60 / step))


@pytest.mark.parametrize("last", [59, 58, 45, 33, 8])
def test_keypoints_that_end_elsewhere_are_not_suspected(fast, last):
    check_frames(detections_until(last), open_source(fast))


@pytest.mark.parametrize(("last", "rate"), [(249, "25"), (239, "24"), (260, ""), (299, "")])
def test_keypoints_of_television_rate_are_suspected(caplog, last, rate):
    source = Source(Path("clip.mp4"), (640, 480), 30.0, np.arange(300) / 30)
    with caplog.at_level("WARNING", "lib"):
        check_frames(detections_until(last), source)
        check_frames(detections_until(last), source._replace(is_sure=False))
    assert caplog.text.count("the keypoints end with frame") == bool(rate)
    assert f"--keypoint_fps {rate}, if" in caplog.text or not rate


def test_keypoints_beyond_the_video_are_refused(fast):
    check_frames(detections_until(60 + 59), open_source(fast))
    with refused(r"has 60 frames, but there are keypoints of frame 120\. .+--keypoint_fps"):
        check_frames(detections_until(120), open_source(fast))
    with refused("has 30 frames, but there are keypoints of frame 60"):
        check_frames(detections_until(60), open_source(fast, keypoint_fps=30.0))


@pytest.mark.parametrize(
    ("rate", "pictures"),
    [(30.0, np.arange(0, 60, 2)), (20.0, np.arange(0, 60, 3)), (120.0, np.repeat(np.arange(60), 2))],
)
def test_keypoints_of_another_rate_go_with_the_nearest_pictures(fast, rate, pictures):
    source = open_source(fast, keypoint_fps=rate)
    timeline = source.timeline(0, len(pictures) + 1)
    assert source.fps == rate and len(source.time_s) == len(pictures)
    np.testing.assert_array_equal(timeline.pictures[:-1], pictures)
    assert timeline.pictures[-1] > 60
    np.testing.assert_allclose(timeline.time_s, np.arange(len(pictures) + 1) / rate)


def test_a_part_is_from_start_to_before_end(fast):
    detections, source = detections_until(59), open_source(fast)
    for start, end, expected in (
        (0.5, None, range(30, 60)),
        (None, 0.5, range(30)),
        (0.1, 0.2, range(6, 12)),
        (0.167, 0.183, range(10, 11)),  # rounded from 10 / 60 and 11 / 60
        (0.5, 99.0, range(30, 60)),
    ):
        part, first, stop = chosen_part(detections, source, start, end)
        np.testing.assert_array_equal(part.frame, expected)
        assert (first, stop) == (expected.start, expected.stop)
    assert chosen_part(detections, source, None, None) == (detections, 0, None)


def test_a_part_of_nothing_is_refused(fast):
    with refused(r"--start 5: no frame from there to --end 9; the last is at 0\.983 s"):
        chosen_part(detections_until(59), open_source(fast), 5.0, 9.0)
    refuses("nobody was detected in frames 30 to 59", chosen_part, detections_until(20), open_source(fast), 0.5, None)


def test_images_are_a_video_of_the_rate_given(tmp_path):
    from PIL import Image

    for number, frame in enumerate(numbered_frames(4)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    source = open_source(tmp_path, fps=10.0)
    assert source.image_size == (48, 32)
    np.testing.assert_allclose(source.time_s, [0, 0.1, 0.2, 0.3])
    assert open_source(tmp_path).fps == 30


def test_a_length_that_a_file_claims_takes_no_memory(tmp_path):
    encode(tmp_path / "long.mkv", numbered_frames(12), ticks=[3_000_000 * n for n in range(12)])
    with refused(r"--keypoint_fps 1000: 36000000 frames of .+long\.mkv, which claims"):
        open_source(tmp_path / "long.mkv", keypoint_fps=1000.0)
