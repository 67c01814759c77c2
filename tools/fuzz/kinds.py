"""The kinds of files that are read: for each a few small valid ones, and what a run does with such a file."""

import io
import pickle
import sys
import types
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
import yaml

from kinemesh.body.assets import read_joint_regressor, read_mean_params, read_smpl
from kinemesh.body.skeleton import FACE_COUNT, H36M_JOINT_COUNT, SMPL_JOINT_COUNT, SMPL_PARENTS, VERTEX_COUNT
from kinemesh.config import Config, config_from_values, load_config
from kinemesh.data.reading import CAMERA_IMAGE_SIZES
from kinemesh.data.sources import load_dataset
from kinemesh.demo.splits import StandIn
from kinemesh.estimates.predictions import load_predictions
from kinemesh.estimates.readers import read_estimator_file
from kinemesh.model.building import build_regressor
from kinemesh.model.opening import load_pretrained, open_checkpoint
from kinemesh.program.origin import say_what_changed
from kinemesh.training.checkpoint import require_same_selection, restore
from kinemesh.training.optimizer import build_optimizer
from kinemesh.training.state import TrainState
from tools.fuzz import folders, keypoints, motions
from tools.fuzz.datasets import DOWNLOADS
from tools.fuzz.estimators import OF_EVERYBODY, OF_ONE, OF_VERTICES, sam3d
from tools.fuzz.estimators_of_smplx import OF_SMPLX
from tools.fuzz.people import People
from tools.fuzz.videos import make_videos, read_video

_FRAMES = 5


class Kind(NamedTuple):
    file_name: str
    make: Callable[[], list[bytes]]  # valid files
    read: Callable[[Path], object]


def _bytes_of(write: Callable, *arguments, **options) -> bytes:
    """What `write` puts into the file that it gets as its first argument."""
    buffer = io.BytesIO()
    write(buffer, *arguments, **options)
    return buffer.getvalue()


def _split() -> dict:
    rng = np.random.default_rng(0)
    return {
        "joint_2d": rng.uniform(0, 640, (_FRAMES, 17, 2)).astype("f4"),
        "confidence": rng.uniform(0, 1, (_FRAMES, 17, 1)).astype("f4"),
        "smpl_pose": rng.normal(0, 0.5, (_FRAMES, 72)).astype("f4"),
        "smpl_shape": rng.normal(0, 1, (_FRAMES, 10)),
        "pred_smpl_pose": rng.normal(0, 0.5, (_FRAMES, 72)).tolist(),
        "pred_smpl_shape": np.asfortranarray(rng.normal(0, 1, (_FRAMES, 10))),
        "source": ["video_a"] * 3 + ["video_b"] * 2,
        "camera_name": np.array(list(CAMERA_IMAGE_SIZES)[:1] * _FRAMES),
        "action": np.array(["walk"] * _FRAMES, dtype=object),
    }


def _datasets() -> list[bytes]:
    content = {"train": _split(), "test": _split()}
    return [pickle.dumps(content, protocol) for protocol in (0, 2, 4, 5)]


def _smpl_arrays() -> dict[str, np.ndarray]:
    """Small in the file and long runs of one byte, but for what the reader wants to be other than zero."""
    weights = np.zeros((VERTEX_COUNT, SMPL_JOINT_COUNT), np.int8, order="F")
    weights[:, 0] = 1
    return {
        "v_template": np.zeros((VERTEX_COUNT, 3), np.int8),
        "shapedirs": np.zeros((VERTEX_COUNT, 3, 10), np.int8),
        "posedirs": np.zeros((VERTEX_COUNT, 3, 207), np.int8),
        "J_regressor": np.zeros((SMPL_JOINT_COUNT, VERTEX_COUNT), np.int8),
        "weights": weights,
        "kintree_table": np.stack([np.array(SMPL_PARENTS), np.arange(SMPL_JOINT_COUNT)]).astype(np.uint32),
        "f": np.zeros((FACE_COUNT, 3), np.uint8),
    }


