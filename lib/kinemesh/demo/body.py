"""The stand-in body: SMPL's counts and file formats, so that everything runs without a licensed file.

It is **not SMPL**: a mannequin derived from MakeHuman's CC0 body. Its betas are not SMPL's and no figure made with it
compares with a published one. `body.npz` beside this file holds it compactly; `tools/build_demo_body.py` rebuilds it.
"""

import io
import logging
import pickle
from pathlib import Path

import numpy as np

from kinemesh.body.assets import EXTRA_REGRESSOR_FILE, MEAN_PARAMS_FILE, REGRESSOR_FILE, SMPL_FILE
from kinemesh.body.skeleton import (
    BETA_COUNT,
    EXTRA_JOINT_COUNT,
    H36M_JOINT_COUNT,
    SIDES,
    SMPL_JOINT_COUNT,
    SMPL_JOINT_NAMES,
    SMPL_PARENTS,
    VERTEX_COUNT,
)
from kinemesh.errors import UserError
from kinemesh.files.arrays import read_npz
from kinemesh.files.writing import write_atomically

logger = logging.getLogger(__name__)

BODY_PATH = Path(__file__).with_name("body.npz")
# Models for this body: what `python train_mesh.py` trains, which `--demo` shows, and the one that the name "builtin" means,
# trained for longer, on every kind of motion.
CHECKPOINT_PATH = Path(__file__).with_name("checkpoint.bin")
BUILTIN_PATH = Path(__file__).with_name("builtin.bin")

# First value of the pickle, so that the first bytes of the file say what it is to a reader that unpickles nothing.
STAND_IN_NOTE = "Stand-in body made from MakeHuman's CC0 data. NOT SMPL: its figures compare with nothing published."
POSE_FEATURE_COUNT = 9 * (SMPL_JOINT_COUNT - 1)
_REGRESSED_JOINT_COUNTS = {
    "J_regressor": SMPL_JOINT_COUNT,
    "J_regressor_h36m": H36M_JOINT_COUNT,
    "J_regressor_extra": EXTRA_JOINT_COUNT,
}
_STORED_ARRAYS = (
    "v_template", "faces", "shapedirs", "skin_joints", "skin_weights", "posedirs_index", "posedirs_value",
    "posedirs_scale", *(f"{name}_{part}" for name in _REGRESSED_JOINT_COUNTS for part in ("index", "value")),
)  # fmt: skip


def _standing_pose() -> np.ndarray:
    """(24, 3) axis-angle: at ease, arms hanging, facing the camera, whose y axis points down."""
    pose = dict.fromkeys(SMPL_JOINT_NAMES, (0.0, 0.0, 0.0))
    pose["pelvis"] = (np.pi, 0.0, 0.0)
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        pose[f"{side}_hip"] = (-0.15, 0.0, 0.05 * sign)
        pose[f"{side}_knee"] = (0.2, 0.0, 0.0)
        pose[f"{side}_collar"] = (0.0, 0.0, -0.05 * sign)
        pose[f"{side}_shoulder"] = (0.0, -0.1 * sign, -1.1 * sign)
        pose[f"{side}_elbow"] = (0.0, -0.3 * sign, 0.0)
    return np.array([pose[name] for name in SMPL_JOINT_NAMES])


MEAN_POSE_AXIS_ANGLE = _standing_pose()


def _dense(index: np.ndarray, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape)
    array[tuple(index)] = value
    return array


def load_stand_in(path: Path = BODY_PATH) -> dict[str, np.ndarray]:
    """A body file, by default the shipped one, as dense arrays, float64 but for the faces.

    Keys and shapes: v_template (6890, 3) m, faces (13776, 3) int64, shapedirs (6890, 3, 10) m per unit beta,
    posedirs (6890, 3, 207) m, J_regressor (24, 6890), skinning_weights (6890, 24), J_regressor_h36m (17, 6890),
    J_regressor_extra (9, 6890). Semantics as in Loper et al., SMPL, 2015.
    """
    stored = read_npz(path, _STORED_ARRAYS, what="the stand-in body")
    skinning_weights = np.zeros((VERTEX_COUNT, SMPL_JOINT_COUNT))
    np.put_along_axis(skinning_weights, stored["skin_joints"].astype(np.int64), stored["skin_weights"], axis=1)
    posedirs = np.zeros(VERTEX_COUNT * 3 * POSE_FEATURE_COUNT)
    posedirs[stored["posedirs_index"]] = stored["posedirs_value"] * np.float64(stored["posedirs_scale"])
    regressors = {
        name: _dense(stored[f"{name}_index"], stored[f"{name}_value"], (joint_count, VERTEX_COUNT))
        for name, joint_count in _REGRESSED_JOINT_COUNTS.items()
    }
    return {
        "v_template": stored["v_template"].astype(np.float64),
        "faces": stored["faces"].astype(np.int64),
        "shapedirs": stored["shapedirs"].astype(np.float64),
        "posedirs": posedirs.reshape(VERTEX_COUNT, 3, POSE_FEATURE_COUNT),
        "skinning_weights": skinning_weights / skinning_weights.sum(axis=1, keepdims=True),
        **regressors,
    }


