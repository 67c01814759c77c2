"""Checkpoints in the layout of the released code, and back (behaviour contract, section 5).

The released model holds the body model as a part of its head, so that its checkpoints do, and runs in DataParallel,
which puts `module.` before every name. Its three body parameters are in the optimizer, without state.
"""

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import EXTRA_REGRESSOR_FILE, BodyAssets, read_joint_regressor
from kinemesh.body.skeleton import BETA_COUNT, EXTRA_JOINT_COUNT, SMPL_JOINT_COUNT, VERTEX_LANDMARKS
from kinemesh.files.checkpoints import BODY_PREFIX
from kinemesh.files.writing import write_atomically
from kinemesh.training.optimizers.states import BODY_PARAMETER_COUNT
from kinemesh.training.state import NO_BEST_YET

# Clips that the released body model is made for; no value depends on it.
_BODY_BATCH = 64


def released_content(
    content: dict, model: nn.Module, optimizer: torch.optim.Optimizer, body: dict[str, Tensor]
) -> dict:
    """What the released code saves, of a model and optimizer that hold the checkpoint `content` of ours.

    `body` are the tensors of `body_tensors`.
    """
    state = model.state_dict() | {f"{BODY_PREFIX}{name}": value for name, value in body.items()}
    stored = optimizer.state_dict()
    backbone_group, head_group = stored["param_groups"]
    count = len(backbone_group["params"]) + len(head_group["params"])
    head_group["params"] += range(count, count + BODY_PARAMETER_COUNT)
    best = content.get("best_jpe", NO_BEST_YET)
    return {
        "epoch": content["epoch"],
        "lr": [group["lr"] for group in optimizer.param_groups],
        "optimizer": stored,
        "model": {f"module.{name}": value for name, value in state.items()},
        "best_jpe": best if best == NO_BEST_YET else np.float64(best),
    }


def our_content(
    content: dict, model: nn.Module, optimizer: torch.optim.Optimizer, kind: str, config_values: dict
) -> dict:
    """What we save, of a model and optimizer that hold the released checkpoint `content`."""
    stored = optimizer.state_dict()
    return {
        "epoch": content["epoch"],
        "step": max((int(state["step"]) for state in stored["state"].values() if "step" in state), default=0),
        "lr": [group["lr"] for group in optimizer.param_groups],
        "optimizer": stored,
        "model": model.state_dict(),
        "best_jpe": content.get("best_jpe", NO_BEST_YET),
        "kind": kind,
        "config": config_values,
    }


def body_tensors(assets: BodyAssets, data_root: Path) -> dict[str, Tensor]:
    """The released body model's parameters and buffers, in their order, from the files under `data_root`.

    Raises `UserError` if J_regressor_extra.npy is missing or wrong.
    """
    extra_regressor = read_joint_regressor(data_root / EXTRA_REGRESSOR_FILE, EXTRA_JOINT_COUNT)

    def single(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    return {
        "betas": torch.zeros(_BODY_BATCH, BETA_COUNT),
        "global_orient": torch.zeros(_BODY_BATCH, 3),
        "body_pose": torch.zeros(_BODY_BATCH, (SMPL_JOINT_COUNT - 1) * 3),
        "shapedirs": single(assets.shapedirs),
        "faces_tensor": torch.from_numpy(assets.faces),
        "v_template": single(assets.v_template),
        "J_regressor": single(assets.J_regressor),
        "posedirs": single(assets.posedirs.reshape(-1, assets.posedirs.shape[-1]).T),
        "parents": torch.tensor(assets.parents),
        "lbs_weights": single(assets.skinning_weights),
        "J_regressor_extra": single(extra_regressor),
        "J_regressor_h36m": single(assets.J_regressor_h36m),
        "vertex_joint_selector.extra_joints_idxs": torch.tensor(list(VERTEX_LANDMARKS.values())),
    }


def save_released(path: Path, content: dict) -> None:
    """Write a checkpoint that the released code's PyTorch and numpy, of any age, read."""
    write_atomically(path, lambda file: torch.save(content, file, pickle_module=_NumpyOneNames))


class _NumpyOneNames:
    """The module pickle, as numpy 1 would have it: numpy 2's name of the maker of scalars is unknown to it."""

    class Pickler(pickle._Pickler):
        def save_global(self, obj, name=None):
            if obj is not np.float64(0).__reduce__()[0]:
                super().save_global(obj, name)
                return
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\nscalar\n")
            self.memoize(obj)
