"""Five sets of fits of COCO's people come out as bodies on the keypoints of the right person."""

import numpy as np
import pytest

from tests.refusals import refuses
from tools.published.coco import FITS, write_coco
from tools.published.scene import FRAME_COUNT, NAMED


@pytest.fixture
def write(make_scene, tmp_path):
    return lambda kind: (make_scene(), write_coco(tmp_path / "raw", make_scene(), kind))


@pytest.mark.parametrize("kind", FITS)
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
    refuses("fits of NeuralAnnot and SPIN. Expected one set", prepare, "coco")
    (tmp_path / "raw/coco_fits.npy").unlink()
    text = fits.read_text()
    fits.write_text(text[: len(text) // 2])
    refuses("NeuralAnnot.json: ends early: is the download complete|no valid JSON", prepare, "coco")
    annotations.unlink()
    refuses("person_keypoints_.* is missing. Expected it, of annotations_trainval2014.zip", prepare, "coco")
