"""Keypoints as arrays: our own npz and npy, and VideoPose3D's."""

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.keypoints.arrays import AXES, detections_of_array
from kinemesh.program.wild.cli import AXES as AXES_OF_THE_FLAG


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
    with pytest.raises(
        UserError, match="4 people of 2 frames, or 4 frames of 2 people.*--keypoint_axes people,frames or"
    ):
        read_keypoints(tmp_path / "none.npz")
    with pytest.raises(UserError, match="axes 'time'"):
        read_keypoints(tmp_path / "none.npz", Reading(axes="time"))
    assert AXES == AXES_OF_THE_FLAG


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
    with pytest.raises(UserError, match="holds 3 videos: S1/Walking/0, S1/Walking/1, S2/Walking. Expected one"):
        read_keypoints(tmp_path / "two.npz")


class Opens:
    def __reduce__(self):
        return open, ("/tmp/never-made-by-a-test", "w")


def test_nothing_in_an_object_array_is_run(tmp_path):
    write_videopose(tmp_path / "k.npz", {"a": {"b": [Opens()]}})
    with pytest.raises(UserError, match="k.npz: refused, nothing in it was run"):
        read_keypoints(tmp_path / "k.npz")


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
        with pytest.raises(UserError, match=str(path)) as caught:
            read_keypoints(path)
        assert told in str(caught.value)


def test_an_array_is_named_too():
    with pytest.raises(UserError, match="the array: 'keypoints' is an array of float64 of shape"):
        detections_of_array(np.zeros((17, 3)))