@contextmanager
def _chumpy():
    """Gives a maker of objects that pickle under chumpy's names: `make("chumpy.ch", "Ch", x=...)`."""

    def make(module_name: str, class_name: str, **state):
        module = sys.modules.setdefault(module_name, types.ModuleType(module_name))
        if not hasattr(module, class_name):
            setattr(module, class_name, type(class_name, (), {"__module__": module_name}))
        node = getattr(module, class_name)()
        vars(node).update(state)
        return node

    before = set(sys.modules)
    try:
        sys.modules.setdefault("chumpy", types.ModuleType("chumpy"))
        yield make
    finally:
        for name in {name for name in sys.modules if name.partition(".")[0] == "chumpy"} - before:
            del sys.modules[name]


def _smpl_pickles() -> list[bytes]:
    arrays = _smpl_arrays()
    with _chumpy() as make:
        inner = make("chumpy.ch", "Ch", x=arrays["v_template"].reshape(-1), _dirty_vars=set())
        index = np.zeros(VERTEX_COUNT * 3, np.int16)
        content = {
            **arrays,
            "v_template": make("chumpy.reordering", "Select", a=inner, idxs=index, preferred_shape=(VERTEX_COUNT, 3)),
            "weights": make("chumpy.reordering", "transpose", a=arrays["weights"].T, axes=None),
            "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]),
            "weights_prior": make("chumpy.linalg", "svd", a=np.zeros(3)),
            "bs_style": "lbs",
        }
        return [pickle.dumps(content, protocol) for protocol in (2, 4)]


@cache
def _people() -> People:
    """Two people in three frames, as small as files may be."""
    rng = np.random.default_rng(0)
    places_m = np.array([[[side, 0.0, 4.0]] * 3 for side in (-1.0, 1.0)], np.float32)
    poses = rng.normal(0, 0.5, (2, 3, 72)).astype("f4")
    poses[..., 0] += np.pi  # upright before a camera
    return People("walk", poses, rng.normal(0, 1, (2, 10)).astype("f4"), places_m)


def _read_bodies(path: Path) -> None:
    load_predictions(path, lambda: StandIn().assets)


def _of_estimator(write: Callable[[People], dict[str, bytes]]) -> Kind:
    """The first of the files that a system writes."""
    name, content = next(iter(write(_people()).items()))
    return Kind(Path(name).name, lambda: [content], _read_bodies)


@cache
def _small_config() -> Config:
    return config_from_values(yaml.safe_load(_YAML), {}, "the fuzzer's config")


@cache
def _small_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_regressor(_small_config(), torch.zeros(144), torch.zeros(10))


