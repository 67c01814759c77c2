"""Every layout's fixture, and every file that is wrong."""

import contextlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemesh.errors import UserError
from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.keypoints.formats import to_h36m
from tests.refusals import refused, refuses


def as_h36m(points: list[float], order: str) -> np.ndarray:
    return to_h36m(np.array(points).reshape(-1, 3), order)


@pytest.mark.parametrize(("count", "order"), [(26, "halpe26"), (136, "halpe26"), (17, "coco17"), (133, "coco17")])
def test_alphapose(write_json, flat_points, count, order):
    items = [
        {"image_id": "1.jpg", "category_id": 1, "keypoints": flat_points(count, 1), "score": 2.9, "box": [1, 2, 3, 4], "idx": 2.0},
        {"image_id": "0.jpg", "category_id": 1, "keypoints": flat_points(count, 2), "score": 2.9, "idx": [1.0]},
    ]  # fmt: skip
    found = read_keypoints(write_json(items))
    assert found.frame.tolist() == [0, 1]
    assert found.person.tolist() == ["1", "2"]
    np.testing.assert_allclose(found.as_h36m()[0], as_h36m(items[1]["keypoints"], order), rtol=1e-6)


def test_coco_results(write_json, flat_points):
    items = [{"image_id": 3, "category_id": 1, "keypoints": flat_points(17), "score": 0.9}]
    found = read_keypoints(write_json(items))
    assert (found.frame.tolist(), found.person.tolist()) == ([3], [""])
    np.testing.assert_allclose(found.as_h36m()[0], as_h36m(items[0]["keypoints"], "coco17"), rtol=1e-6)


def mmpose_instance(points: list[float], **more) -> dict:
    array = np.array(points).reshape(-1, 3)
    return {"keypoints": array[:, :2].tolist(), "keypoint_scores": array[:, 2].tolist(), **more}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("is_bare", [False, True])
def test_mmpose(write_json, flat_points, first, is_bare):
    points = flat_points(17)
    frames = [
        {"frame_id": first, "instances": []},
        {"frame_id": first + 1, "instances": [mmpose_instance(points, track_id=7, bbox=[[1, 2, 3, 4]])]},
    ]
    content = frames if is_bare else {"meta_info": {"dataset_name": "coco"}, "instance_info": frames}
    found = read_keypoints(write_json(content))
    assert (found.frame.tolist(), found.person.tolist()) == ([1], ["7"])
    np.testing.assert_allclose(found.as_h36m()[0], as_h36m(points, "coco17"), rtol=1e-6)


def test_mmpose_names_its_joint_order(write_json, flat_points):
    points = flat_points(17)
    content = {"meta_info": {"dataset_name": "h36m"}, "instance_info": [mmpose_instance(points)]}
    found = read_keypoints(write_json(content))
    assert found.frame.tolist() == [0]
    np.testing.assert_allclose(found.keypoints_px[0].ravel(), points, rtol=1e-6)
    forced = read_keypoints(write_json(content), Reading(joint_order="coco17"))
    np.testing.assert_allclose(forced.as_h36m()[0], as_h36m(points, "coco17"), rtol=1e-6)


def openpose_frame(folder, number: int, people: list) -> None:
    path = folder / f"walk_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": people}))


def test_openpose(tmp_path, flat_points):
    points = flat_points(25)
    openpose_frame(tmp_path, 0, [])
    openpose_frame(tmp_path, 2, [{"person_id": [-1], "pose_keypoints_2d": points, "face_keypoints_2d": []}])
    openpose_frame(tmp_path, 3, [{"person_id": [4], "pose_keypoints_2d": points}])
    found = read_keypoints(tmp_path)
    assert (found.frame.tolist(), found.person.tolist()) == ([2, 3], ["", "4"])
    np.testing.assert_allclose(found.as_h36m()[0], as_h36m(points, "body25"), rtol=1e-6)


def test_confidence_is_clipped(write_json, flat_points):
    points = flat_points(17)
    points[2::3] = [1.7] * 16 + [-0.1]
    confidence = read_keypoints(write_json([{"image_id": 0, "keypoints": points}])).keypoints_px[..., 2]
    assert confidence.max() == 1
    assert confidence.min() == 0


