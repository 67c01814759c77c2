"""3DPW's sequences come out as bodies that lie on their keypoints, whatever gender they were of."""

import json

import numpy as np
import pytest

from kinemesh.demo.body import write_body_files
from tests.refusals import refused, refuses
from tools.published.scene import FRAME_COUNT, NAMED
from tools.published.videos import write_3dpw


@pytest.fixture
def write(make_scene, tmp_path):
    def _write(split="train", name="downtown_walking_00", genders=("f", "m"), **changes):
        scenes = [make_scene({"f": "female", "m": "male"}.get(gender, "neutral")) for gender in genders]
        write_3dpw(tmp_path / "raw", scenes, genders, f"{split}/{name}", **changes)
        return scenes

    return _write


def test_refitted_bodies_lie_on_their_keypoints(write, prepare, loaded, shown_px, tmp_path):
    female, male = write()
    write("test", "office_00", ("n",))
    write("validation", "stairs_00", ("n",))
    summary = prepare("3dpw")
    train = loaded().train
    assert train.video_names == ["downtown_walking_00_0", "downtown_walking_00_1"]
    joints = shown_px()
    # The female stand-in is a shape of the neutral one: the same body comes out. The male one is not.
    assert np.abs(joints[:FRAME_COUNT] - female.px).max() < 0.1
    assert 0.1 < np.abs(joints[FRAME_COUNT:] - male.px).max() < 12
    np.testing.assert_allclose(train.keypoints_px[:FRAME_COUNT, NAMED], female.px[:, NAMED], atol=1e-3)
    assert summary.dropped == {"validation split": FRAME_COUNT}
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())["provenance"]
    assert manifest["keypoints"]["orders"] == {"coco18": 3 * FRAME_COUNT}
    assert 0 < manifest["keypoints"]["error"] < 0.02 < manifest["keypoints"]["mirrored"]
    assert 0.1 < manifest["refit_mm"] < 20
    assert manifest["detector"] == "3DPW's poses2d (OpenPose)" and len(manifest["sources"]) == 3


def test_ignored_shapes_keep_the_pose_and_the_pelvis(write, prepare, shown_px):
    (neutral, female) = write("test", genders=("n", "f"))
    prepare("3dpw", betas="ignore")
    joints = shown_px("test")
    assert np.abs(joints[:FRAME_COUNT] - neutral.px).max() < 0.1
    off = np.abs(joints[FRAME_COUNT:] - female.px)
    assert 1 < off.mean() < 30


def test_frames_without_a_valid_camera_are_cut_out(write, prepare, loaded):
    valid = np.ones(FRAME_COUNT, int)
    valid[5] = 0
    write("test", genders=("n",), campose_valid=[valid])
    summary = prepare("3dpw")
    test = loaded().test
    assert test.video_names == ["downtown_walking_00_0_1", "downtown_walking_00_0_2"]
    assert test.video_lengths.tolist() == [5, FRAME_COUNT - 6] and loaded().train.frame_count == 0
    assert summary.dropped == {"camera not valid (campose_valid)": 1}


def test_a_pickle_holds_what_the_released_one_does(write, prepare, loaded, tmp_path):
    scenes = write(genders=("n",))
    write("test", "office_00", ("n",))
    prepare("3dpw", "mesh_det_pw3d.pkl")
    dataset = loaded("pw3d", "mesh_det_pw3d.pkl", None)
    assert dataset.train.image_size.tolist() == [1920, 1920] and dataset.test.video_names == ["office_00_0"]
    said = json.loads((tmp_path / "mesh_det_pw3d.pkl.json").read_text())
    assert said["keypoints"]["error"] < 0.02 and sorted(path.name for path in tmp_path.iterdir()) == [
        "mesh_det_pw3d.pkl", "mesh_det_pw3d.pkl.json", "raw",
    ]  # fmt: skip
    # In the middle of the square.
    np.testing.assert_allclose(dataset.train.keypoints_px[:, NAMED], scenes[0].px[:, NAMED] + [0, 420], atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cam_poses": None}, "'cam_poses' is missing. Expected numbers of shape (any, 4, 4)"),
        ({"poses2d": [np.zeros((FRAME_COUNT, 18, 3))]}, "'poses2d' of person 0 has shape (8, 18, 3)"),
        ({"trans": [np.full((FRAME_COUNT, 3), np.nan)]}, "'trans' of person 0 holds NaN"),
        ({"genders": ["x"]}, "'genders' of person 0 is missing or none of m, f"),
        ({"poses": {}}, "'poses' is a dict. Expected a list"),
    ],
)
def test_what_a_file_lacks_is_one_line(changes, message, write, prepare, tmp_path):
    write("test", **{"genders": ("n",)} | changes)
    with refused() as error:
        prepare("3dpw")
    assert message in str(error.value) and "downtown_walking_00.pkl" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_what_is_missing_is_said(prepare, write, tmp_path):
    refuses("no such folder. Expected 3DPW's sequenceFiles .virtualhumans", prepare, "3dpw")
    (tmp_path / "raw/imageFiles").mkdir(parents=True)
    refuses("sequenceFiles missing, there are imageFiles. Expected 3DPW's", prepare, "3dpw")
    write(genders=("f",))
    write_body_files(tmp_path / "neutral")
    refuses("SMPL_FEMALE.pkl not found.*--betas ignore", prepare, "3dpw", data_root=tmp_path / "neutral")


def test_keypoints_that_show_the_mirror_image_are_refused(write, prepare, make_scene):
    points = make_scene().keypoints("coco18")
    mirrored = points[:, [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]]
    write(genders=("n",), poses2d=[mirrored.transpose(0, 2, 1)])
    refuses("nothing in it can be used: dropped: .*left and right exchanged", prepare, "3dpw")
