"""Five sets of fits of COCO's people come out as bodies on the keypoints of the right person."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kinemesh.errors import UserError
from tests.prepare.readers.conftest import FRAME_COUNT, NAMED, SIZE, K

# The first two people are in one picture; one picture belongs to the test split.
PICTURES = [9, 9, 25, 30, 34, 36, 42, 99]
ANNOTATIONS = [400000 + number for number in range(FRAME_COUNT)]
FAR = 4e6


@pytest.fixture
def people(make_scene):
    """Scenes as seen by COCO: eight people. With `weak` all of them so far away that perspective is gone."""

    def make(weak: bool):
        scene = make_scene()
        if not weak:
            return scene, scene.px
        flat = scene.joints_m - scene.camera_trans[:, None]
        return scene, flat[..., :2] * 300 + [800.0, 500.0]

    return make


@pytest.fixture
def write(people, tmp_path):
    """Writes COCO's annotations and one set of fits of the same people."""

    def _write(kind: str):
        folder = tmp_path / "raw"
        folder.mkdir()
        scene, px = people(kind in ("EFT", "SPIN"))
        keypoints = scene._replace(px=px).keypoints("coco17")
        keypoints[..., 2] = 2  # seen, as COCO writes it
        names = [f"COCO_train2014_{number:012d}.jpg" for number in PICTURES]
        annotations = {
            "info": {"year": 2014},
            "images": [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in {*zip(PICTURES, names, strict=True)}],
            "annotations": [
                {"id": a, "image_id": n, "num_keypoints": 15, "keypoints": points.ravel().tolist(), "bbox": [0, 0, 1, 1]}
                for a, n, points in zip(ANNOTATIONS, PICTURES, keypoints, strict=True)
            ],
        }  # fmt: skip
        (folder / "person_keypoints_train2014.json").write_text(json.dumps(annotations))
        WRITERS[kind](folder, scene, names)
        return scene, px

    return _write


def write_eft(folder, scene, names):
    """github.com/facebookresearch/eft, docs/README_dataformat.md."""
    side, centre = 300.0, np.array([700.0, 480.0])
    scale = 2 * 300.0 / side
    shift = (np.array([800.0, 500.0]) - centre) / (scale * side / 2)
    data = [
        {
            "parm_pose": Rotation.from_rotvec(root.reshape(24, 3)).as_matrix().tolist(), "parm_shape": scene.betas.tolist(),
            "parm_cam": [scale, *shift.tolist()], "bbox_scale": side / 200, "bbox_center": centre.tolist(),
            "annotId": annotation, "imageName": name, "smpltype": "smpl",
        }
        for root, annotation, name in zip(scene.root, ANNOTATIONS, names, strict=True)
    ]  # fmt: skip
    (folder / "COCO2014-All-ver01.json").write_text(json.dumps({"ver": 0.1, "data": data}))


def write_neuralannot(folder, scene, names):
    """github.com/mks0601/NeuralAnnot_RELEASE, MSCOCO/demo_smpl.py."""
    fits = {
        str(annotation): {
            "smpl_param": {"pose": root.tolist(), "shape": scene.betas.tolist(), "trans": trans.tolist()},
            "cam_param": {"focal": [K[0, 0], K[1, 1]], "princpt": K[:2, 2].tolist()},
        }
        for annotation, root, trans in zip(ANNOTATIONS, scene.root, scene.camera_trans, strict=True)
    }
    (folder / "MSCOCO_train_SMPL_NeuralAnnot.json").write_text(json.dumps(fits, indent=1))


def npz_of(scene, names) -> dict:
    shape = np.tile(scene.betas, (FRAME_COUNT, 1))
    return {"imgname": np.array([f"train2014/{name}" for name in names]), "shape": shape, "scale": np.ones(FRAME_COUNT)}


def write_cliff(folder, scene, names):
    """github.com/haofanwang/CLIFF's files, as mmhuman3d's `cliff.py` reads them; the camera is in the picture's middle."""
    own = {"pose": scene.root, "global_t": scene.camera_trans, "focal_l": np.full(FRAME_COUNT, K[0, 0])}
    np.savez(folder / "coco2014part_cliffGT.npz", **npz_of(scene, names), **own)


def write_camerahmr(folder, scene, names):
    """CameraHMR's core/datasets/dataset_train.py."""
    own = {"pose_cam": scene.root, "cam_t": scene.camera_trans, "cam_int": np.tile(K, (FRAME_COUNT, 1, 1))}
    np.savez(folder / "coco-release.npz", **npz_of(scene, names), **own)


def write_spin(folder, scene, names):
    """github.com/nkolot/SPIN, train/fits_dict.py: rows of poses and betas, without cameras."""
    np.save(folder / "coco_fits.npy", np.concatenate([scene.root, np.tile(scene.betas, (FRAME_COUNT, 1))], axis=1))
    np.savez(folder / "coco_2014_train.npz", imgname=npz_of(scene, names)["imgname"])


WRITERS = {
    "EFT": write_eft, "NeuralAnnot": write_neuralannot, "CLIFF": write_cliff, "CameraHMR": write_camerahmr, "SPIN": write_spin,
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_bodies_lie_on_the_keypoints_of_their_own_person(kind, write, prepare, loaded, shown_px):
    scene, px = write(kind)
    summary = prepare("coco")
    dataset = loaded(fps=None)
    assert (dataset.train.frame_count, dataset.test.frame_count) == (7, 1)
    np.testing.assert_allclose(dataset.train.keypoints_px[:, NAMED], px[:7, NAMED], atol=1e-3)
    np.testing.assert_allclose(dataset.train.smpl_pose[:, 3:], scene.root[:7, 3:], atol=1e-4)
    assert summary.orders == {"coco17": FRAME_COUNT}
    if kind in ("EFT", "SPIN"):
        # No camera is made up. Of limbs that are seen, the body lies on every one; COCO's nose is no middle of others.
        assert dataset.train.camera_matrix is None and summary.mean("keypoints", "error_px") < 12
    else:
        assert np.abs(shown_px() - px[:7]).max() < 0.1


def test_a_pickle_is_in_squares_of_640(write, prepare, loaded):
    _, px = write("CLIFF")
    prepare("coco", "mesh_det_coco.pkl")
    dataset = loaded("coco", "mesh_det_coco.pkl", None)
    assert (dataset.train.frame_count, dataset.test.frame_count) == (7, 1)
    np.testing.assert_allclose(dataset.train.keypoints_px[:, NAMED], px[:7, NAMED] / 3 + [0, 140], atol=1e-3)


def test_what_is_missing_or_cut_short_is_one_line(write, prepare, tmp_path):
    write("NeuralAnnot")
    fits, annotations = (
        tmp_path / "raw" / name for name in ("MSCOCO_train_SMPL_NeuralAnnot.json", "person_keypoints_train2014.json")
    )
    np.save(tmp_path / "raw/coco_fits.npy", np.zeros((1, 82)))
    with pytest.raises(UserError, match="fits of NeuralAnnot and SPIN. Expected one set"):
        prepare("coco")
    (tmp_path / "raw/coco_fits.npy").unlink()
    text = fits.read_text()
    fits.write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match="NeuralAnnot.json: ends early: is the download complete|no valid JSON"):
        prepare("coco")
    annotations.unlink()
    with pytest.raises(UserError, match="person_keypoints_.* is missing. Expected it, of annotations_trainval2014.zip"):
        prepare("coco")