POINTS = [value for joint in range(17) for value in (10.0 * joint, 2.0, 0.5)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("\x00\x01", "not valid JSON"),
        ([], "nobody was detected"),
        ({}, "not recognised, it holds a dict"),
        ({"version": 1.3, "people": []}, "nobody was detected"),
        ([1, 2], "not recognised, it holds a list"),
        ([{"image_id": 1}], "row 0 has no 'keypoints'"),
        ([{"image_id": 1, "keypoints": ["a"] * 51}], "'keypoints' row 0 are not numbers"),
        ([{"image_id": 1, "keypoints": None}], "'keypoints' row 0 are not numbers"),
        ([{"image_id": 1, "keypoints": [[1], [1, 2]]}], "'keypoints' row 0 are not numbers"),
        ([{"image_id": 1, "keypoints": [*POINTS[:-1], "1"]}], "'keypoints' row 0 are not numbers"),
        ([{"image_id": 1, "keypoints": [*POINTS[:-2], 1e7, 1.0]}], "'keypoints' row 0 holds 1e+07. Expected pixels"),
        ([{"image_id": 1, "keypoints": [10**400] * 51}], "'keypoints' row 0 are not numbers"),
        ([{"image_id": 1, "keypoints": POINTS[:-2]}], "holds 49 numbers a person"),
        ([{"image_id": 1, "keypoints": POINTS[:27]}], "holds 9 joints a person. Expected Halpe-26 (26 or 68 or 94 or 136); COCO-17"),
        ({"meta_info": {"dataset_name": "ap10k"}, "instance_info": [{"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 17}]}, "'dataset_name' is 'ap10k', whose joints are not read"),
        ([{"image_id": 1, "keypoints": POINTS}, {"image_id": 2, "keypoints": POINTS * 2}], "row 1 holds 102 numbers, row 0 51"),
        ([{"image_id": 1, "keypoints": POINTS, "idx": {"a": 1}}], "the track of row 0"),
        ({"instance_info": 5}, "'instance_info' is not a list"),
        ({"instance_info": []}, "nobody was detected"),
        ({"instance_info": [{"instances": []}]}, "has no 'frame_id'"),
        ({"instance_info": [{"frame_id": 0, "instances": {}}]}, "frame 0 'instances' is no list"),
        ({"instance_info": [{"frame_id": 0, "instances": [{}]}]}, "frame 0 has no 'keypoints'"),
        ({"instance_info": [{"frame_id": 0, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": []}]}]}, "differ in length"),
        ({"instance_info": [{"frame_id": 0, "instances": [{"keypoints": [[1, 2, 3]], "keypoint_scores": [1]}]}]}, "pairs of x and y"),
    ],
)  # fmt: skip
def test_wrong_json_is_named_in_one_line(write_json, content, told):
    path = write_json(content)
    with refused() as caught:
        read_keypoints(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_wrong_paths_are_named(tmp_path, write_json, monkeypatch, flat_points):
    refuses("nothing.json not found", read_keypoints, tmp_path / "nothing.json")
    refuses("no JSON file of keypoints in this folder", read_keypoints, tmp_path)
    openpose_frame(tmp_path, 0, [{"pose_keypoints_2d": flat_points(19)}])
    refuses("holds 19 joints a person. Expected", read_keypoints, tmp_path)
    monkeypatch.setattr("kinemesh.keypoints.json_text._LARGEST_FILE", 10)
    refuses("expected at most", read_keypoints, write_json([{"image_id": 1, "keypoints": POINTS}]))


_KEYS = st.sampled_from([
    "image_id", "keypoints", "idx", "track_id", "instance_info", "meta_info", "dataset_name", "frame_id", "instances",
    "keypoint_scores", "people", "pose_keypoints_2d", "person_id",
])  # fmt: skip
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["3.jpg", POINTS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(
    content=st.lists(st.dictionaries(_KEYS, _VALUES, max_size=5), max_size=3)
    | st.dictionaries(_KEYS, _VALUES, max_size=4)
)
@settings(max_examples=60)
def test_no_content_is_a_bug(content, tmp_path):
    """Whatever stands under the keys that are looked for: detections, or an error in one line."""
    path = tmp_path / "k.json"
    path.write_text(json.dumps(content))
    with contextlib.suppress(UserError):
        assert len(read_keypoints(path).frame)
    (tmp_path / "x_0_keypoints.json").write_text(json.dumps(content))
    with contextlib.suppress(UserError):
        assert len(read_keypoints(tmp_path).frame)


def test_numbers_take_little_more_memory_than_their_file(write_json, flat_points):
    """As Python's lists the numbers alone would take twice the file."""
    items = [{"image_id": f"{frame}.jpg", "keypoints": flat_points(26, frame)} for frame in range(1500)]
    path = write_json(items)
    read_keypoints(path)
    tracemalloc.start()
    try:
        read_keypoints(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * path.stat().st_size
