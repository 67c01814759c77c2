"""COCO's annotations and five sets of fits of its people."""

import json
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tools.published.scene import FRAME_COUNT, SIZE, K, Scene

# The first two people are in one picture; one picture belongs to the test split.
PICTURES = [9, 9, 25, 30, 34, 36, 42, 99]
ANNOTATIONS = [400000 + number for number in range(FRAME_COUNT)]
_WITHOUT_CAMERA = ("EFT", "SPIN")


def write_coco(raw: Path, scene: Scene, kind: str) -> np.ndarray:
    """COCO's annotations and one set of fits of the same people; where they are seen, (F, 17, 2).

    For fits without a camera all of them are so far away that perspective is gone.
    """
    raw.mkdir()
    px = scene.px
    if kind in _WITHOUT_CAMERA:
        px = (scene.joints_m - scene.camera_trans[:, None])[..., :2] * 300 + [800.0, 500.0]
    keypoints = scene._replace(px=px).keypoints("coco17")
    keypoints[..., 2] = 2  # seen, as COCO writes it
    names = [f"COCO_train2014_{number:012d}.jpg" for number in PICTURES]
    annotations = {
        "info": {"year": 2014},
        "images": [{"id": n, "file_name": name, "width": SIZE[0], "height": SIZE[1]} for n, name in sorted({*zip(PICTURES, names, strict=True)})],
        "annotations": [
            {"id": a, "image_id": n, "num_keypoints": 15, "keypoints": points.ravel().tolist(), "bbox": [0, 0, 1, 1]}
            for a, n, points in zip(ANNOTATIONS, PICTURES, keypoints, strict=True)
        ],
    }  # fmt: skip
    (raw / "person_keypoints_train2014.json").write_text(json.dumps(annotations))
    FITS[kind](raw, scene, names)
    return px


def _write_eft(raw: Path, scene: Scene, names: list[str]) -> None:
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
    (raw / "COCO2014-All-ver01.json").write_text(json.dumps({"ver": 0.1, "data": data}))


def _write_neuralannot(raw: Path, scene: Scene, names: list[str]) -> None:
    """github.com/mks0601/NeuralAnnot_RELEASE, MSCOCO/demo_smpl.py."""
    fits = {
        str(annotation): {
            "smpl_param": {"pose": root.tolist(), "shape": scene.betas.tolist(), "trans": trans.tolist()},
            "cam_param": {"focal": [K[0, 0], K[1, 1]], "princpt": K[:2, 2].tolist()},
        }
        for annotation, root, trans in zip(ANNOTATIONS, scene.root, scene.camera_trans, strict=True)
    }
    (raw / "MSCOCO_train_SMPL_NeuralAnnot.json").write_text(json.dumps(fits, indent=1))


def _rows(scene: Scene, names: list[str]) -> dict[str, np.ndarray]:
    shape = np.tile(scene.betas, (FRAME_COUNT, 1))
    return {"imgname": np.array([f"train2014/{name}" for name in names]), "shape": shape, "scale": np.ones(FRAME_COUNT)}


def _write_cliff(raw: Path, scene: Scene, names: list[str]) -> None:
    """CLIFF's files, as mmhuman3d's `cliff.py` reads them; the camera is in the picture's middle."""
    own = {"pose": scene.root, "global_t": scene.camera_trans, "focal_l": np.full(FRAME_COUNT, K[0, 0])}
    np.savez(raw / "coco2014part_cliffGT.npz", **_rows(scene, names), **own)


def _write_camerahmr(raw: Path, scene: Scene, names: list[str]) -> None:
    """CameraHMR's core/datasets/dataset_train.py."""
    own = {"pose_cam": scene.root, "cam_t": scene.camera_trans, "cam_int": np.tile(K, (FRAME_COUNT, 1, 1))}
    np.savez(raw / "coco-release.npz", **_rows(scene, names), **own)


def _write_spin(raw: Path, scene: Scene, names: list[str]) -> None:
    """github.com/nkolot/SPIN, train/fits_dict.py: rows of poses and betas, without cameras."""
    np.save(raw / "coco_fits.npy", np.concatenate([scene.root, np.tile(scene.betas, (FRAME_COUNT, 1))], axis=1))
    np.savez(raw / "coco_2014_train.npz", imgname=_rows(scene, names)["imgname"])


FITS = {
    "EFT": _write_eft, "NeuralAnnot": _write_neuralannot, "CLIFF": _write_cliff, "CameraHMR": _write_camerahmr,
    "SPIN": _write_spin,
}  # fmt: skip
