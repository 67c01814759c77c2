"""BEDLAM, BEDLAM2, EMDB and AIST++: small files of their layouts come out as bodies where they were seen."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinemesh.errors import UserError
from tools.published.bedlam import write_bedlam2, write_labels
from tools.published.scene import FRAME_COUNT, NAMED, SIZE
from tools.published.videos import write_aist, write_emdb


@pytest.mark.parametrize(
    ("source", "model", "others"), [("bedlam", "smpl", 0), ("bedlam", "smplx", 0), ("bedlam2", "smplx", 7)]
)
def test_labels_come_out_as_tracks_of_bodies(source, model, others, make_scene, prepare, loaded, shown_px, tmp_path):
    scene = make_scene()
    write_labels(tmp_path / "raw", scene, model, others=others, step=5)
    summary = prepare(source)
    train = loaded().train
    name = "batch01hand_30fps_seq_000001"
    assert train.video_names == [f"{name}_rp_alexandra_0001", f"{name}_rp_ben_0002"]
    assert train.image_size.tolist() == list(SIZE) and f"joints from number {others} of gtkps on" in summary.done
    # SMPL-X has no hand joints, and its betas are found within what a pixel tells.
    assert np.abs(shown_px()[:FRAME_COUNT] - scene.px).max() < (0.1 if model == "smpl" else 1)


def test_a_scene_is_read_at_its_full_rate_and_labels_that_lie_elsewhere_are_not(make_scene, prepare, tmp_path):
    path = write_labels(tmp_path / "raw", make_scene(), "smpl")
    write_labels(tmp_path / "raw", make_scene(), "smpl", stem="batch01hand_6fps", step=5)
    assert prepare("bedlam", is_dry=True).parts == 1
    content = dict(np.load(path))
    np.savez(path, **content | {"gtkps": content["gtkps"] + 500})
    with pytest.raises(UserError, match="dropped: of people whose body lies on none of their gtkps"):
        prepare("bedlam")


def test_people_of_bedlam2_follow_one_another_without_names(make_scene, prepare, loaded, tmp_path):
    path = write_labels(tmp_path / "raw", make_scene(), "smplx", others=7)
    content = dict(np.load(path))
    order = np.lexsort((content["imgname"], content.pop("sub")))
    np.savez(path, **{key: values[order] for key, values in content.items()})
    prepare("bedlam2")
    assert loaded().train.video_lengths.tolist() == [FRAME_COUNT, FRAME_COUNT]


@pytest.mark.parametrize("name", ["scene_a", "scene_portrait"])
def test_scenes_of_bedlam2_are_seen_as_its_script_means_to(name, make_scene, prepare, loaded, shown_px, tmp_path):
    scene = make_scene(is_mean=True)
    (tmp_path / "raw").mkdir()
    camera = write_bedlam2(tmp_path / "raw", scene, name)
    summary = prepare("bedlam2")
    is_portrait = "portrait" in name

    def turn(axis, degrees):
        return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()

    expected = []
    for frame in range(FRAME_COUNT - 1):
        # The world's joints of the frame after, as the body starts with its second one.
        joints = (scene.joints_m[frame + 1] - scene.camera[frame + 1, :3, 3]) @ scene.camera[frame + 1, :3, :3]
        yaw, pitch, roll = (-camera[key][frame] for key in ("yaw", "pitch", "roll"))
        lens = turn("z", roll + 90 * is_portrait) @ turn("x", pitch)
        turned = (turn("y", 35.0 - 90 + yaw) @ (joints * [1, -1, -1]).T).T
        apart = np.array([1420.0 - camera["x"][frame], 30.0 - camera["y"][frame], -20.0 - camera["z"][frame]]) / 100
        place = turn("y", yaw) @ np.array([apart[1], -apart[2], apart[0]])
        seen = (lens @ (turned + place).T).T
        size = np.array([720, 1280] if is_portrait else [1280, 720])
        expected.append(seen[:, :2] / seen[:, 2:] * 24 / 36 * 1280 + size / 2)
    assert np.abs(shown_px() - np.array(expected)).max() < 1  # straight hands
    train = loaded().train
    assert train.video_names == [f"{name}_seq_000000_1"] and train.image_size.tolist() == size.tolist()
    assert summary.dropped == {"bodies of the set's test people, whose motion is not published": FRAME_COUNT}


def test_scenes_that_are_there_in_part_are_one_line(make_scene, prepare, tmp_path):
    (tmp_path / "raw").mkdir()
    write_bedlam2(tmp_path / "raw", make_scene(is_mean=True), "scene_a", roll=["x"] * FRAME_COUNT)
    with pytest.raises(UserError, match="seq_000000_camera.csv: holds what is no number. Expected columns x, y, z"):
        prepare("bedlam2")
    (tmp_path / "raw/motions/it_4001_XL_2400.npz").unlink()
    with pytest.raises(UserError, match="be_seq.csv is there, no motion is. Expected b2_motions_npz_training.tar"):
        prepare("bedlam2")


@pytest.fixture
def emdb(make_scene, tmp_path):
    scene = make_scene("female")
    write_emdb(tmp_path / "raw", scene)
    return scene


def test_bodies_of_emdb(emdb, prepare, loaded, shown_px):
    summary = prepare("emdb")
    assert np.abs(shown_px("test") - emdb.px[2:]).max() < 0.1
    assert loaded().test.video_names == ["P0_09_outdoor_walk"] and sum(summary.dropped.values()) == 2


def test_keypoints_of_a_file_are_matched_by_picture_and_person(emdb, prepare, loaded, tmp_path):
    """As AlphaPose writes them: somebody else is in every picture, and one frame has nobody."""
    keypoints = tmp_path / "keypoints/P0_09_outdoor_walk.json"
    keypoints.parent.mkdir()
    points = emdb.keypoints("coco17")
    entries = [
        {"image_id": f"{frame:05d}.jpg", "category_id": 1, "keypoints": person[frame].ravel().tolist(), "score": 3.0}
        for person in (points + np.array([900.0, 60, 0]), points)
        for frame in range(FRAME_COUNT)
        if frame != 4
    ]
    keypoints.write_text(json.dumps(entries))
    summary = prepare("emdb", keypoints=str(keypoints.parent))
    test = loaded().test
    there = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(test.keypoints_px[there][:, NAMED], emdb.px[2:][there][:, NAMED], atol=0.01)
    assert (test.confidence[2] == 0).all() and (test.confidence[there][:, NAMED] > 0).all()
    assert summary.orders == {"coco17": FRAME_COUNT - 3}
    keypoints.rename(keypoints.with_name("P1_other.json"))
    with pytest.raises(UserError, match="dropped: of sequences with keypoints in less than a tenth of the frames"):
        prepare("emdb", "other", keypoints=str(keypoints.parent))
    prepare("emdb", "none", keypoints="none")
    assert loaded(out="none").test.keypoints_px is None
    with pytest.raises(UserError, match="--keypoints nowhere not found"):
        prepare("emdb", "other", keypoints="nowhere")


def test_dances_of_aist_lie_on_what_was_detected(make_scene, prepare, loaded, shown_px, tmp_path):
    scene = make_scene(stands=True, is_mean=True)
    write_aist(tmp_path / "raw", scene)
    prepare("aist")
    train = loaded(fps=60.0).train
    assert train.video_names == ["gBR_sBM_c01_d05_mBR0_ch01", "gBR_sBM_c02_d05_mBR0_ch01"]
    assert train.video_lengths.tolist() == [FRAME_COUNT, FRAME_COUNT - 1]
    # The second camera's lens is taken out.
    expected = np.concatenate((scene.px, scene.px[1:]))
    np.testing.assert_allclose(train.keypoints_px[:, NAMED], expected[:, NAMED], atol=2e-3)
    assert np.abs(shown_px() - expected).max() < 0.1
    (tmp_path / "raw/cameras/mapping.txt").unlink()
    with pytest.raises(UserError, match="cameras/mapping.txt missing, there are .*motions. Expected AIST"):
        prepare("aist", "again")
