"""Keypoints as arrays: our own npz and npy, and VideoPose3D's."""

import numpy as np
import pytest

from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.keypoints.arrays import AXES, detections_of_array
from kinemesh.program.wild.flags import KEYPOINT_AXES
from tests.files.calls import Call
from tests.refusals import refused, refuses


@pytest.mark.parametrize("shape", [(5, 17, 2), (5, 17, 3), (2, 5, 17, 2), (2, 5, 17, 3)])
def test_npz(tmp_path, shape):
    keypoints = np.random.default_rng(0).uniform(0.1, 1, shape) * (600, 600, 1)[: shape[-1]]
    keypoints[..., 3, :, :] = np.nan
    np.savez(tmp_path / "k.npz", keypoints=keypoints)
    found = read_keypoints(tmp_path / "k.npz")
    people = 2 if len(shape) == 4 else 1
    assert found.frame.tolist() == [frame for frame in (0, 1, 2, 4) for _ in range(people)]
    assert set(found.person.tolist()) == {str(number) for number in range(people)}
    first = keypoints.reshape(-1, 5, 17, shape[-1])[:, 0]
    np.testing.assert_allclose(found.keypoints_px[:people, :, : shape[-1]], first, rtol=1e-6)
    if shape[-1] == 2:
        assert (found.keypoints_px[..., 2] == 1).all()


@pytest.fixture
def walk(figure):
    """(2 people, 4 frames, 17, 3) in H36M's order."""
    return np.stack([[figure("h36m17", frame, person) for frame in range(4)] for person in range(2)]).astype(np.float32)


def test_axes_are_told_by_a_key_or_a_flag(tmp_path, walk, check_h36m):
    turned = walk.swapaxes(0, 1)
    np.savez(tmp_path / "key.npz", keypoints=turned, axes="frames,people")
    np.savez(tmp_path / "none.npz", keypoints=turned)
    for detections in (
        read_keypoints(tmp_path / "key.npz"),
        read_keypoints(tmp_path / "none.npz", Reading(axes="frames,people")),
        detections_of_array(walk),
    ):
        assert detections.frame.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        assert detections.person.tolist() == ["0", "1"] * 4
        check_h36m(detections, people=2, apart=())
    with refused("4 people of 2 frames, or 4 frames of 2 people.*--keypoint_axes people,frames or"):
        read_keypoints(tmp_path / "none.npz")
    refuses("axes 'time'", read_keypoints, tmp_path / "none.npz", Reading(axes="time"))
    assert AXES == KEYPOINT_AXES


def test_an_array_of_a_detectors_joints_keeps_them(tmp_path, figure, check_h36m):
    np.save(tmp_path / "k.npy", np.stack([figure("halpe26", frame) for frame in range(3)]))
    detections = read_keypoints(tmp_path / "k.npy")
    assert (detections.joint_order, detections.keypoints_px.shape) == ("halpe26", (3, 26, 3))
    check_h36m(detections, apart=())
    np.savez(tmp_path / "k.npz", keypoints=np.stack([figure("coco17")]), joint_order="coco17")
    check_h36m(read_keypoints(tmp_path / "k.npz"))


def test_somebody_seen_twice_in_a_long_array_is_in_one_video():
    keypoints = np.full((9000, 17, 3), np.nan)
    keypoints[[0, 8999]] = np.random.default_rng(0).uniform(1, 500, (17, 3))
    detections = detections_of_array(keypoints)
    assert not detections.are_images
    assert detections.frame.tolist() == [0, 8999]


def write_videopose(path, videos: dict, **metadata) -> None:
    np.savez_compressed(path, positions_2d=np.array(videos, dtype=object), metadata=np.array(metadata, dtype=object))


def test_videopose3d(tmp_path, figure, check_h36m):
    points = np.stack([figure("coco17", frame)[:, :2] for frame in range(3)])
    write_videopose(tmp_path / "one.npz", {"walk.mp4": {"custom": [points]}}, layout_name="coco", num_joints=17)
    detections = read_keypoints(tmp_path / "one.npz")
    assert detections.frame.tolist() == [0, 1, 2]
    check_h36m(detections)
    two = {"S1": {"Walking": [points, points + 9]}, "S2": {"Walking": [points + 9]}}
    write_videopose(tmp_path / "two.npz", two, layout_name="coco")
    check_h36m(read_keypoints(tmp_path / "two.npz" / "S1" / "Walking" / "0"))
    with refused("holds 3 videos: S1/Walking/0, S1/Walking/1, S2/Walking. Expected one"):
        read_keypoints(tmp_path / "two.npz")


