"""Human3.6M: bodies stand before each camera where they stood in the world, with the joints that were measured."""

import json
import shutil

import numpy as np
import pytest

from kinemesh.prepare.human36m.cdf import read_cdf
from tests.refusals import refused, refuses
from tools.published.moon import OWN_K, SHIFT, write_cdf, write_h36m, write_mosh, write_recording
from tools.published.scene import FRAME_COUNT

SIZES = [[1000, 1002], [1000, 1000]]


@pytest.fixture
def scene(make_scene):
    return make_scene(stands=True)


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def moved(joints):
    """The spine of two frames: more than 25 mm on the mean of 17 joints."""
    joints = joints.copy()
    joints[[1, 3], 13] += [0, 0.5, 0] if abs(joints).max() < 100 else [0, 500, 0]
    return joints


def test_bodies_lie_where_their_joints_were_measured(scene, raw, prepare, loaded, shown_px):
    write_h36m(raw, scene, 1)
    write_h36m(raw, scene, 9)
    expected = np.concatenate([scene.px, scene.px]) + SHIFT
    summary = prepare("h36m")
    assert np.abs(shown_px() - expected).max() < 0.1
    assert summary.mean("joints", "mm") < 0.1
    train, test = loaded().train, loaded().test
    assert train.video_names == ["S1_Directions_1.54138969", "S1_Directions_1.55011271"]
    assert train.image_size[[0, -1]].tolist() == SIZES
    assert test.video_actions == ["Directions", "Directions"]
    prepare("h36m", "mesh_det_h36m.pkl")
    released = loaded("h36m", "mesh_det_h36m.pkl", None)
    # Keypoints are projected, with errors, as there are none.
    off = np.linalg.norm(released.train.keypoints_px.numpy() - expected, axis=-1)
    assert 0.5 < np.median(off) < 30
    assert released.test.video_names == ["S9_Directions_1.54138969", "S9_Directions_1.55011271"]


def test_fits_that_are_off_and_joints_in_another_order_are_left_out(scene, raw, prepare, loaded):
    write_h36m(raw, scene, 1, joints=moved, step=5)
    summary = prepare("h36m")
    assert summary.dropped == {"fits more than 25 mm off the measured joints": 4}
    assert loaded().train.video_lengths.tolist() == [1, 1, FRAME_COUNT - 4] * 2  # every fifth frame has no gap
    # Left leg first, as SPIN takes them.
    write_h36m(raw, scene, 1, joints=lambda joints: joints[:, [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]])
    refuses("can be used: dropped: ", prepare, "h36m", "again")


@pytest.fixture
def recordings(scene, raw, make_scene):
    """The set's own files of subject 1: the two recordings of an action, the second being the scene's, every fifth frame."""
    pytest.importorskip("cdflib")
    write_recording(raw, make_scene(seed=5, stands=True), "S1/Directions")
    write_recording(raw, scene, "S1/Directions 1", joints=moved, step=5)
    return raw


@pytest.mark.parametrize("has_mono", [True, False])
def test_the_sets_own_joints_and_keypoints_take_the_place_of_those_that_moon_publishes(
    has_mono, scene, recordings, prepare, loaded, shown_px, tmp_path
):
    write_h36m(recordings, scene, 1, step=5)
    (recordings / "Human36M_subject1_joint_3d.json").unlink()
    if not has_mono:
        shutil.rmtree(recordings / "S1/MyPoseFeatures/D3_Positions_mono")
        shutil.rmtree(recordings / "S1/MyPoseFeatures/D2_Positions")
    summary = prepare("h36m")
    assert summary.dropped == {"fits more than 25 mm off the measured joints": 4}
    rows = np.r_[0, 2, 4:FRAME_COUNT]
    expected = np.concatenate([scene.px[rows]] * 2) + SHIFT
    assert np.abs(shown_px() - expected).max() < 0.1
    train = loaded().train
    assert train.video_names[0] == "S1_Directions_1.54138969_1"
    if has_mono:
        np.testing.assert_allclose(train.keypoints_px, expected, atol=0.1)
        assert summary.orders == {"h36m17": 2 * len(rows)} and summary.mean("keypoints", "error_px") < 0.1
        said = json.loads((tmp_path / "out/manifest.json").read_text())["provenance"]
        assert "D2_Positions" in said["detector"] and "Directions 1.54138969.cdf" in str(said["sources"])
    else:
        assert not summary.orders


def test_frames_that_only_some_of_the_files_have_are_left_out(scene, recordings, prepare):
    write_h36m(recordings, scene, 1, step=5)
    path = recordings / "S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf"
    write_cdf(path, read_cdf(path, "Pose", what="keypoints")[:, :-1])
    assert prepare("h36m", is_dry=True).dropped["without measured joints"] == 1


@pytest.mark.parametrize("depth_mm", [0.0, -1.0, 1e-300])
def test_joints_that_no_camera_sees_are_one_line(depth_mm, scene, recordings, prepare):
    write_h36m(recordings, scene, 1, step=5)
    path = recordings / "S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf"
    joints = read_cdf(path, "Pose", what="joints").copy()
    joints[0, 5, 2] = depth_mm
    write_cdf(path, joints)
    with refused("Directions 1.54138969.cdf: has joints behind the camera"):
        prepare("h36m")


def test_bodies_that_lie_on_no_recording_are_left_out(recordings, make_scene, prepare):
    write_h36m(recordings, make_scene(seed=7, stands=True), 1)
    refuses("dropped: of bodies that lie on no recording of their action", prepare, "h36m")


def test_bodies_of_mosh_are_put_where_the_joints_were_measured(scene, recordings, prepare, loaded, shown_px, tmp_path):
    write_h36m(recordings, scene, 1)  # is left alone: a subject has one kind of bodies
    for number in (0, 1):
        write_mosh(recordings, scene, "S1/Directions 1", number)
    summary = prepare("h36m")
    assert summary.dropped == {"fits more than 25 mm off the measured joints": 4} and summary.parts == 2
    rows = np.r_[0, 2, 4:FRAME_COUNT]
    expected = np.concatenate([scene.px[rows]] * 2) + SHIFT
    train = loaded().train
    assert np.abs(shown_px() - expected).max() < 0.1
    np.testing.assert_allclose(train.keypoints_px, expected, atol=0.1)
    np.testing.assert_allclose(train.camera_matrix.reshape(-1, 3, 3)[0].numpy(), OWN_K, atol=0.01)
    assert train.video_names[0] == "S1_Directions_1.54138969_1" and train.video_lengths.tolist() == [1, 1, 4] * 2


def test_what_is_missing_beside_the_recordings_is_one_line(scene, recordings, prepare):
    refuses("recordings are there, nobody's SMPL parameters are. Expected Human36M's", prepare, "h36m")
    write_mosh(recordings, scene, "S1/Directions 1", 0)
    path = recordings / "S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refuses("Directions 1.54138969.cdf", prepare, "h36m")
    path.unlink()
    refuses("S1 is there, D2_Positions/Directions 1.54138969.cdf is missing", prepare, "h36m")
