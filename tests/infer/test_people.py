"""Who is who, and what stands in for missing frames."""

import numpy as np
import pytest

from kinemesh.demo.video import FPS
from kinemesh.geometry.keypoints import crop_scale, scale_by_width
from kinemesh.geometry.translation import solve_translation
from kinemesh.infer.people import Person, fill_gaps, find_people, keypoints_of, link_detections, network_inputs
from kinemesh.keypoints import Detections
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.structures import Track
from tests.refusals import refuses


def person_at(x: float, y: float = 200.0, size: float = 150.0, seed: int = 0) -> np.ndarray:
    """(17, 3) keypoints around a place."""
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.uniform(-1, 1, (17, 2)) * size / 2 + (x, y), np.full((17, 1), 0.9)), axis=1)


def detections(rows: list[tuple[int, str, np.ndarray]]) -> Detections:
    frame, person, keypoints = zip(*rows, strict=True)
    return Detections(np.array(frame), np.array(person), np.array(keypoints, dtype=np.float32))


def test_people_by_name_and_focus():
    rows = detections([(0, "7", person_at(100)), (0, "3", person_at(300)), (1, "7", person_at(101))])
    people = find_people(rows, fps=5)
    assert [(one.name, one.frames.tolist()) for one in people] == [("7", [0, 1]), ("3", [0])]
    assert [one.name for one in find_people(rows, fps=5, focus="3")] == ["3"]
    refuses("--focus 4: there is nobody of that number. Expected one of 7, 3", find_people, rows, fps=5, focus="4")


def test_of_one_name_the_surer_is_taken_and_frames_with_too_few_keypoints_do_not_count():
    sure, unsure = person_at(100), person_at(300)
    unsure[:, 2] = 0.2
    (one,) = find_people(detections([(0, "1", unsure), (0, "1", sure)]), fps=5)
    np.testing.assert_allclose(one.keypoints_px, sure[None], rtol=1e-6)
    hidden = person_at(100)
    hidden[3:, 2] = 0
    (one,) = find_people(detections([(0, "1", hidden), (1, "1", person_at(100))]), fps=5)
    assert one.frames.tolist() == [1]
    refuses("none of 1 detections has 4 keypoints", find_people, detections([(0, "1", hidden)]), fps=5)


@pytest.mark.parametrize("seed", range(3))
def test_people_who_cross_are_not_taken_for_each_other(seed):
    """Two walk through one another in the picture; the one behind is not seen for 10 frames."""
    rng = np.random.default_rng(seed)
    rows = []
    for frame in range(60):
        left, right = (person_at(100 + 8 * frame, seed=1), "left"), (person_at(580 - 8 * frame, 215.0, seed=2), "right")
        seen = [left] if 25 <= frame < 35 else [left, right]
        for place in rng.permutation(len(seen)):
            points, name = seen[place]
            points[:, :2] += rng.normal(0, 3, (17, 2))
            rows.append((frame, name, points))
    given = detections(rows)
    names = link_detections(given.frame, given.keypoints_px, reach=30)
    pairs = set(zip(given.person.tolist(), names.tolist(), strict=True))
    assert len(pairs) == 2
    assert len({name for _, name in pairs}) == 2


def test_demo_people_are_linked_without_their_names(demo_video):
    given = detections_of_array(demo_video.keypoints_px)
    names = link_detections(given.frame, given.keypoints_px, reach=30)
    assert len(set(zip(given.person.tolist(), names.tolist(), strict=True))) == 2


def test_whoever_comes_back_too_late_or_elsewhere_is_somebody_else():
    rows = [(0, "", person_at(100)), (1, "", person_at(101)), (40, "", person_at(130)), (41, "", person_at(900))]
    given = detections(rows)
    assert link_detections(given.frame, given.keypoints_px, reach=30).tolist() == ["0", "0", "1", "2"]


def test_short_gaps_are_filled_and_long_ones_split():
    frames = np.array([3, 4, 7, 8, 20, 21])
    keypoints = np.stack([person_at(10.0 * frame) for frame in frames]).astype(np.float32)
    first, second = fill_gaps([Person("1", frames, keypoints)], longest_gap=2)
    assert first.frame_ids.tolist() == [3, 4, 5, 6, 7, 8]
    assert first.is_interpolated.tolist() == [False, False, True, True, False, False]
    assert (first.keypoints_px[2:4, :, 2] == 0).all()
    np.testing.assert_allclose(first.keypoints_px[:, 0, 0], person_at(0)[0, 0] + 10.0 * first.frame_ids, rtol=1e-4)
    assert second.frame_ids.tolist() == [20, 21]
    assert len(fill_gaps([Person("1", frames, keypoints)], longest_gap=1)) == 3
    assert len(fill_gaps([Person("1", frames, keypoints)], longest_gap=11)) == 1


def test_a_lost_joint_is_interpolated_and_keeps_confidence_zero():
    keypoints = np.stack([person_at(10.0 * frame) for frame in range(5)]).astype(np.float32)
    wanted = keypoints[..., 5, :2].copy()
    keypoints[1:4, 5] = 0
    keypoints[:, 9] = 0
    (segment,) = fill_gaps([Person("1", np.arange(5), keypoints)], longest_gap=0)
    np.testing.assert_allclose(segment.keypoints_px[:, 5, :2], wanted, rtol=1e-4)
    assert segment.keypoints_px[1:4, 5, 2].tolist() == [0, 0, 0]
    assert not segment.is_interpolated.any()
    others = np.delete(segment.keypoints_px[..., :2], 9, axis=1)
    assert (segment.keypoints_px[:, 9, :2] >= others.min(axis=1)).all()
    assert (segment.keypoints_px[:, 9, :2] <= others.max(axis=1)).all()


