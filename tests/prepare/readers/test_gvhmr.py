"""GVHMR's support files: bodies of three test sets on the keypoints that a detector found."""

import numpy as np
import pytest
import torch

from kinemesh.errors import UserError
from tests.prepare.readers.conftest import FRAME_COUNT, NAMED, SIZE, K


def tensors(**values) -> dict:
    return {key: torch.from_numpy(np.ascontiguousarray(value)).float() for key, value in values.items()}


def smpl_params(scene) -> dict:
    betas = np.tile(scene.betas, (FRAME_COUNT, 1))
    return tensors(global_orient=scene.poses[:, :3], body_pose=scene.poses[:, 3:], transl=scene.trans, betas=betas)


@pytest.fixture
def write(make_scene, gendered, tmp_path):
    """Writes the files of one set as GVHMR's `hmr4d/dataset/<set>/*_motion_test.py` read them."""

    def _write(kind: str):
        folder = tmp_path / "raw" / kind / "hmr4d_support"
        folder.mkdir(parents=True)
        if kind == "rich":
            # SMPL-X turns about another pelvis: 30 cm higher up here than the neutral stand-in's.
            scene = make_scene(stands=True)
            transl = scene.trans + gendered.neutral.rest_joints_m(scene.betas)[0] - [0.0, 0.3, 0.02]
            given = tensors(
                global_orient=scene.poses[:, :3], body_pose=scene.poses[:, 3:66], transl=transl, betas=np.zeros(10)
            )
            name, frames = "test/Gym_013_burpee4/cam_06", torch.arange(40, 40 + FRAME_COUNT)
            label = {"gt_smplx_params": given, "gender": "male", "frame_id": frames}
            seen = tensors(kp2d=scene.keypoints("coco17"), img_wh=np.array(SIZE), bbx_xys=np.zeros((FRAME_COUNT, 3)))
            torch.save({name: label}, folder / "rich_test_labels.pt")
            torch.save({name: seen}, folder / "rich_test_preproc.pt")
            camera = tuple(tensors(T=scene.camera[0], K=K).values())
            torch.save({"Gym_6": camera, "Gym_1": camera}, folder / "cam2params.pt")
            return scene
        scene = make_scene("female")
        mask = torch.arange(FRAME_COUNT) > 1
        label = {"gender": "female", "smpl_params": smpl_params(scene), **tensors(T_w2c=scene.camera, K_fullimg=K)}
        keypoints = tensors(kp2d=scene.keypoints("coco17"))["kp2d"]
        if kind == "emdb":
            label |= {"name": "P0_09", "mask": mask, "kp2d": keypoints, "features": torch.zeros(FRAME_COUNT, 1024)}
            torch.save({"P0_09_outdoor_walk": label}, folder / "emdb_vit_v4.pt")
            return scene
        label |= {"vname": "downtown_bar_00", "mask_raw": mask, "mask_wham": mask, "img_wh": SIZE}
        torch.save({"downtown_bar_00_1": label}, folder / "test_3dpw_gt_labels.pt")
        torch.save({"downtown_bar_00_1": keypoints}, folder / "preproc_test_kp2d_v0.pt")
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
    with pytest.raises(UserError, match="cam2params.pt is missing. Expected it from hmr4d/dataset/rich/resource"):
        prepare("gvhmr-support")
