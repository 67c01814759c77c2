"""--up and --camera mean what they say, and are refused in one line where they cannot."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest

from kinemesh.infer import Settings
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.program.wild.cli import parse_arguments
from kinemesh.program.wild.values import up
from kinemesh.program.wild.video import Source, camera_path_of
from tests.refusals import refused, refuses


@pytest.fixture
def camera_file(tmp_path):
    """Of so many frames."""

    def write(frames: int) -> str:
        path = tmp_path / "camera.npz"
        np.savez(path, R=np.tile(np.eye(3), (frames, 1, 1)), t=np.arange(3.0 * frames).reshape(frames, 3))
        return str(path)

    return write


def seen(frames: int):
    """Keypoints of so many frames."""
    points = np.random.default_rng(0).uniform(1, 60, (frames, 17, 3)).astype(np.float32)
    return detections_of_array(points * (1, 1, 0.01))


def test_up_is_a_word_or_two_angles():
    assert [up(text) for text in ("auto", "camera", "12,-3", "-5.5,0")] == ["auto", "camera", (12, -3), (-5.5, 0)]
    for wrong in ("down", "12", "91,0", "0,181", "nan,0", "1,2,3"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected auto, camera, or PITCH,ROLL"):
            up(wrong)
    refuses("expected pitch from -90 to 90", Settings, up=(100.0, 0.0))
    refuses("up", Settings, up="sideways")


def test_the_path_is_the_video_s_frame_by_frame(camera_file):
    detections = seen(10)
    video = Source(None, (64, 64), 30.0, np.arange(12) / 30)
    arguments = SimpleNamespace(camera=camera_file(12))
    assert len(camera_path_of(arguments, video, detections).rotations) == 12
    assert camera_path_of(SimpleNamespace(camera=None), video, detections) is None
    # Of every second frame the path's, too.
    halved = video._replace(time_s=np.arange(6) / 15, pictures=np.arange(0, 12, 2), fps=15.0)
    path = camera_path_of(arguments, halved, seen(6))
    np.testing.assert_array_equal(path.trans[:, 0], 3.0 * np.arange(0, 12, 2))
    arguments.camera = camera_file(11)
    refuses("of 11 frames. Expected 12, as the video has", camera_path_of, arguments, video, detections)
    with refused("of 11 frames. Expected at least 12"):
        camera_path_of(arguments, video._replace(time_s=np.zeros(0)), seen(12))
    refuses("separate pictures", camera_path_of, arguments, video, SimpleNamespace(are_images=True))


_USUAL = ["--json_path", "x.json", "--out_path", "out", "--image_size", "64x64"]


@pytest.mark.parametrize(
    "flags", [["--up", "camera", "--windows", "released", *_USUAL], ["--demo", "--camera", "x.npz"]]
)
def test_flags_that_do_not_go_together_are_refused(flags):
    refuses("does not go with", parse_arguments, flags)