def _one_step(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()


def _checkpoint() -> dict:
    model, config = _small_model(), _small_config()
    optimizer = build_optimizer(model, config)
    _one_step(optimizer)
    return {
        "epoch": 3, "step": 40, "lr": [1e-4, 1e-4], "optimizer": optimizer.state_dict(), "model": model.state_dict(),
        "best_jpe": 61.5, "kind": "regressor", "config": config.to_dict(), "model_in_training": model.state_dict(),
        "skipped_steps": 1, "selected_on": "pw3d test split",
        "origin": {"seed": 0, "command": "python train_mesh.py", "protocols": ["motionbert"], "files": {"a.pkl": "1:2"}},
    }  # fmt: skip


def _checkpoints() -> list[bytes]:
    return [
        _bytes_of(lambda file: torch.save(_checkpoint(), file)),
        _bytes_of(lambda file: torch.save(_checkpoint(), file, _use_new_zipfile_serialization=False)),
    ]


def _released() -> list[bytes]:
    content = {key: value for key, value in _checkpoint().items() if key in ("epoch", "lr", "optimizer", "model")}
    count = sum(len(group["params"]) for group in content["optimizer"]["param_groups"])
    content["optimizer"]["param_groups"][1]["params"] += [count, count + 1, count + 2]
    state = content["model"] | {"head.smpl.betas": torch.zeros(64, 10), "head.smpl.parents": torch.arange(24)}
    content |= {"model": {f"module.{name}": value for name, value in state.items()}, "best_jpe": np.float32(61.5)}
    return [_bytes_of(lambda file: torch.save(content, file))]


def _read_checkpoint(path: Path) -> None:
    """What resuming does with a checkpoint, up to and with the next step."""
    config, model = _small_config(), _small_model()
    checkpoint = open_checkpoint(path, config, "regressor")
    checkpoint.fill(model)
    content = checkpoint.content
    state = TrainState(model, build_optimizer(model, config), None)
    restore(state, content, path)
    say_what_changed(content.get("origin"), {"seed": 0, "versions": {}, "files": {"a.pkl": "1:2"}}, path)
    require_same_selection(content, "pw3d test split", path)
    _one_step(state.optimizer)


def _pretrained() -> list[bytes]:
    state = {f"module.{name}": value for name, value in _small_model().backbone.state_dict().items()}
    return [_bytes_of(lambda file: torch.save({"epoch": 3, "model_pos": state}, file))]


_YAML = """epochs: 3  # a small model
batch_size: 4
partial_train: [blocks_st, blocks_ts]
lr_backbone: 5e-5
lr_head: 0.0005
weight_decay: 1.0e-2
lr_decay: 0.98
maxlen: 27
dim_feat: 8
mlp_ratio: 2
depth: 1
dim_rep: 8
num_heads: 2
hidden_dim: 8
dropout: 0.1
data_root: 'data/mesh'
dt_file_pw3d: "mesh_det_pw3d.pkl"
clip_len: 8
data_stride: 4
flip: True
lambda_3d: 0.5
lambda_scale: 0
lambda_3dv: 10
lambda_lv: 0
lambda_lg: 0
lambda_a: 0
lambda_av: 0
lambda_pose: 1000
lambda_shape: 1
lambda_norm: 20
loss_type: L1
"""


KINDS = {
    "dataset": Kind("mesh_det.pkl", _datasets, lambda path: load_dataset("h36m", path, needs_estimate=True)),
    "manifest": Kind("manifest.json", folders.manifests, folders.read_manifest_file),
    "mapped_array": Kind(folders.ARRAY_FILE, folders.arrays, folders.read_array),
    "smpl_pkl": Kind("SMPL_NEUTRAL.pkl", _smpl_pickles, read_smpl),
    "smpl_npz": Kind("SMPL_NEUTRAL.npz", lambda: [_bytes_of(np.savez_compressed, **_smpl_arrays())], read_smpl),
    "regressor": Kind(
        "J_regressor.npy",
        lambda: [_bytes_of(np.save, np.zeros((H36M_JOINT_COUNT, VERTEX_COUNT), np.int8))],
        lambda path: read_joint_regressor(path, H36M_JOINT_COUNT),
    ),
    "mean_params": Kind(
        "smpl_mean_params.npz",
        lambda: [_bytes_of(np.savez, pose=np.zeros(144, "f4"), shape=np.zeros(10, "f4"), cam=np.zeros(3))],
        read_mean_params,
    ),
    "keypoints": Kind("keypoints.json", keypoints.keypoint_files, keypoints.read),
    "keypoint_arrays": Kind("keypoints.npz", keypoints.keypoint_arrays, keypoints.read),
    "bvh": Kind("walk.bvh", motions.bvh_files, motions.read_bvh),
    "amass": Kind("walk_poses.npz", motions.amass_files, motions.read_amass),
    "checkpoint": Kind("latest_epoch.bin", _checkpoints, _read_checkpoint),
    "released": Kind("best_epoch.bin", _released, _read_checkpoint),
    "pretrained": Kind(
        "latest_epoch.bin", _pretrained, lambda path: load_pretrained(_small_model(), "regressor", path)
    ),
    "video": Kind("video.mp4", make_videos, read_video),
    **{write.__name__: _of_estimator(write) for write in (*OF_EVERYBODY, *OF_ONE, *OF_SMPLX)},
    **{name: Kind(each.spoiled, each.make, each.read) for name, each in DOWNLOADS.items()},
    # What they hold need be no body.
    **{write.__name__: _of_estimator(write)._replace(read=read_estimator_file) for write in (*OF_VERTICES, sam3d)},
    "yaml": Kind("config.yaml", lambda: [_YAML.encode()], load_config),
}
