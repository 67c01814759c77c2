"""BEDLAM and BEDLAM2."""

from pathlib import Path
from typing import Any

import numpy as np

from tools.published.scene import FRAME_COUNT, K, Scene


def write_labels(
    raw: Path, scene: Scene, model: str, *, others: int = 0, step: int = 1, stem: str = "batch01hand_30fps"
) -> Path:
    """BEDLAM's labels as GVHMR's and CameraHMR's readers have them: rows of two people, shuffled.

    `others` points that are no joints of SMPL's come first among those that are seen.
    """
    raw.mkdir(exist_ok=True)
    count, ext = FRAME_COUNT, np.tile(np.eye(4), (FRAME_COUNT, 1, 1))
    ext[:, :3, 3] = [0.5, -0.2, 1.0]
    poses, trans, shape = scene.root, scene.camera_trans - ext[:, :3, 3], np.tile(scene.betas, (count, 1))
    if model == "smplx":
        poses = np.concatenate([scene.root[:, :66], np.zeros((count, 99))], axis=1)
        trans, shape = trans + scene.smplx_trans - scene.trans, np.zeros((count, 16))
    noise = np.random.default_rng(0).uniform(0, 900, (count, others, 2))
    labels = {
        "imgname": np.array([f"seq_000001/seq_000001_{step * frame:04d}.png" for frame in range(count)]),
        "pose_cam": poses, "shape": shape, "trans_cam": trans, "cam_ext": ext, "cam_int": np.tile(K, (count, 1, 1)),
        "gtkps": np.concatenate([noise, scene.smpl_px], axis=1), "gender": np.full(count, "female"),
    }  # fmt: skip
    rows = np.random.default_rng(1).permutation(2 * count)
    both = {key: np.concatenate([values, values])[rows] for key, values in labels.items()}
    sub = np.repeat(["rp_alexandra_0001", "rp_ben_0002"], count)[rows]
    np.savez(raw / f"{stem}.npz", **both, sub=sub)
    return raw / f"{stem}.npz"


def write_bedlam2(raw: Path, scene: Scene, name: str, **changes: Any) -> dict[str, Any]:
    """A scene of BEDLAM2 and its motion, of the mean shape, as BEDLAM's `df_full_body_smplx_bedlam2.py` reads them; its camera's columns."""
    folder = raw / name
    (folder / "ground_truth/meta_exr_csv").mkdir(parents=True)
    (raw / "motions").mkdir()
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
    np.savez(raw / "motions/it_4001_XL_2400.npz", **motion)
    return camera
