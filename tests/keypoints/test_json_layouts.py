"""Each program's JSON gives the people and joints that are in it."""

import gzip
import json

import numpy as np
import pytest

from kinemesh.infer.people import find_people
from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.keypoints.formats import COCO_NAMES, FORMATS, MMPOSE_ORDERS
from tests.refusals import refused, refuses

FRAMES = 12


@pytest.fixture
def rows(figure):
    """Rows of everybody in AlphaPose's and COCO's way."""

    def make(order: str, people: int = 1, **more) -> list[dict]:
        return [
            {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": figure(order, frame, person).ravel().tolist()}
            | more
            for frame in range(FRAMES)
            for person in range(people)
        ]

    return make


def lengths(detections) -> list[tuple[int, int]]:
    """Of each person found, the first frame and how many."""
    return [(int(one.frames[0]), len(one.frames)) for one in find_people(detections, fps=30)]


@pytest.mark.parametrize("idx", [[0.0], 0, -1, None, [], [[0.0], [0.0]], [[0.0]] * 9, float("nan"), "-1"])
def test_names_that_name_nobody_are_linked_by_overlap(write_json, rows, check_h36m, idx):
    detections = read_keypoints(write_json(rows("halpe26", people=2, idx=idx)))
    assert lengths(detections) == [(0, FRAMES), (0, FRAMES)]
    check_h36m(detections, people=2, apart=())


def test_names_that_are_tracks_stay(write_json, rows):
    """As with AlphaPose's tracking on; once it merged two boxes of one person."""
    items = rows("halpe26", people=2)
    for number, item in enumerate(items):
        item["idx"] = [[7.0], [3.0]] if number == 4 else 7 if number % 2 == 0 else [3.0]
    detections = read_keypoints(write_json(items))
    assert sorted(set(detections.person.tolist())) == ["3", "7"]
    # One glitch, the same name twice in a frame, does not undo a track.
    items[5]["idx"] = 7
    detections = read_keypoints(write_json(items))
    assert (detections.person == "7").sum() == FRAMES + 1


@pytest.mark.parametrize("size", [68, 94, 136])
def test_larger_alphapose_models(write_json, rows, check_h36m, size):
    items = rows("halpe26")
    for item in items:
        item["keypoints"] += [5.0, 5.0, 0.3] * (size - 26)
    detections = read_keypoints(write_json(items))
    assert detections.keypoints_px.shape == (FRAMES, size, 3)
    check_h36m(detections, apart=())


@pytest.mark.parametrize(("people", "joints"), [("bodies", "joints"), ("people", "pose_keypoints_2d")])
def test_alphapose_forms_cmu_and_open(write_json, figure, check_h36m, people, joints):
    content = {
        f"{frame}.jpg": {"version": "AlphaPose v0.3", people: [{joints: figure("coco18", frame).ravel().tolist()}]}
        for frame in range(FRAMES)
    }
    detections = read_keypoints(write_json(content))
    assert lengths(detections) == [(0, FRAMES)]
    check_h36m(detections)


def test_poseflow_tracks(write_json, figure, check_h36m):
    def person(frame: int, number: int) -> dict:
        return {"keypoints": figure("coco17", frame, number).ravel().tolist(), "scores": 2.5, "idx": number + 1}

    content = {f"{frame}.jpg": [person(frame, 0), person(frame, 1)] for frame in range(FRAMES)}
    detections = read_keypoints(write_json(content))
    assert [(one.name, len(one.frames)) for one in find_people(detections, fps=30)] == [("1", FRAMES), ("2", FRAMES)]
    check_h36m(detections, people=2)


def mmpose(figure, order: str, first: int = 0, **more) -> list[dict]:
    frames = []
    for frame in range(FRAMES):
        points = figure(order, frame)
        person = {"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist()} | more
        frames.append({"frame_id": frame + first, "instances": [person]})
    return frames


@pytest.mark.parametrize(
    ("dataset", "first"),
    [*((dataset, 0) for dataset in sorted(MMPOSE_ORDERS) if "whole" not in dataset), ("posetrack18", 1)],
)
def test_mmpose_says_its_joint_order(write_json, figure, check_h36m, dataset, first):
    order = MMPOSE_ORDERS[dataset]
    content = {"meta_info": {"dataset_name": dataset}, "instance_info": mmpose(figure, order, first, track_id=-1)}
    detections = read_keypoints(write_json(content))
    assert detections.joint_order == order
    assert lengths(detections) == [(0, FRAMES)]
    check_h36m(detections)
    nose = detections.as_h36m()[0, 9]
    assert abs(nose[1] - 220) <= 10  # made of neck and head top where there is none


def test_other_animals_joints_are_refused_unless_the_user_knows_better(write_json, figure):
    path = write_json({"meta_info": {"dataset_name": "ap10k"}, "instance_info": mmpose(figure, "coco17")})
    refuses(r"'dataset_name' is 'ap10k'.*--keypoint_format NAME", read_keypoints, path)
    assert read_keypoints(path, Reading(joint_order="coco17")).joint_order == "coco17"


def test_mmpose_inferencer_returned(write_json, figure, check_h36m):
    content = {"predictions": [frame["instances"] for frame in mmpose(figure, "coco17")]}
    detections = read_keypoints(write_json(content))
    assert lengths(detections) == [(0, FRAMES)]
    check_h36m(detections)


def test_coco_annotations(write_json, figure, check_h36m):
    size = {"width": 1280, "height": 720}
    images = [{"id": 100 + frame, "file_name": f"{frame:06d}.jpg", **size} for frame in range(FRAMES)]
    points = [(figure("coco17", frame) * (1, 1, 2)).ravel().tolist() for frame in range(FRAMES)]
    people = [{"id": 9, "image_id": 100 + f, "category_id": 1, "keypoints": points[f]} for f in range(3, FRAMES)]
    detections = read_keypoints(write_json({"images": images, "annotations": people}))
    assert lengths(detections) == [(3, FRAMES - 3)]  # image 0 is there, with nobody in it
    check_h36m(detections)
    images[3]["width"] = 640
    assert read_keypoints(write_json({"images": images, "annotations": people})).are_images


def test_coco_categories_say_the_joint_order(write_json, figure, check_h36m):
    names = ["nose", "head_bottom", "head_top", "left_ear", *COCO_NAMES[4:]]
    people = [{"image_id": 3, "keypoints": figure("posetrack18", 3).ravel().tolist(), "attributes": {"track_id": 5}}]
    categories = [{"name": "person", "keypoints": names}]
    detections = read_keypoints(write_json({"categories": categories, "annotations": people}))
    assert (detections.joint_order, detections.person.tolist()) == ("posetrack18", ["5"])
    check_h36m(detections)


def test_joints_by_name_lines_and_arrays(write_json, figure, check_h36m):
    """What people write themselves."""
    points = [figure("coco17", frame).tolist() for frame in range(4)]
    rows = [{"frame": frame, "keypoints": dict(zip(COCO_NAMES, points[frame], strict=True))} for frame in range(4)]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    array = {"fps": 30, "keypoints": points}
    for content in (rows, lines, array, array["keypoints"]):
        detections = read_keypoints(write_json(content))
        assert detections.frame.tolist() == [0, 1, 2, 3]
        check_h36m(detections)
    refuses("not valid JSON", read_keypoints, write_json(lines + "{"))


def test_rows_of_frame_and_keypoints(write_json, figure, check_h36m):
    rows = [{"frame_id": frame, "keypoints": figure("coco17", frame).tolist()} for frame in range(FRAMES)]
    for content in ({"annotations": rows}, rows, {"frames": rows}):
        detections = read_keypoints(write_json(content))
        assert lengths(detections) == [(0, FRAMES)]
        check_h36m(detections)


def test_ultralytics(write_json, figure, check_h36m):
    def person(frame: int, number: int) -> dict:
        x, y, visible = figure("coco17", frame, number).T.tolist()
        return {
            "name": "person", "class": 0, "confidence": 0.9, "track_id": number + 1,
            "box": {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}, "keypoints": {"x": x, "y": y, "visible": visible},
        }  # fmt: skip

    frames = [[person(frame, number) for number in range(2)] for frame in range(FRAMES)]
    detections = read_keypoints(write_json(frames))
    assert detections.person.tolist() == ["1", "2"] * FRAMES
    check_h36m(detections, people=2)
    detections = read_keypoints(write_json(frames[0]))
    assert detections.frame.tolist() == [0, 0]
    check_h36m(detections, people=2)


@pytest.mark.parametrize("order", ["coco17", "coco25"])
def test_easy_vitpose_has_y_first(write_json, figure, check_h36m, order):
    frames = [{"0": figure(order, frame)[:, [1, 0, 2]].tolist()} for frame in range(FRAMES)]
    detections = read_keypoints(write_json({"keypoints": frames, "skeleton": {"0": "nose"}}))
    assert detections.joint_order == order
    assert detections.person.tolist() == ["0"] * FRAMES
    check_h36m(detections)
    with refused(r"frame 0 'keypoints' have shape \(17, 2\). Expected y, x, score"):
        read_keypoints(write_json({"keypoints": [{"0": np.ones((17, 2)).tolist()}]}))


def landmarks(figure, frame: int, size=(1280, 720)) -> list[dict]:
    points = figure("mediapipe33", frame)
    return [{"x": x / size[0], "y": y / size[1], "z": -0.1, "visibility": seen} for x, y, seen in points]


def test_mediapipe_is_in_parts_of_the_picture(write_json, figure, check_h36m):
    frames = [{"frame": frame, "landmarks": landmarks(figure, frame)} for frame in range(FRAMES)]
    tasks = [{"pose_landmarks": [landmarks(figure, frame)], "pose_world_landmarks": []} for frame in range(FRAMES)]
    tasks.append({"pose_landmarks": None})
    for content in (frames, {"frames": frames}, tasks):
        detections = read_keypoints(write_json(content), Reading(image_size=(1280, 720)))
        assert detections.joint_order == "mediapipe33"
        assert lengths(detections) == [(0, FRAMES)]
        check_h36m(detections)
    refuses("coordinates are parts of the picture. Expected its size", read_keypoints, write_json(frames))


def test_body_25b_is_told_from_body_25(write_json, figure, check_h36m):
    for order in ("body25", "body25b", "coco25"):
        rows = [{"image_id": frame, "keypoints": figure(order, frame).ravel().tolist()} for frame in range(FRAMES)]
        detections = read_keypoints(write_json(rows))
        assert detections.joint_order == order
        check_h36m(detections)
    assert read_keypoints(write_json(rows), Reading(joint_order="body25")).joint_order == "body25"


@pytest.mark.parametrize("order", ["aic14", "crowdpose14"])
def test_fourteen_joints_are_told_apart(write_json, figure, check_h36m, order):
    rows = [{"image_id": frame, "keypoints": figure(order, frame).ravel().tolist()} for frame in range(FRAMES)]
    detections = read_keypoints(write_json(rows))
    assert detections.joint_order == order
    check_h36m(detections)


@pytest.mark.parametrize("order", sorted(FORMATS))
def test_x_and_y_without_score(write_json, figure, check_h36m, order):
    rows = [{"image_id": frame, "keypoints": figure(order, frame)[:, :2].ravel().tolist()} for frame in range(FRAMES)]
    detections = read_keypoints(write_json(rows), Reading(joint_order=order))
    check_h36m(detections)
    assert (detections.keypoints_px[..., 2] == 1).all()


def test_gzip(tmp_path, rows, check_h36m):
    path = tmp_path / "k.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows("coco17")).encode()))
    check_h36m(read_keypoints(path))
    path.write_bytes(path.read_bytes()[:-20])
    refuses("not valid JSON", read_keypoints, path)


@pytest.mark.parametrize("missing", [float("nan"), None])
def test_a_number_that_is_missing_is_a_joint_not_seen(write_json, rows, check_h36m, missing):
    items = rows("coco17")
    items[4]["keypoints"][3 * 9] = missing  # left wrist's x
    items[5]["keypoints"][3 * 9 + 2] = missing
    detections = read_keypoints(write_json(items))
    is_seen = detections.as_h36m()[..., 2] > 0
    assert [tuple(pair) for pair in np.argwhere(~is_seen)] == [(4, 13), (5, 13)]
    assert np.isfinite(detections.keypoints_px).all()


def test_low_scores_are_left_out_and_counted(write_json, rows, caplog):
    items = rows("coco17", score=0.9)
    items[3]["score"] = 0.05
    assert 3 not in read_keypoints(write_json(items)).frame
    assert "1 detections with a score under 0.2 are left out; --least_score" in caplog.text
    assert len(read_keypoints(write_json(items), Reading(least_score=0.0)).frame) == FRAMES
    with refused("none of 12 detections has a score of 1, the best 0.9.*lower --least_score"):
        read_keypoints(write_json(items), Reading(least_score=1.0))


@pytest.mark.parametrize(
    ("seen", "y"), [("left_eye right_eye", 210), ("left_ear right_ear", 216), ("left_eye nose", 210), ("nose", 220)]
)
@pytest.mark.parametrize("order", ["coco17", "coco18", "body25", "mediapipe33"])
def test_the_head_is_made_of_what_is_seen_of_it(write_json, figure, joint_names, order, seen, y):
    """In profile the far eye is never found: that must not cost the head."""
    points = figure(order)
    for place, name in enumerate(joint_names[order]):
        if ("eye" in name or "ear" in name or name == "nose") and name not in [*seen.split(), "nose"]:
            points[place] = 0
    path = write_json([{"image_id": 0, "keypoints": points.ravel().tolist()}])
    head = read_keypoints(path, Reading(joint_order=order)).as_h36m()[0, 10]
    assert head[1] == pytest.approx(y, abs=0.01)
    assert head[2] > 0.8


@pytest.mark.parametrize("unit", [(1280, 720), (640, 720)])
def test_normalised_coordinates_are_an_error(write_json, rows, unit):
    items = rows("coco17")
    for item in items:
        item["keypoints"] = (np.array(item["keypoints"]).reshape(-1, 3) / (*unit, 1)).ravel().tolist()
    with refused("px of one another: they look normalised.*multiply x by the picture's width"):
        read_keypoints(write_json(items))
