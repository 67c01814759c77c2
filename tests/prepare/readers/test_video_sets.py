"""BEDLAM, BEDLAM2, EMDB and AIST++: small files of their layouts come out as bodies where they were seen."""

import json
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinemesh.errors import UserError
from tests.prepare.readers.conftest import FRAME_COUNT, NAMED, SIZE, K


@pytest.fixture
def write_labels(make_scene, gendered, tmp_path):
    """Writes BEDLAM's labels as GVHMR's and CameraHMR's readers have them: rows of two people, shuffled."""

    def _write(model: str, *, others: int = 0, step: int = 1, stem: str = "batch01hand_30fps"):
        scene = make_scene()
        (tmp_path / "raw").mkdir(exist_ok=True)
        count, ext = FRAME_COUNT, np.tile(np.eye(4), (FRAME_COUNT, 1, 1))
        ext[:, :3, 3] = [0.5, -0.2, 1.0]
        poses, trans, shape = scene.root, scene.camera_trans - ext[:, :3, 3], np.tile(scene.betas, (count, 1))
        if model == "smplx":
            poses = np.concatenate([scene.root[:, :66], np.zeros((count, 99))], axis=1)
            # SMPL-X's pelvis lies elsewhere at rest.
            trans, shape = (
                trans + gendered.neutral.rest_joints_m(scene.betas)[0] - [0, 0.3, 0.02],
                np.zeros((count, 16)),
            )
        noise = np.random.default_rng(0).uniform(0, 900, (count, others, 2))
        labels = {
            "imgname": np.array([f"seq_000001/seq_000001_{step * frame:04d}.png" for frame in range(count)]),
            "pose_cam": poses, "shape": shape, "trans_cam": trans, "cam_ext": ext, "cam_int": np.tile(K, (count, 1, 1)),
            "gtkps": np.concatenate([noise, scene.smpl_px], axis=1), "gender": np.full(count, "female"),
        }  # fmt: skip
        rows = np.random.default_rng(1).permutation(2 * count)
        both = {key: np.concatenate([values, values])[rows] for key, values in labels.items()}
        sub = np.repeat(["rp_alexandra_0001", "rp_ben_0002"], count)[rows]
        np.savez(tmp_path / f"raw/{stem}.npz", **both, sub=sub)
        return scene

    return _write


@pytest.mark.parametrize(
    ("source", "model", "others"), [("bedlam", "smpl", 0), ("bedlam", "smplx", 0), ("bedlam2", "smplx", 7)]
)
def test_labels_come_out_as_tracks_of_bodies(source, model, others, write_labels, prepare, loaded, shown_px):
    scene = write_labels(model, others=others, step=5)
    summary = prepare(source)
    train = loaded().train
    name = "batch01hand_30fps_seq_000001"
    assert train.video_names == [f"{name}_rp_alexandra_0001", f"{name}_rp_ben_0002"]
    assert train.image_size.tolist() == list(SIZE) and f"joints from number {others} of gtkps on" in summary.done
    # SMPL-X has no hand joints, and its betas are found within what a pixel tells.
    assert np.abs(shown_px()[:FRAME_COUNT] - scene.px).max() < (0.1 if model == "smpl" else 1)


def test_a_scene_is_read_at_its_full_rate_and_labels_that_lie_elsewhere_are_not(write_labels, prepare, tmp_path):
    write_labels("smpl")
    write_labels("smpl", stem="batch01hand_6fps", step=5)
    assert prepare("bedlam", is_dry=True).items == 1
    path = tmp_path / "raw/batch01hand_30fps.npz"
    content = dict(np.load(path))
    np.savez(path, **content | {"gtkps": content["gtkps"] + 500})
    with pytest.raises(UserError, match="dropped: of people whose body lies on none of their gtkps"):
        prepare("bedlam")


def test_people_of_bedlam2_follow_one_another_without_names(write_labels, prepare, loaded, tmp_path):
    write_labels("smplx", others=7)
    path = tmp_path / "raw/batch01hand_30fps.npz"
    content = dict(np.load(path))
    order = np.lexsort((content["imgname"], content.pop("sub")))
    np.savez(path, **{key: values[order] for key, values in content.items()})
    prepare("bedlam2")
    assert loaded().train.video_lengths.tolist() == [FRAME_COUNT, FRAME_COUNT]


