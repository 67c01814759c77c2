"""A folder of one file an image is a video, whatever the files are called and whatever else lies there."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinemesh.infer.people import find_people
from kinemesh.keypoints import Reading, read_keypoints
from tests.refusals import refuses

FRAMES = 4


def write(folder: Path, name: str, content) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def openpose(points: np.ndarray) -> dict:
    return {
        "version": 1.3,
        "people": [{"person_id": [-1], "pose_keypoints_2d": points.ravel().tolist(), "hand_left_keypoints_2d": []}],
    }


@pytest.mark.parametrize("order", ["body25", "body25b", "coco18", "mpi15", "halpe26"])
@pytest.mark.parametrize(
    "name", ["vid_{:012d}_keypoints.json", "cam01_{:06d}.json", "{}.json", "take2_{:04d}_pose.json", "frame ({}).json"]
)
def test_openpose_and_pose2sim(tmp_path, figure, check_h36m, order, name):
    for frame in range(FRAMES):
        write(tmp_path, name.format(frame), openpose(figure(order, frame)))
    write(tmp_path, f"._{name.format(0)}", "\x00\x05\x16\x07 as macOS leaves")
    detections = read_keypoints(tmp_path)
    assert detections.joint_order == order
    assert detections.frame.tolist() == [0, 1, 2, 3]
    check_h36m(detections)


def test_body_135(tmp_path, figure, check_h36m):
    write(tmp_path, "a_0.json", openpose(np.concatenate((figure("body25b"), np.full((110, 3), 0.5)))))
    detections = read_keypoints(tmp_path)
    assert (detections.joint_order, detections.keypoints_px.shape) == ("body25b", (1, 135, 3))
    check_h36m(detections)
    check_h36m(read_keypoints(tmp_path / "a_0.json"))  # a single file


def test_people_with_nothing_and_frames_with_nobody(tmp_path, figure):
    for frame in range(FRAMES):
        write(tmp_path, f"v_{frame:012d}_keypoints.json", openpose(figure("body25", frame)))
    content = openpose(figure("body25", 1))
    content["people"].append({"person_id": [-1], "pose_keypoints_2d": []})
    write(tmp_path, "v_000000000001_keypoints.json", content)
    write(tmp_path, "v_000000000000_keypoints.json", {"version": 1.3, "people": []})
    assert read_keypoints(tmp_path).frame.tolist() == [1, 2, 3]


def test_two_videos_in_one_folder(tmp_path, figure):
    for video in ("walk", "run"):
        for frame in range(FRAMES):
            points = figure("body25", frame, int(video == "run"))
            write(tmp_path, f"{video}_{frame:012d}_keypoints.json", openpose(points))
    refuses(r"images of 2 videos, 'run', 'walk'.*/run\.", read_keypoints, tmp_path)
    detections = read_keypoints(tmp_path / "run")
    assert detections.frame.tolist() == [0, 1, 2, 3]
    assert detections.as_h36m()[0, 0, 0] == pytest.approx(800)
    refuses("/jump not found", read_keypoints, tmp_path / "jump")


def test_a_folder_of_cameras_names_them(tmp_path, figure):
    for camera in ("cam01_json", "cam02_json"):
        write(tmp_path / camera, "c_000000.json", openpose(figure("halpe26")))
    refuses("Expected one camera's: .*/cam01_json, .*/cam02_json", read_keypoints, tmp_path)


@pytest.mark.parametrize("is_named", [False, True])
def test_mmpose_a_file_an_image(tmp_path, figure, check_h36m, is_named):
    for frame in range(FRAMES):
        points = figure("posetrack18" if is_named else "coco17", frame)
        people = [{"keypoints": points[:, :2].tolist(), "keypoint_scores": points[:, 2].tolist(), "bbox_score": 0.9}]
        content = {"meta_info": {"dataset_name": "posetrack18"}, "instance_info": people} if is_named else people
        write(tmp_path, f"{frame + 1:06d}.json", content)
    write(tmp_path, "000002.json", [])
    detections = read_keypoints(tmp_path)
    assert detections.frame.tolist() == [0, 2, 3]
    assert detections.joint_order == ("posetrack18" if is_named else "coco17")
    check_h36m(detections)


def test_alphapose_sep_json(tmp_path, figure, check_h36m):
    for frame in range(FRAMES):
        bodies = [{"joints": figure("coco18", frame).ravel().tolist()}]
        write(tmp_path, f"{frame}.json", {"version": "AlphaPose v0.3", "bodies": bodies})
    detections = read_keypoints(tmp_path)
    assert detections.frame.tolist() == [0, 1, 2, 3]
    check_h36m(detections)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("rest", [(), (0.8,), (0.8, 7)])
def test_ultralytics_labels(tmp_path, figure, check_h36m, columns, rest):
    """Parts of the picture; a video's frames from 1; the second frame shows nobody and has no file."""
    for frame in (0, 2, 3):
        points = (figure("coco17", frame) / (1280, 720, 1))[:, :columns].ravel()
        write(tmp_path, f"clip_{frame + 1}.txt", " ".join(map(str, (0, 0.5, 0.5, 0.1, 0.6, *points, *rest))) + "\n")
    write(tmp_path, "classes.txt", "person\n")
    detections = read_keypoints(tmp_path, Reading(image_size=(1280, 720)))
    assert detections.frame.tolist() == [0, 2, 3]
    assert detections.person.tolist() == (["7"] * 3 if len(rest) == 2 else [""] * 3)
    check_h36m(detections)
    refuses("parts of the picture. Expected its size", read_keypoints, tmp_path)