def test_a_box_is_one_for_all_of_a_persons_segments():
    frames = np.array([0, 1, 30, 31])
    left = np.stack([person_at(100.0 + 10 * frame) for frame in frames]).astype(np.float32)
    right = np.stack([person_at(900.0 + frame) for frame in frames]).astype(np.float32)
    segments = fill_gaps([Person("1", frames, left), Person("2", frames, right)], longest_gap=2)
    assert [segment.person for segment in segments] == [0, 0, 1, 1]
    boxed = network_inputs(segments, (1280, 720), is_pixel=False)
    np.testing.assert_allclose(boxed, np.concatenate((crop_scale(left), crop_scale(right))))
    pixel = network_inputs(segments, (1280, 720), is_pixel=True)
    np.testing.assert_allclose(pixel, scale_by_width(np.concatenate((left, right)), (1280, 720)))


def test_nobody_is_linked_across_the_street_and_reach_has_an_end():
    """Somebody leaves; two seconds of nobody at that place; somebody else stands 300 px away."""
    rows = [(frame, "", person_at(100)) for frame in range(30)]
    rows += [(frame, "", person_at(400)) for frame in range(55, 90)]
    people = find_people(detections(rows), fps=30)
    assert [(one.frames[0], one.frames[-1]) for one in people] == [(0, 29), (55, 89)]
    # Out of sight for a second, but no farther than half a size from where they were going.
    near, far = person_at(150), person_at(230)
    for points, names in ((near, ["0", "0"]), (far, ["0", "1"])):
        given = detections([(0, "", person_at(100)), (29, "", points)])
        assert link_detections(given.frame, given.keypoints_px, reach=30).tolist() == names


def test_somebody_detected_twice_is_one_person():
    rows = []
    for frame in range(30):
        twice = person_at(300.0 + frame)
        twice[:, :2] += 4
        twice[:, 2] = 0.5
        rows += [(frame, "", twice), (frame, "", person_at(300.0 + frame)), (frame, "", person_at(700, seed=3))]
    people = find_people(detections(rows), fps=30)
    assert [len(one.frames) for one in people] == [30, 30]
    assert all(one.keypoints_px[:, :, 2].min() > 0.8 for one in people)


def test_short_tracks_are_left_out_of_a_video_and_counted(caplog):
    rows = [(frame, "1", person_at(100)) for frame in range(60)]
    rows += [(frame, "2", person_at(500)) for frame in range(20, 25)]
    assert [one.name for one in find_people(detections(sorted(rows, key=lambda row: row[0])), fps=30)] == ["1"]
    assert "1 tracks shorter than 0.3 s are left out" in caplog.text
    assert len(find_people(detections(rows), fps=30, focus="2")) == 1  # who is asked for is kept
    assert len(find_people(detections(rows[55:]), fps=30)) == 2  # too little video to tell


def test_people_of_separate_pictures_are_never_linked_and_linked_ones_take_free_names():
    rows = [(139, "139", person_at(100)), (140, "140", person_at(100))]
    people = find_people(detections(rows)._replace(are_images=True), fps=30)
    assert [(one.name, one.frames.tolist()) for one in people] == [("139", [139]), ("140", [140])]
    rows = [(0, "0", person_at(100)), (0, "", person_at(500)), (1, "0", person_at(101)), (1, "", person_at(501))]
    assert [one.name for one in find_people(detections(rows), fps=30)] == ["0", "1"]


def test_known_camera_round_trip(demo_video):
    """True bodies and detected keypoints of two people, one of them hidden for a while."""
    frames = np.arange(demo_video.keypoints_px.shape[1])
    for person in range(2):
        is_seen = demo_video.keypoints_px[person, :, :, 2].any(axis=-1)
        (segment,) = fill_gaps([Person("0", frames[is_seen], demo_video.keypoints_px[person, is_seen])], 15)
        trans, joints = demo_video.trans_m[person], demo_video.joints_m[person] - demo_video.trans_m[person][:, None]
        alone, together = solve_translation(joints, segment.keypoints_px, demo_video.camera, FPS)
        error_m = np.abs(together - trans)[is_seen].mean(axis=0)
        assert error_m[:2].max() < 0.02
        assert error_m[2] < 0.06
        assert np.linalg.norm(together - trans, axis=-1)[~is_seen].max(initial=0) < 0.25
        moved = [np.linalg.norm(np.diff(path, n=2, axis=0), axis=-1).mean() for path in (alone, together)]
        assert moved[1] < 0.3 * moved[0]


def test_what_the_detector_shows_goes_with_its_person_through_gaps():
    keypoints = np.random.default_rng(0).uniform(100, 300, (6, 26, 3)).astype(np.float32)
    keypoints[..., 2] = 1.0
    rows = Detections(np.array([0, 0, 1, 1, 3, 3]), np.array(["b", "a"] * 3), keypoints, "halpe26")
    people = find_people(rows, fps=5)
    assert [one.name for one in people] == ["b", "a"]
    for number, segment in enumerate(fill_gaps(people, longest_gap=2)):
        np.testing.assert_array_equal(segment.shown_px[[0, 1, 3]], rows.as_shown()[number::2])
        assert (segment.shown_px[2] == 0).all()


def test_keypoints_of_a_track_are_its_own_where_they_were_given():
    given = np.arange(2 * 17 * 3, dtype=np.float32).reshape(2, 17, 3)
    people = [Person("a", np.array([3, 5]), given), Person("b", np.array([4]), given[:1] + 1000)]
    track = Track("a", np.arange(2, 7), *[None] * 6)
    found = keypoints_of(track, people)
    np.testing.assert_array_equal(found[[1, 3]], given)
    assert np.isnan(found[[0, 2, 4], :, :2]).all() and (found[[0, 2, 4], :, 2] == 0).all()
