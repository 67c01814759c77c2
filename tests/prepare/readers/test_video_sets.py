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