def test_files_that_are_wrong_are_named(tmp_path, figure):
    write(tmp_path, "v_0.json", openpose(figure("body25")))
    write(tmp_path, "v_1.json", "{")
    refuses(r"v_1.json: not valid JSON", read_keypoints, tmp_path)
    write(tmp_path, "v_1.json", {"people": [{"x": 1}]})
    refuses(r"v_1.json: a person has no 'keypoints'", read_keypoints, tmp_path)
    write(tmp_path, "v_1.json", {"settings": 1})
    refuses(r"v_1.json: not recognised, unlike other files of its folder", read_keypoints, tmp_path)
    write(tmp_path, "v_1.json", [{"image_id": n, "keypoints": figure("coco17").ravel().tolist()} for n in (1, 2)])
    refuses(r"v_1.json: holds 2 images, but stands in a folder of 2 files", read_keypoints, tmp_path)


def test_a_folder_of_one_file_that_holds_the_video(tmp_path, figure, check_h36m):
    """As AlphaPose's own output folder is."""
    rows = [{"image_id": f"{n}.jpg", "keypoints": figure("halpe26", n).ravel().tolist()} for n in range(FRAMES)]
    write(tmp_path, "alphapose-results.json", rows)
    (tmp_path / "vis").mkdir()
    detections = read_keypoints(tmp_path)
    assert detections.frame.tolist() == [0, 1, 2, 3]
    check_h36m(detections)


def test_a_label_of_another_length_is_named(tmp_path):
    write(tmp_path, "clip_1.txt", "0 0.5 0.5 0.1 0.6\n")
    refuses("clip_1.txt: line 1 holds 5 numbers", read_keypoints, tmp_path)
    write(tmp_path, "clip_1.txt", "a b c\n")
    refuses("clip_1.txt: is not a table of numbers", read_keypoints, tmp_path)


def test_two_people_of_a_folder_are_told_apart(tmp_path, figure):
    for frame in range(FRAMES):
        people = openpose(figure("body25", frame))["people"] + openpose(figure("body25", frame, 1))["people"]
        write(tmp_path, f"v_{frame:012d}_keypoints.json", {"people": people[:: 1 if frame % 2 else -1]})
    found = find_people(read_keypoints(tmp_path), fps=30)
    assert [len(one.frames) for one in found] == [FRAMES, FRAMES]
    assert all(np.ptp(one.keypoints_px[:, 0, 0]) == pytest.approx(9) for one in found)
