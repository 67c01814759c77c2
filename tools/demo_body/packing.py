"""The compact file that ships, and how two such bodies differ."""

from pathlib import Path

import numpy as np

from kinemesh.demo.body import load_stand_in
from kinemesh.files.writing import write_atomically

WEIGHT_STEPS = 65535
LARGEST_INT16 = 32767
REGRESSORS = ("J_regressor", "J_regressor_h36m", "J_regressor_extra")


def pack(body: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of `body.npz` from dense ones, named as `kinemesh.demo.body.load_stand_in` names them."""
    weights = body["skinning_weights"]
    strongest = np.argsort(-weights, axis=1, kind="stable")[:, :4]
    posedirs = body["posedirs"].reshape(-1)
    present = np.flatnonzero(posedirs)
    scale = np.abs(posedirs).max() / LARGEST_INT16
    packed = {
        "v_template": body["v_template"].astype(np.float32),
        "faces": body["faces"].astype(np.uint16),
        "shapedirs": body["shapedirs"].astype(np.float16),
        "skin_joints": strongest.astype(np.uint8),
        "skin_weights": np.round(np.take_along_axis(weights, strongest, axis=1) * WEIGHT_STEPS).astype(np.uint16),
        "posedirs_index": present.astype(np.uint32),
        "posedirs_value": np.round(posedirs[present] / scale).astype(np.int16),
        "posedirs_scale": np.float32(scale),
    }
    for name in REGRESSORS:
        index = np.nonzero(body[name])
        packed |= {
            f"{name}_index": np.stack(index).astype(np.uint16),
            f"{name}_value": body[name][index].astype(np.float32),
        }
    return packed


def write_body(path: Path, body: dict[str, np.ndarray], source_vertices: np.ndarray) -> None:
    """Write `body.npz`: the same bytes for the same arrays. `source_vertices` (V,): which of the source's each was."""
    numbers = source_vertices.astype(np.uint16)
    write_atomically(path, lambda file: np.savez_compressed(file, **pack(body), source_vertices=numbers))


def describe_differences(rebuilt: Path, shipped: Path) -> tuple[list[str], bool]:
    """A line for each dense array of two body files, and whether all agree to the steps they are stored in."""
    ours, theirs = load_stand_in(rebuilt), load_stand_in(shipped)
    # A step of each array's storage, or a few of them where a threshold may fall either way.
    limits = {
        "v_template": 5e-7, "faces": 0, "shapedirs": 1e-4, "posedirs": 4e-4, "skinning_weights": 3e-5,
        "J_regressor": 1e-4, "J_regressor_h36m": 1e-4, "J_regressor_extra": 1e-4,
    }  # fmt: skip
    lines, agree = [], True
    for name, limit in limits.items():
        if ours[name].shape != theirs[name].shape:
            lines.append(f"{name}: shape {ours[name].shape}, shipped {theirs[name].shape}")
            agree = False
            continue
        difference = np.abs(ours[name] - theirs[name])
        agree &= bool(difference.max() <= limit)
        lines.append(
            f"{name}: largest difference {difference.max():.2g} (allowed {limit:.2g}), largest value "
            f"{np.abs(theirs[name]).max():.3g}, {100 * (difference == 0).mean():.3f} % identical"
        )
    return lines, agree