def write_detectron(path, people: list[list[np.ndarray]], scores: list[list[float]], size=(1280, 720)) -> None:
    """As numpy before 1.24 saved lists of unequal lists, which newer ones refuse. `people`: (4, 17) of each frame's."""
    columns = {name: np.empty((len(people), 2), dtype=object) for name in ("keypoints", "boxes")}
    for frame, (points, own) in enumerate(zip(people, scores, strict=True)):
        boxes = np.concatenate((np.zeros((len(own), 4)), np.reshape(own, (-1, 1))), axis=1).astype(np.float32)
        values = {"keypoints": np.array(points, dtype=np.float32), "boxes": boxes}
        for name, column in columns.items():
            column[frame] = [[], values[name] if own else []]
    metadata = np.array({"w": size[0], "h": size[1]}, dtype=object)
    np.savez_compressed(path, segments=np.full(len(people), None), metadata=metadata, **columns)


@pytest.mark.parametrize("program", ["detectron2", "detectron"])
def test_detectron(tmp_path, figure, check_h36m, program):
    def person(frame: int, number: int) -> np.ndarray:
        x, y, _ = figure("coco17", frame, number).T
        nobody_sees = np.arange(17) == 9  # the left wrist
        heights = {
            "detectron2": (0 * x, np.where(nobody_sees, 0.04, 0.3)),
            "detectron": (np.where(nobody_sees, 1, 9), 0 * x),
        }
        return np.stack((x, y, *heights[program]))

    people = [[person(0, 0), person(0, 1)], [], [person(2, 1), person(2, 0), person(2, 0)]]
    path = tmp_path / "walk.mp4.npz"
    write_detectron(path, people, [[0.9, 0.8], [], [0.9, 0.8, 0.1]])
    detections = read_keypoints(path, Reading(image_size=(1280, 720)))
    assert detections.frame.tolist() == [0, 0, 2, 2]
    assert detections.joint_order == "coco17"
    assert set(detections.person.tolist()) == {""}
    assert (detections.keypoints_px[:, :, 2] == (np.arange(17) != 9)).all()
    check_h36m(detections, people=2, apart=("head_top", "nose", "left_wrist"))
    with refused("keypoints of pictures of 1280x720, not 1920x1080"):
        read_keypoints(path, Reading(image_size=(1920, 1080)))


def test_a_detectron_file_of_nobody_or_of_something_else_is_told(tmp_path):
    path = tmp_path / "k.npz"
    np.savez(path, keypoints=np.zeros((3, 2, 0)), boxes=np.zeros((3, 2, 0)), segments=np.full(3, None))
    refuses("nobody was detected", read_keypoints, path)
    write_detectron(path, [[np.zeros((4, 17))]], [[0.9]])
    held = dict(np.load(path, allow_pickle=True))
    for changes, told in (
        ({"keypoints": np.array([[[], [OPENS]]], dtype=object)}, "refused, nothing in it was run"),
        ({"keypoints": np.array([None])}, "'keypoints' of frame 0 are no list of arrays"),
        ({"keypoints": np.array({"a": 1}, dtype=object)}, "is no list of frames"),
        ({"boxes": held["boxes"][:0]}, "'keypoints' are of 1 frames, 'boxes' of 0"),
        ({"boxes": held["keypoints"]}, r"of shape \(1, 4, 17\), boxes of shape \(1, 4, 17\)"),
    ):
        np.savez(path, **held | changes)
        refuses(told, read_keypoints, path)


OPENS = Call(open, ("/tmp/never-made-by-a-test", "w"))


def test_nothing_in_an_object_array_is_run(tmp_path):
    write_videopose(tmp_path / "k.npz", {"a": {"b": [OPENS]}})
    refuses("k.npz: refused, nothing in it was run", read_keypoints, tmp_path / "k.npz")


def test_wrong_npz_is_named(tmp_path):
    path = tmp_path / "k.npz"
    for arrays, told in (
        ({"other": np.zeros(3)}, "no 'keypoints' in it"),
        ({"keypoints": np.zeros((5, 17, 4))}, "of shape (5, 17, 4)"),
        ({"keypoints": np.array(["a"])}, "'keypoints' is an array of <U1"),
        ({"keypoints": 100 * np.random.default_rng(0).random((5, 19, 3))}, "holds 19 joints a person. Expected 17"),
        ({"keypoints": np.zeros((5, 17, 3))}, "nobody was detected"),
    ):
        np.savez(path, **arrays)
        with refused(str(path)) as caught:
            read_keypoints(path)
        assert told in str(caught.value)


def test_an_array_is_named_too():
    refuses("the array: 'keypoints' is an array of float64 of shape", detections_of_array, np.zeros((17, 3)))
