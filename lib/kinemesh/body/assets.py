"""Reads the body-model files under `data_root` and checks them; nothing in them is executed.

SMPL v1.0.0 is a Python 2 pickle whose arrays are partly *chumpy* objects, a package that no longer installs.
Stand-in classes take the place of chumpy's, keep what was stored, and are evaluated here
(behaviour contract, section 1).
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import (
    BETA_COUNT,
    FACE_COUNT,
    H36M_JOINT_COUNT,
    SMPL_JOINT_COUNT,
    SMPL_PARENTS,
    VERTEX_COUNT,
)
from kinemesh.errors import UserError
from kinemesh.files.arrays import array_of, read_npy, read_npz
from kinemesh.files.pickles import load_pickle

logger = logging.getLogger(__name__)

SMPL_FILE = "SMPL_NEUTRAL.pkl"
REGRESSOR_FILE = "J_regressor_h36m_correct.npy"
EXTRA_REGRESSOR_FILE = "J_regressor_extra.npy"  # in released checkpoints only
MEAN_PARAMS_FILE = "smpl_mean_params.npz"
WHERE_FROM = {
    SMPL_FILE: "Download SMPL for Python from smpl.is.tue.mpg.de (basicModel_neutral_lbs_10_207_0_v1.0.0.pkl), rename it",
    REGRESSOR_FILE: "It is part of MotionBERT's mesh data",
    EXTRA_REGRESSOR_FILE: "It is part of SPIN's data",
    MEAN_PARAMS_FILE: "It is part of SPIN's and MotionBERT's mesh data",
}

_SMPL_SHAPES = {
    "v_template": (VERTEX_COUNT, 3),
    "posedirs": (VERTEX_COUNT, 3, (SMPL_JOINT_COUNT - 1) * 9),
    "J_regressor": (SMPL_JOINT_COUNT, VERTEX_COUNT),
    "weights": (VERTEX_COUNT, SMPL_JOINT_COUNT),
    "kintree_table": (2, SMPL_JOINT_COUNT),
    "f": (FACE_COUNT, 3),
}
_OTHER_MODELS = {("v_template", (10475, 3)): "SMPL-X", ("posedirs", (VERTEX_COUNT, 3, 51 * 9)): "SMPL-H"}
_TALLEST_M = 10.0
_ROW_SUM_TOLERANCE = 1e-3
# SMPL's are 3 deep; each level may double the work.
_DEEPEST_EXPRESSION = 8


@dataclass(frozen=True)
class BodyAssets:
    """The body model's arrays, float64, metres."""

    v_template: np.ndarray  # (V, 3)
    shapedirs: np.ndarray  # (V, 3, 10)
    posedirs: np.ndarray  # (V, 3, 207)
    J_regressor: np.ndarray  # (J, V)
    skinning_weights: np.ndarray  # (V, J)
    parents: tuple[int, ...]
    faces: np.ndarray  # (13776, 3) int64
    J_regressor_h36m: np.ndarray  # (K, V)
    mean_pose_6d: np.ndarray  # (144,)
    mean_betas: np.ndarray  # (10,)


def load_body_assets(data_root: Path | str) -> BodyAssets:
    """Read SMPL, the H36M joint regressor and the mean parameters from a folder.

    Raises `UserError` if a file is missing, unreadable, of another shape, or holds values no body has.
    """
    data_root = Path(data_root)
    smpl = read_smpl(smpl_file(data_root))
    regressor_path = data_root / REGRESSOR_FILE
    regressor = read_joint_regressor(regressor_path, H36M_JOINT_COUNT)
    _warn_if_rows_do_not_sum_to_one(regressor, regressor_path)
    mean_pose_6d, mean_betas = read_mean_params(data_root / MEAN_PARAMS_FILE)
    return BodyAssets(**smpl, J_regressor_h36m=regressor, mean_pose_6d=mean_pose_6d, mean_betas=mean_betas)


def smpl_file(data_root: Path, gender: str = "neutral") -> Path:
    """SMPL's file in a folder: the pickle, or the .npz where only that is there."""
    path = data_root / SMPL_FILE.replace("NEUTRAL", gender.upper())
    npz = path.with_suffix(".npz")
    return npz if npz.exists() and not path.exists() else path