def _smpl_pickle(body: dict[str, np.ndarray]) -> bytes:
    """The body as an SMPL v1.0.0 file: same keys, dtypes and pickle protocol."""
    import scipy.sparse  # slow to import, and only making the files needs it

    parents = np.array(SMPL_PARENTS, dtype=np.int64)
    content = {
        "note": STAND_IN_NOTE,
        "v_template": body["v_template"],
        "shapedirs": body["shapedirs"],
        "posedirs": body["posedirs"],
        "J_regressor": scipy.sparse.csc_matrix(body["J_regressor"]),
        "weights": body["skinning_weights"],
        # SMPL stores the root's parent, -1, as an unsigned 4294967295.
        "kintree_table": np.stack([parents, np.arange(SMPL_JOINT_COUNT)]).astype(np.uint32),
        "f": body["faces"].astype(np.uint32),
        "J": body["J_regressor"] @ body["v_template"],
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }
    return pickle.dumps(content, protocol=2)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _mean_params_npz(mean_pose_axis_angle: np.ndarray) -> bytes:
    from scipy.spatial.transform import Rotation  # slow to import

    matrices = Rotation.from_rotvec(mean_pose_axis_angle).as_matrix()
    buffer = io.BytesIO()
    np.savez(
        buffer,
        # 6D, the matrix's first two columns interleaved (behaviour contract section 3).
        pose=matrices[:, :, :2].reshape(-1).astype(np.float32),
        shape=np.zeros(BETA_COUNT, dtype=np.float32),
        cam=np.array([0.9, 0.0, 0.0], dtype=np.float32),
    )
    return buffer.getvalue()


def is_stand_in(path: Path) -> bool:
    """Whether a body-model file is the stand-in's."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return STAND_IN_NOTE.encode() in file.read(1024)


def write_body_files(data_root: Path, mean_pose_axis_angle: np.ndarray = MEAN_POSE_AXIS_ANGLE) -> None:
    """Write the released body-model files (behaviour contract section 1), made from the stand-in body.

    The same bytes every time with the same NumPy and SciPy; a file that already holds them is left untouched. Each
    file is written under a temporary name and renamed, so that a reader never sees half of one.

    Args:
        data_root: folder to write to, made where missing.
        mean_pose_axis_angle: (24, 3) radians, the mean pose the regressor starts from, root in camera axes (y down).

    Raises:
        UserError: a file of that name is there that is not the stand-in's (someone's SMPL model is never overwritten),
            or the folder cannot be written.
    """
    data_root = Path(data_root)
    body = load_stand_in()
    files = {
        SMPL_FILE: _smpl_pickle(body),
        REGRESSOR_FILE: _npy(body["J_regressor_h36m"].astype(np.float32)),
        EXTRA_REGRESSOR_FILE: _npy(body["J_regressor_extra"].astype(np.float32)),
        MEAN_PARAMS_FILE: _mean_params_npz(np.asarray(mean_pose_axis_angle, dtype=np.float64)),
    }
    replaceable = is_stand_in(data_root / SMPL_FILE)
    outdated = []
    for name, content in files.items():
        path = data_root / name
        if path.is_file() and path.read_bytes() == content:
            continue
        if path.exists() and not replaceable:
            raise UserError(
                f"{path} exists and is not the stand-in body's: expected a folder without body-model files. "
                "Choose another data_root for the demo, or move that file away."
            )
        outdated.append((path, content))
    for path, content in outdated:
        write_atomically(path, lambda file, content=content: file.write(content))
    logger.info("stand-in body (not SMPL) in %s: %d of %d files written", data_root, len(outdated), len(files))
