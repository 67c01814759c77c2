"""Wrong input does not pass in silence, and the flag that mends it is named."""

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.infer.doubts import find_cause, person_size_px, warn_of_misfit, warn_of_swaps, without_wild
from kinemesh.infer.people import find_people
from kinemesh.keypoints import Detections
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.structures import Track

SIZE = (1280, 720)


def facts(error: float, frame: int = 0) -> dict:
    return {"reprojection_error_px": 100 * error, "reprojection_error_of_size": error, "worst_frame": frame}


@pytest.fixture
def given(demo_video) -> Detections:
    return detections_of_array(demo_video.keypoints_px)


def test_the_cause_is_what_lowers_the_error_by_half(given):
    def measure(detections, size, is_relinked):
        if detections.joint_order == "posetrack18":
            raise UserError("nobody is left")
        return 0.1 if detections.joint_order == "coco17" else 0.3 if is_relinked else 0.6 if size != SIZE else 0.9

    cause = find_cause(given, SIZE, measure)
    assert cause.what.endswith("--keypoint_format coco17")
    assert cause.error == 0.1
    for wanted, error in (
        ("--relink", lambda _, __, is_relinked: 0.3 if is_relinked else 0.9),
        ("--image_size 1920x1080", lambda _, size, __: 0.3 if size == (1920, 1080) else 0.9),
    ):
        assert find_cause(given, SIZE, error).what.endswith(wanted)
    assert find_cause(given, SIZE, lambda *_: 0.9) is None


def test_misfit_is_told_with_its_cause_or_that_there_is_none(given, caplog):
    warn_of_misfit({"0": facts(0.1)}, given, SIZE, lambda *_: 1 / 0)
    assert caplog.text == ""
    warn_of_misfit({"0": facts(0.5), "1": facts(0.02)}, given, SIZE, lambda *_: 0.5)
    assert "person 0: the body is 50 px from the keypoints, 50 % of the person's size" in caplog.text
    assert "cause unknown" in caplog.text
    caplog.clear()
    warn_of_misfit({"0": facts(0.2)}, given, SIZE, lambda *rest: 0.05 if rest[2] else 0.2, limit=0.1)
    assert "--relink (5 % are then left)" in caplog.text


def test_only_some_frames_around_the_worst_are_tried(given):
    seen = []

    def measure(detections, _, __):
        seen.append((detections.frame.min(), detections.frame.max()))
        return 0.5

    warn_of_misfit({"0": facts(0.5, frame=100)}, given, SIZE, measure)
    assert seen[0] == (56, 119)


def test_tracks_that_change_places_are_named(given, caplog):
    warn_of_swaps(find_people(given, 30))
    assert caplog.text == ""
    is_swapped = (given.frame // 20) % 2 == 1
    names = np.where(is_swapped, np.where(given.person == "0", "1", "0"), given.person)
    warn_of_swaps(find_people(given._replace(person=names), 30))
    assert "people 0 and 1 change places" in caplog.text
    assert "--relink" in caplog.text
    caplog.clear()
    warn_of_swaps(find_people(given._replace(person=names), 30, is_relinked=True))
    assert caplog.text == ""


def track(name: str) -> Track:
    return Track(name, *[np.zeros(1)] * 6)


def test_a_track_that_fits_no_body_is_left_out_where_another_fits(caplog):
    tracks = [track("a"), track("b")]
    values = {"a": facts(0.02), "b": facts(1.5)}
    assert [one.name for one in without_wild(tracks, values)] == ["a"]
    assert list(values) == ["a"]
    assert "1 tracks that fit no body are left out: b" in caplog.text
    assert len(without_wild(tracks, {"a": facts(1.2), "b": facts(1.5)})) == 2


def test_size_is_that_of_what_is_seen():
    keypoints = np.zeros((3, 17, 3))
    keypoints[:2, :2] = [[100, 100, 1], [130, 300, 1]]
    keypoints[:, 5] = [9000, 9000, 0]
    assert person_size_px(keypoints) == 200