def read_mean_params(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pose (144,) in 6D and betas (10,), float64. Raises `UserError` as `load_body_assets` does."""
    _require_file(path)
    mean = read_npz(path, ("pose", "shape"), what="the mean parameters")
    return (
        _checked(mean["pose"].reshape(-1), (SMPL_JOINT_COUNT * 6,), path, "'pose'"),
        _checked(mean["shape"].reshape(-1), (BETA_COUNT,), path, "'shape'"),
    )


def read_joint_regressor(path: Path, joint_count: int) -> np.ndarray:
    """(joint_count, V) float64 of a .npy file. Raises `UserError` as `load_body_assets` does."""
    _require_file(path)
    array = read_npy(path, what="a joint regressor of numbers")
    return _checked(array, (joint_count, VERTEX_COUNT), path, "the joint regressor")


def read_smpl(path: Path) -> dict:
    """The SMPL part of `BodyAssets` from a v1.0.0 or v1.1.0 `.pkl` or an `.npz` with the same keys."""
    _require_file(path)
    names = (*_SMPL_SHAPES, "shapedirs")
    raw = read_npz(path, names, what="an SMPL body model") if path.suffix == ".npz" else _read_smpl_pickle(path, names)
    for (name, shape), model in _OTHER_MODELS.items():
        if raw[name].shape == shape:
            raise UserError(f"{path}: is a file of {model}, another body. Expected SMPL's, of {VERTEX_COUNT} vertices.")
    arrays = {name: _checked(raw[name], shape, path, f"'{name}'") for name, shape in _SMPL_SHAPES.items()}
    shapedirs = _numbers(raw["shapedirs"], path, "'shapedirs'")
    if shapedirs.ndim != 3 or shapedirs.shape[:2] != (VERTEX_COUNT, 3) or shapedirs.shape[2] < BETA_COUNT:
        raise UserError(
            f"{path}: 'shapedirs' has shape {shapedirs.shape}, expected ({VERTEX_COUNT}, 3, {BETA_COUNT} or more). "
            f"Use the SMPL file (not SMPL-H or SMPL-X)."
        )
    height = np.ptp(arrays["v_template"], axis=0).max()
    if height > _TALLEST_M:
        factor = 100 if height < 100 * _TALLEST_M else 1000
        raise UserError(
            f"{path}: 'v_template' is {height:.0f} m tall: it is in {'cm' if factor == 100 else 'mm'}. Expected metres; divide "
            f"'v_template', 'shapedirs' and 'posedirs' by {factor}, or use SMPL's own file."
        )
    # The root's parent is stored as 2**32 - 1.
    parents = (-1, *(int(parent) for parent in arrays["kintree_table"][0, 1:]))
    if parents != SMPL_PARENTS:
        raise UserError(f"{path}: 'kintree_table' is not SMPL's joint tree. Use the SMPL file (not SMPL-H or SMPL-X).")
    faces = arrays["f"].astype(np.int64)
    if faces.min() < 0 or faces.max() >= VERTEX_COUNT:
        raise UserError(f"{path}: 'f' names vertices outside 0..{VERTEX_COUNT - 1}. Download the file again.")
    weights = arrays["weights"]
    if np.abs(weights.sum(axis=1) - 1).max() > _ROW_SUM_TOLERANCE or weights.min() < -_ROW_SUM_TOLERANCE:
        raise UserError(f"{path}: 'weights' are not skinning weights (rows must sum to 1). Download the file again.")
    return {
        "v_template": arrays["v_template"],
        "shapedirs": shapedirs[..., :BETA_COUNT],
        "posedirs": arrays["posedirs"],
        "J_regressor": arrays["J_regressor"],
        "skinning_weights": weights,
        "parents": parents,
        "faces": faces,
    }


class _StoredObject:
    """Takes the place of a class that is not to be imported: keeps the stored state, computes nothing when read."""

    kind = ""

    def __init__(self, *_args, **_kwargs):
        pass

    def __setstate__(self, state):
        if isinstance(state, dict):
            self.__dict__.update(state)


class _ChumpyNode(_StoredObject):
    """Any chumpy class."""


class _SparseMatrix(_StoredObject):
    """A sparse matrix class of scipy's, whose pickled layout depends on scipy's version."""

    def to_dense(self) -> np.ndarray:
        import scipy.sparse  # slow to import, and only a file of SMPL's own needs it

        state = self.__dict__
        shape = tuple(state.get("_shape") or state["shape"])
        if len(shape) != 2 or max(shape) > VERTEX_COUNT:
            raise ValueError(f"a sparse matrix of shape {shape}")
        build = scipy.sparse.csc_matrix if self.kind.startswith("csc") else scipy.sparse.csr_matrix
        parts = [array_of(state[name]) for name in ("data", "indices", "indptr")]
        if [part.dtype.kind in kinds for part, kinds in zip(parts, ("fiu", "iu", "iu"), strict=True)] != [True] * 3:
            raise ValueError("a sparse matrix of other things than numbers")
        matrix = build(tuple(parts), shape=shape)
        matrix.check_format(full_check=True)
        return matrix.toarray()


def _stand_in_class(module: str, name: str) -> type | None:
    """A harmless class for the classes that SMPL files hold, else None."""
    if module == "chumpy" or module.startswith("chumpy."):
        return type(name, (_ChumpyNode,), {"kind": name})
    if module.startswith("scipy.sparse") and name in ("csc_matrix", "csc_array", "csr_matrix", "csr_array"):
        return type(name, (_SparseMatrix,), {"kind": name})
    return None


def _stored_array(value: object, depth: int = 0) -> np.ndarray:
    """The array that a pickled value stands for; ValueError if it is an expression that was never stored."""
    if isinstance(value, _SparseMatrix):
        return value.to_dense()
    if not isinstance(value, _ChumpyNode):
        return array_of(value)
    if depth > _DEEPEST_EXPRESSION:
        raise ValueError(f"chumpy objects more than {_DEEPEST_EXPRESSION} deep")
    state = value.__dict__
    if value.kind == "Ch" and "x" in state:
        return _stored_array(state["x"], depth + 1)
    if value.kind == "Select":
        chosen = _stored_array(state["a"], depth + 1).reshape(-1)[_stored_array(state["idxs"], depth + 1)]
        return chosen.reshape(state["preferred_shape"]) if "preferred_shape" in state else chosen
    if value.kind == "Reshape":
        return _stored_array(state["a"], depth + 1).reshape(state["newshape"])
    if value.kind == "transpose":
        return np.transpose(_stored_array(state["a"], depth + 1), state.get("axes"))
    raise ValueError(f"a chumpy expression ({value.kind}), not stored numbers; save the evaluated array instead")


def _read_smpl_pickle(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    content = load_pickle(path, what="an SMPL body model", extra_classes=_stand_in_class, encoding="latin1")
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an SMPL body model (a dict of arrays). {WHERE_FROM[SMPL_FILE]}.")
    arrays = {}
    for name in names:
        if name not in content:
            raise UserError(f"{path}: key '{name}' is missing. Expected the SMPL model. {WHERE_FROM[SMPL_FILE]}.")
        try:
            arrays[name] = _stored_array(content[name])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, MemoryError) as error:
            raise UserError(f"{path}: key '{name}' cannot be read: {error}. Download the file again.") from error
    return arrays


def _require_file(path: Path) -> None:
    if path.is_file():
        return
    hint = WHERE_FROM.get(path.name, "Put it there")
    raise UserError(
        f"{path} not found. {hint} and put it there, or set data_root to its folder; "
        f"configs/mesh/MB_demo.yaml runs without any file."
    )


def _numbers(array: np.ndarray, path: Path, what: str) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: {what} holds {array.dtype}, expected numbers. Download the file again.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {what} holds NaN or infinite values. Download the file again.")
    return array


def _checked(array: np.ndarray, shape: tuple[int, ...], path: Path, what: str) -> np.ndarray:
    array = _numbers(array, path, what)
    if array.shape != shape:
        raise UserError(f"{path}: {what} has shape {array.shape}, expected {shape}. Is it the right file?")
    return array


def _warn_if_rows_do_not_sum_to_one(regressor: np.ndarray, path: Path) -> None:
    worst = np.abs(regressor.sum(axis=1) - 1).max()
    if worst > 0.05:
        logger.warning("%s: rows sum to 1 only within %.2f; joints will not follow the body's translation", path, worst)
