"""A film of two made-up people, drawn before a background, gives back those two: where BlazePose's files are at hand."""

import numpy as np
import pytest

from kinemesh.demo.film import film
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import CAMERA, FPS, Actor, make_video
from kinemesh.detect.detector import open_detector
from kinemesh.errors import UserError
from kinemesh.keypoints import read_keypoints
from kinemesh.program.wild.cli import main
from kinemesh.render.video import video_writer

FRAMES = 24
CAST = (Actor("walk", 4.5, 70.0, -1.1), Actor("walk_carry", 6.0, -60.0, 1.2))


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """What was filmed, and the folder of the results."""
    try:
        open_detector("blazepose")
    except UserError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("film")
    video = make_video(FRAMES, 3, CAST)
    with video_writer(folder / "film.mp4", CAMERA.image_size, FPS) as write:
        for picture in film(video, StandIn().assets):
            write(picture)
    focal = ("--focal", str(CAMERA.focal_px), "--evaluate", "builtin", "--formats", "npz")
    assert main(["--vid_path", str(folder / "film.mp4"), "--out_path", str(folder / "out"), *focal]) == 0
    return video, folder / "out"


def nearest(true, places) -> int:
    """Which of the two people (2, ..., D) somebody is."""
    return int(np.linalg.norm(true - places, axis=-1).reshape(2, -1).mean(axis=1).argmin())


def test_the_detector_sees_both_in_every_frame_where_they_are(filmed):
    video, out = filmed
    detections = read_keypoints(out / "keypoints.npz")
    true = video.joints_m[..., :2] / video.joints_m[..., 2:] * CAMERA.focal_px + np.array(CAMERA.centre_px)
    stature_px = CAMERA.focal_px * 1.6 / video.trans_m[..., 2]
    seen = []
    for frame, points in zip(detections.frame, detections.as_h36m()[..., :2], strict=True):
        person = nearest(true[:, frame], points)
        error = np.linalg.norm(points - true[person, frame], axis=-1)
        assert np.median(error) < 0.04 * stature_px[person, frame]
        seen.append((frame, person))
    assert sorted(seen) == [(frame, person) for frame in range(FRAMES) for person in (0, 1)]


def test_tracks_and_bodies_come_within_the_stated_errors(filmed):
    video, out = filmed
    people = []
    for name in ("0", "1"):
        with np.load(out / f"{name}.npz") as file:
            joints_m = file["joints"]
        assert len(joints_m) == FRAMES
        people.append(nearest(video.joints_m, joints_m))
        apart = joints_m - video.joints_m[people[-1]]
        assert 1000 * np.linalg.norm(apart - apart[:, :1], axis=-1).mean() < 110
        assert np.linalg.norm(apart[:, 0, :2], axis=-1).max() < 0.2
        assert abs(np.median(joints_m[:, 0, 2] / video.joints_m[people[-1]][:, 0, 2]) - 1) < 0.1
    assert sorted(people) == [0, 1]
