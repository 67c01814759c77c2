"""3DPW, GVHMR's support files, EMDB and AIST++."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from tools.published.scene import FRAME_COUNT, SIZE, K, Scene


def write_3dpw(
    raw: Path, scenes: Sequence[Scene], genders: Sequence[str], place: str = "train/downtown_walking_00", **changes: Any
) -> Path:
    """A sequence as 3DPW has it (SPIN's `datasets/preprocess/pw3d.py` reads these keys); keyword arguments change keys."""
    content = {
        "sequence": Path(place).name, "genders": list(genders), "cam_intrinsics": K, "cam_poses": scenes[0].camera,
        "poses": [scene.poses for scene in scenes], "trans": [scene.trans for scene in scenes],
        "betas": [np.concatenate([scene.betas, np.zeros(290)]) for scene in scenes],
        "poses2d": [scene.keypoints("coco18").transpose(0, 2, 1) for scene in scenes],
        "campose_valid": [np.ones(FRAME_COUNT, int) for _ in scenes], "img_frame_ids": np.arange(FRAME_COUNT),
    }  # fmt: skip
    path = raw / "sequenceFiles" / f"{place}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Protocol 2 is what Python 2 wrote.
    path.write_bytes(
        pickle.dumps({key: value for key, value in (content | changes).items() if value is not None}, protocol=2)
    )
    return path


def write_gvhmr(raw: Path, scene: Scene, kind: str, gender: str = "female") -> None:
    """The files of one set as GVHMR's `hmr4d/dataset/<set>/*_motion_test.py` read them."""
    folder = raw / kind / "hmr4d_support"
    folder.mkdir(parents=True)
    if kind == "rich":
        given = _tensors(
            global_orient=scene.poses[:, :3],
            body_pose=scene.poses[:, 3:66],
            transl=scene.smplx_trans,
            betas=np.zeros(10),
        )
        name, frames = "test/Gym_013_burpee4/cam_06", torch.arange(40, 40 + FRAME_COUNT)
        label = {"gt_smplx_params": given, "gender": "male", "frame_id": frames}
        seen = _tensors(kp2d=scene.keypoints("coco17"), img_wh=np.array(SIZE), bbx_xys=np.zeros((FRAME_COUNT, 3)))
        torch.save({name: label}, folder / "rich_test_labels.pt")
        torch.save({name: seen}, folder / "rich_test_preproc.pt")
        camera = tuple(_tensors(T=scene.camera[0], K=K).values())
        torch.save({"Gym_6": camera, "Gym_1": camera}, folder / "cam2params.pt")
        return
    mask = torch.arange(FRAME_COUNT) > 1
    betas = np.tile(scene.betas, (FRAME_COUNT, 1))
    params = _tensors(
        global_orient=scene.poses[:, :3], body_pose=scene.poses[:, 3:], transl=scene.trans, betas=betas
    )  # fmt: skip
    label = {"gender": gender, "smpl_params": params, **_tensors(T_w2c=scene.camera, K_fullimg=K)}
    keypoints = _tensors(kp2d=scene.keypoints("coco17"))["kp2d"]
    if kind == "emdb":
        label |= {"name": "P0_09", "mask": mask, "kp2d": keypoints, "features": torch.zeros(FRAME_COUNT, 1024)}
        torch.save({"P0_09_outdoor_walk": label}, folder / "emdb_vit_v4.pt")
        return
    label |= {"vname": "downtown_bar_00", "mask_raw": mask, "mask_wham": mask, "img_wh": SIZE}
    torch.save({"downtown_bar_00_1": label}, folder / "test_3dpw_gt_labels.pt")
    torch.save({"downtown_bar_00_1": keypoints}, folder / "preproc_test_kp2d_v0.pt")


def write_emdb(raw: Path, scene: Scene, gender: str = "female") -> None:
    """A sequence as eth-ait/emdb's dataset.md describes it; the first two frames are no good."""
    mask = np.ones(FRAME_COUNT, bool)
    mask[:2] = False
    content = {
        "gender": gender, "name": "P0_09_outdoor_walk", "emdb1": True, "emdb2": False, "n_frames": FRAME_COUNT,
        "good_frames_mask": mask,
        "camera": {"intrinsics": K, "extrinsics": scene.camera, "width": SIZE[0], "height": SIZE[1]},
        "smpl": {"poses_root": scene.poses[:, :3], "poses_body": scene.poses[:, 3:], "trans": scene.trans, "betas": scene.betas},
        "kp2d": scene.smpl_px, "bboxes": {"bboxes": np.zeros((FRAME_COUNT, 4)), "invalid_idxs": np.zeros(0)},
    }  # fmt: skip
    folder = raw / "P0/09_outdoor_walk"
    folder.mkdir(parents=True)
    (folder / "P0_09_outdoor_walk_data.pkl").write_bytes(pickle.dumps(content))


_LENS = (-0.2, 0.1, 0.002, -0.001, 0.01)


def write_aist(raw: Path, scene: Scene) -> None:
    """A dance as google/aistplusplus_api's `aist_plusplus/loader.py` reads it, in centimetres or so; of the mean shape."""
    scale = 93.0
    for folder in ("motions", "keypoints2d", "cameras"):
        (raw / folder).mkdir(parents=True)
    name = "gBR_sBM_cAll_d05_mBR0_ch01"
    motion = {
        "smpl_poses": scene.poses, "smpl_scaling": np.array([scale]), "smpl_trans": scene.trans * scale, "smpl_loss": 0.1,
    }  # fmt: skip
    points = np.stack([scene.keypoints("coco17")] * 2)
    points[1, ..., :2] = _through_lens(points[1, ..., :2])
    points[1, 0] = np.nan
    (raw / f"motions/{name}.pkl").write_bytes(pickle.dumps(motion))
    seen = {"keypoints2d": points, "det_scores": np.ones(points.shape[:2]), "timestamps": np.arange(FRAME_COUNT)}
    (raw / f"keypoints2d/{name}.pkl").write_bytes(pickle.dumps(seen))
    camera = {
        "size": SIZE, "matrix": K.tolist(), "rotation": Rotation.from_matrix(scene.camera[0, :3, :3]).as_rotvec().tolist(),
        "translation": (scene.camera[0, :3, 3] * scale).tolist(),
    }  # fmt: skip
    lenses = {"c01": (0.0,) * 5, "c02": _LENS}
    cameras = [camera | {"name": name, "distortions": lens} for name, lens in lenses.items()]
    (raw / "cameras/setting1.json").write_text(json.dumps(cameras))
    (raw / "cameras/mapping.txt").write_text(f"{name} setting1\n")
    (raw / "ignore_list.txt").write_text("gBR_other\n")


def _through_lens(seen_px: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of the scene's camera as a lens bends them: OpenCV's model."""
    k1, k2, p1, p2, k3 = _LENS
    x, y = np.moveaxis((seen_px - K[:2, 2]) / K[[0, 1], [0, 1]], -1, 0)
    squared = x * x + y * y
    factor = 1 + k1 * squared + k2 * squared**2 + k3 * squared**3
    bent = (
        x * factor + 2 * p1 * x * y + p2 * (squared + 2 * x * x),
        y * factor + p1 * (squared + 2 * y * y) + 2 * p2 * x * y,
    )
    return np.stack(bent, axis=-1) * K[[0, 1], [0, 1]] + K[:2, 2]


def _tensors(**values: np.ndarray) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.ascontiguousarray(value)).float() for key, value in values.items()}