@pytest.fixture
def write_scene(make_scene, tmp_path):
    """Writes a scene of BEDLAM2 and its motion as BEDLAM's `df_full_body_smplx_bedlam2.py` reads them."""

    def _write(scene_name: str, **changes):
        scene = make_scene(is_mean=True)
        folder = tmp_path / "raw" / scene_name
        (folder / "ground_truth/meta_exr_csv").mkdir(parents=True)
        (tmp_path / "raw/motions").mkdir()
        header = "Index,Type,Body,X,Y,Z,Yaw,Pitch,Roll,Comment"
        rows = [
            "0,Group,,1000.0,0,0,0,0,0,sequence_name=seq_000000;frames=8;hdri=sky",
            "1,Body,it_4001_XL_2400,1420.0,30.0,-20.0,35.0,0,0,start_frame=1;texture_body=a",
            "2,Body,it_9999_XL_1,1420.0,30.0,0.0,35.0,0,0,start_frame=0;texture_body=b",
        ]
        (folder / "be_seq.csv").write_text("\n".join([header, *rows]))
        camera = {
            "name": [f"seq_000000_{frame:04d}.exr" for frame in range(FRAME_COUNT)], "x": 1000 + np.arange(FRAME_COUNT),
            "y": np.full(FRAME_COUNT, 10.0), "z": np.full(FRAME_COUNT, 120.0), "yaw": 2.0 + np.arange(FRAME_COUNT) / 10,
            "pitch": np.full(FRAME_COUNT, -7.0), "roll": np.full(FRAME_COUNT, 3.0), "focal_length": np.full(FRAME_COUNT, 24.0),
        } | changes  # fmt: skip
        lines = [",".join(camera), *(",".join(map(str, values)) for values in zip(*camera.values(), strict=True))]
        (folder / "ground_truth/meta_exr_csv/seq_000000_camera.csv").write_text("\n".join(lines))
        poses = np.concatenate([scene.poses[:, :66], np.zeros((FRAME_COUNT, 99))], axis=1)
        motion = {"poses": poses, "trans": scene.trans, "betas": np.zeros(300), "gender": np.array("female")}
        np.savez(tmp_path / "raw/motions/it_4001_XL_2400.npz", **motion)
        return scene, camera

    return _write


@pytest.mark.parametrize("name", ["scene_a", "scene_portrait"])
def test_scenes_of_bedlam2_are_seen_as_its_script_means_to(name, write_scene, prepare, loaded, shown_px):
    scene, camera = write_scene(name)
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


def test_scenes_that_are_there_in_part_are_one_line(write_scene, prepare, tmp_path):
    write_scene("scene_a", roll=["x"] * FRAME_COUNT)
    with pytest.raises(UserError, match="seq_000000_camera.csv: holds what is no number. Expected columns x, y, z"):
        prepare("bedlam2")
    (tmp_path / "raw/motions/it_4001_XL_2400.npz").unlink()
    with pytest.raises(UserError, match="be_seq.csv is there, no motion is. Expected b2_motions_npz_training.tar"):
        prepare("bedlam2")


@pytest.fixture
def write_emdb(make_scene, tmp_path):
    """Writes a sequence as eth-ait/emdb's dataset.md describes it."""
    scene = make_scene("female")
    mask = np.ones(FRAME_COUNT, bool)
    mask[:2] = False
    content = {
        "gender": "female", "name": "P0_09_outdoor_walk", "emdb1": True, "emdb2": False, "n_frames": FRAME_COUNT,
        "good_frames_mask": mask,
        "camera": {"intrinsics": K, "extrinsics": scene.camera, "width": SIZE[0], "height": SIZE[1]},
        "smpl": {"poses_root": scene.poses[:, :3], "poses_body": scene.poses[:, 3:], "trans": scene.trans, "betas": scene.betas},
        "kp2d": scene.smpl_px, "bboxes": {"bboxes": np.zeros((FRAME_COUNT, 4)), "invalid_idxs": np.zeros(0)},
    }  # fmt: skip
    folder = tmp_path / "raw/P0/09_outdoor_walk"
    folder.mkdir(parents=True)
    (folder / "P0_09_outdoor_walk_data.pkl").write_bytes(pickle.dumps(content))
    return scene


