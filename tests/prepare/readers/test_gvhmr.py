"""GVHMR's support files: bodies of three test sets on the keypoints that a detector found."""

import numpy as np
import pytest

from tests.refusals import refuses
from tools.published.scene import FRAME_COUNT, NAMED, SIZE
from tools.published.videos import write_gvhmr


@pytest.fixture
def write(make_scene, tmp_path):
    def _write(kind: str):
        scene = make_scene(stands=True) if kind == "rich" else make_scene("female")
        write_gvhmr(tmp_path / "raw", scene, kind)
        return scene

    return _write


@pytest.mark.parametrize("kind", ["3dpw", "emdb"])
def test_bodies_lie_on_the_keypoints(kind, write, prepare, loaded, shown_px):
    scene = write(kind)
    summary = prepare("gvhmr-support")
    test = loaded().test
    assert np.abs(shown_px("test") - scene.px[2:]).max() < 0.1
    np.testing.assert_allclose(test.keypoints_px[:, NAMED], scene.px[2:, NAMED], atol=0.01)
    assert test.image_size.tolist() == ([720, 960] if kind == "emdb" else list(SIZE))
    assert sum(summary.dropped.values()) == 2 and summary.orders == {"coco17": FRAME_COUNT - 2}


def test_smplx_bodies_get_the_shape_whose_joints_are_seen(write, prepare, loaded, shown_px):
    scene = write("rich")
    prepare("gvhmr-support", "rich.pkl")
    prepare("gvhmr-support")
    # Hands are straight in SMPL-X's 21 joints; nothing else differs.
    assert np.abs(shown_px("test") - scene.px).max() < 1
    np.testing.assert_allclose(loaded().test.smpl_shape[0, :4], scene.betas[:4], atol=0.15)
    assert loaded("own", "rich.pkl").test.image_size.tolist() == [1920, 1920]


def test_what_is_missing_is_said(write, prepare, tmp_path):
    write("rich")
    (tmp_path / "raw/rich/hmr4d_support/cam2params.pt").unlink()
    refuses("cam2params.pt is missing. Expected it from hmr4d/dataset/rich/resource", prepare, "gvhmr-support")
