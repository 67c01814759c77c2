"""Human3.6M and MPI-INF-3DHP as Moon et al. publish them, and Human3.6M's own files. Their cameras stand."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tools.published.scene import FRAME_COUNT, K, Scene

# To the middle of such pictures.
SHIFT = np.array([-460, -40])
OWN_K = K + np.pad(SHIFT[:, None], ((0, 1), (2, 0)))
_JOINTS_3DHP = [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
# Of Human3.6M's 32 joints those that are no copies, as VideoPose3D's `common/h36m_dataset.py` keeps them.
_JOINTS_H36M = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
CAMERAS = ("54138969", "55011271")
# Of a lens about as those of Human3.6M: k1, k2, k3, p1, p2 of its own code, as 3d-pose-baseline's `cameras.py` has it.
_LENS = (-0.21, 0.25, -0.003, -0.001, -0.0014)


def _fits(scene: Scene, frames: range) -> dict:
    return {
        str(frame): {
            "pose": scene.poses[row].tolist(),
            "shape": scene.betas.tolist(),
            "trans": scene.trans[row].tolist(),
        }
        for row, frame in enumerate(frames)
    }


def _camera(scene: Scene, focal: str, centre: str) -> dict:
    R, t = scene.camera[0, :3, :3], scene.camera[0, :3, 3] * 1000
    return {"R": R.tolist(), "t": t.tolist(), focal: [K[0, 0], K[1, 1]], centre: OWN_K[:2, 2].tolist()}


def _same(joints: np.ndarray) -> np.ndarray:
    return joints


def write_h36m(
    raw: Path, scene: Scene, subject: int, *, joints: Callable[[np.ndarray], np.ndarray] = _same, step: int = 1
) -> None:
    """A subject as I2L-MeshNet's `data/Human36M` and NeuralAnnot's `Human3.6M/demo_smpl.py` read it; `joints` changes what was measured."""
    raw.mkdir(exist_ok=True)
    frames = range(0, FRAME_COUNT * step, step)
    measured = joints(1000 * scene.world_joints_m)
    content = {
        "smpl_param": {"2": {"1": _fits(scene, frames)}},
        "camera": {str(number): _camera(scene, "f", "c") for number in (1, 2)},
        "joint_3d": {"2": {"1": {str(frame): measured[row].tolist() for row, frame in enumerate(frames)}}},
    }
    for kind, values in content.items():
        (raw / f"Human36M_subject{subject}_{kind}.json").write_text(json.dumps(values))


def write_recording(
    raw: Path, scene: Scene, place: str, *, joints: Callable[[np.ndarray], np.ndarray] = _same, step: int = 1
) -> None:
    """Human3.6M's own files of `place`, such as "S1/Directions 1", as its download has them (mmhuman3d's `h36m.py` reads them).

    Between every `step`-th frame, which the scene's are, somebody else stands there.
    """
    subject, name = place.split("/")
    seen_px = _through_lens(joints(scene.joints_m))
    for camera in (*CAMERAS, ""):
        for kind, points in (
            ("D3_Positions", 1000 * joints(scene.world_joints_m)),
            ("D3_Positions_mono", 1000 * joints(scene.joints_m)),
            ("D2_Positions", seen_px),
        ):
            if (kind == "D3_Positions") != (camera == ""):
                continue
            every = np.zeros(((FRAME_COUNT - 1) * step + 1, 32, points.shape[-1])) + 500.0
            every[::step, _JOINTS_H36M] = points
            path = raw / subject / "MyPoseFeatures" / kind / f"{name}{f'.{camera}' if camera else ''}.cdf"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_cdf(path, every.reshape(1, len(every), -1))


def _through_lens(joints_m: np.ndarray) -> np.ndarray:
    """(..., 2) pixels."""
    k1, k2, k3, p1, p2 = _LENS
    slopes = joints_m[..., :2] / joints_m[..., 2:]
    squared = (slopes**2).sum(axis=-1, keepdims=True)
    factor = 1 + k1 * squared + k2 * squared**2 + k3 * squared**3 + slopes @ np.array([[p2], [p1]])
    return (slopes * factor + squared * [p2, p1]) * OWN_K[[0, 1], [0, 1]] + OWN_K[:2, 2]


def write_cdf(path: Path, values: np.ndarray, *, name: str = "Pose", **specification: object) -> Path:
    """A variable of floats by `cdflib`; `specification` as its writer has it."""
    from cdflib.cdfwrite import CDF

    path.unlink(missing_ok=True)
    compress = specification.pop("Compress", 0)
    file = CDF(str(path), {"Majority": "row_major"} | specification)
    data_type = {"float32": 44, "float64": 45}[values.dtype.name]
    shape = list(values.shape[1:])
    described = {
        "Variable": name, "Data_Type": data_type, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": shape, "Compress": compress,
    }  # fmt: skip
    file.write_var(described, var_data=values)
    file.close()
    return path


def write_mosh(raw: Path, scene: Scene, place: str, camera: int) -> Path:
    """`place`, such as "S1/Directions 1", before a camera, as mmhuman3d's `h36m.py` and HMR's issue 50 have it: upside down."""
    poses = scene.root.copy()
    upside_down = Rotation.from_rotvec([-np.pi, 0, 0])
    poses[:, :3] = (Rotation.from_rotvec(scene.root[:, :3]) * upside_down).as_rotvec()
    path = raw / "neutrSMPL_H3.6" / f"{place}_cam{camera}_aligned.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"new_poses": poses, "poses": np.zeros((4 * FRAME_COUNT, 72)), "betas": scene.betas, "trans": scene.trans}
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def write_3dhp(raw: Path, scene: Scene) -> None:
    """NeuralAnnot's MPI-INF-3DHP/demo_smpl.py."""
    joints = np.zeros((FRAME_COUNT, 28, 3))
    joints[:, _JOINTS_3DHP] = 1000 * scene.world_joints_m
    files = {
        "SMPL_NeuralAnnot": {"1": {"1": _fits(scene, range(FRAME_COUNT))}},
        "camera_1k": {"1": {"1": {"0": _camera(scene, "focal", "princpt")}}},
        "joint_3d": {"1": {"1": {str(frame): joints[frame].tolist() for frame in range(FRAME_COUNT)}}},
        "1k": {"images": [{"id": 0, "width": 1024, "height": 1024, "file_name": "a.jpg"}], "annotations": []},
    }
    raw.mkdir()
    for kind, values in files.items():
        (raw / f"MPI-INF-3DHP_{kind}.json").write_text(json.dumps(values))