def test_bodies_of_emdb(write_emdb, prepare, loaded, shown_px):
    summary = prepare("emdb")
    assert np.abs(shown_px("test") - write_emdb.px[2:]).max() < 0.1
    assert loaded().test.video_names == ["P0_09_outdoor_walk"] and sum(summary.dropped.values()) == 2


def test_keypoints_of_a_file_are_matched_by_picture_and_person(write_emdb, prepare, loaded, tmp_path):
    """As AlphaPose writes them: somebody else is in every picture, and one frame has nobody."""
    keypoints = tmp_path / "keypoints/P0_09_outdoor_walk.json"
    keypoints.parent.mkdir()
    points = write_emdb.keypoints("coco17")
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
    np.testing.assert_allclose(test.keypoints_px[there][:, NAMED], write_emdb.px[2:][there][:, NAMED], atol=0.01)
    assert (test.confidence[2] == 0).all() and (test.confidence[there][:, NAMED] > 0).all()
    assert summary.orders == {"coco17": FRAME_COUNT - 3}
    keypoints.rename(keypoints.with_name("P1_other.json"))
    with pytest.raises(UserError, match="dropped: of sequences with keypoints in less than a tenth of the frames"):
        prepare("emdb", "other", keypoints=str(keypoints.parent))
    prepare("emdb", "none", keypoints="none")
    assert loaded(out="none").test.keypoints_px is None
    with pytest.raises(UserError, match="--keypoints nowhere not found"):
        prepare("emdb", "other", keypoints="nowhere")


@pytest.fixture
def write_aist(make_scene, tmp_path):
    """Writes a dance as google/aistplusplus_api's `aist_plusplus/loader.py` reads it, in centimetres or so."""
    scene, scale = make_scene(stands=True, is_mean=True), 93.0  # all of its bodies have the mean shape
    raw = tmp_path / "raw"
    for folder in ("motions", "keypoints2d", "cameras"):
        (raw / folder).mkdir(parents=True)
    name = "gBR_sBM_cAll_d05_mBR0_ch01"
    motion = {
        "smpl_poses": scene.poses, "smpl_scaling": np.array([scale]), "smpl_trans": scene.trans * scale, "smpl_loss": 0.1,
    }  # fmt: skip
    points = np.stack([scene.keypoints("coco17")] * 2)
    points[1, 0] = np.nan
    (raw / f"motions/{name}.pkl").write_bytes(pickle.dumps(motion))
    seen = {"keypoints2d": points, "det_scores": np.ones(points.shape[:2]), "timestamps": np.arange(FRAME_COUNT)}
    (raw / f"keypoints2d/{name}.pkl").write_bytes(pickle.dumps(seen))
    camera = {
        "size": SIZE, "matrix": K.tolist(), "rotation": Rotation.from_matrix(scene.camera[0, :3, :3]).as_rotvec().tolist(),
        "translation": (scene.camera[0, :3, 3] * scale).tolist(), "distortions": [0.0] * 5,
    }  # fmt: skip
    (raw / "cameras/setting1.json").write_text(json.dumps([camera | {"name": f"c{number:02d}"} for number in (1, 2)]))
    (raw / "cameras/mapping.txt").write_text(f"{name} setting1\n")
    (raw / "ignore_list.txt").write_text("gBR_other\n")
    return scene


def test_dances_of_aist_lie_on_what_was_detected(write_aist, prepare, loaded, shown_px, tmp_path):
    prepare("aist")
    train = loaded(fps=60.0).train
    assert train.video_names == ["gBR_sBM_c01_d05_mBR0_ch01", "gBR_sBM_c02_d05_mBR0_ch01"]
    assert train.video_lengths.tolist() == [FRAME_COUNT, FRAME_COUNT - 1]
    np.testing.assert_allclose(train.keypoints_px[:FRAME_COUNT, NAMED], write_aist.px[:, NAMED], atol=1e-3)
    assert np.abs(shown_px()[:FRAME_COUNT] - write_aist.px).max() < 0.1
    (tmp_path / "raw/cameras/mapping.txt").unlink()
    with pytest.raises(UserError, match="cameras/mapping.txt missing, there are .*motions. Expected AIST"):
        prepare("aist", "again")
