"""The released layout against a model built as the released code builds it: DataParallel over ours with smplx inside."""

import zipfile

import numpy as np
import pytest
import smplx
import torch
from smplx.vertex_ids import vertex_ids
from smplx.vertex_joint_selector import VertexJointSelector
from torch import nn

from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.model.building import build_refiner, build_regressor
from kinemesh.model.opening import Checkpoint
from kinemesh.program.commands.released_layout import (
    body_tensors,
    our_content,
    released_content,
    save_released,
)
from kinemesh.training.optimizer import build_optimizer
from kinemesh.training.optimizers.states import restore_optimizer
from tests.refusals import refused
from tests.same import assert_same

# Behaviour contract section 5.
BODY = {
    "betas": (64, 10), "global_orient": (64, 3), "body_pose": (64, 69), "shapedirs": (6890, 3, 10),
    "faces_tensor": (13776, 3), "v_template": (6890, 3), "J_regressor": (24, 6890), "posedirs": (207, 20670),
    "parents": (24,), "lbs_weights": (6890, 24), "J_regressor_extra": (9, 6890), "J_regressor_h36m": (17, 6890),
    "vertex_joint_selector.extra_joints_idxs": (21,),
}  # fmt: skip
INTEGERS = {"faces_tensor", "parents", "vertex_joint_selector.extra_joints_idxs"}
GOLDEN_SIZE = {"dim_feat": 32, "dim_rep": 48, "depth": 2, "num_heads": 4, "hidden_dim": 40}


@pytest.fixture(scope="module")
def body(assets, body_folder):
    return body_tensors(assets, body_folder)


def trained(model, config):
    """The model's optimizer after two steps, and the content of its checkpoint."""
    optimizer = build_optimizer(model, config)
    torch.manual_seed(1)
    for _ in range(2):
        for name, parameter in model.named_parameters():
            # Without gradient, as backbone.head is: it has no state.
            parameter.grad = None if name.startswith("backbone.head.") else torch.randn_like(parameter)
        optimizer.step()
    content = {
        "epoch": 7, "step": 2, "lr": [1e-3, 1e-3], "optimizer": optimizer.state_dict(), "model": model.state_dict(),
        "best_jpe": 61.53125, "kind": "regressor", "config": config.to_dict(),
    }  # fmt: skip
    return optimizer, content


def as_released_builds(model, body_folder, body):
    """Our model as the released code holds its own: an SMPL body in the head, parallel."""
    smpl = smplx.SMPL(str(body_folder / "SMPL_NEUTRAL.pkl"), batch_size=64, create_transl=False)
    for name in ("J_regressor_extra", "J_regressor_h36m"):
        smpl.register_buffer(name, torch.zeros_like(body[name]))
    # The released class registers its buffers after smplx has made its own submodule; names alone decide a load.
    model.head.smpl = smpl
    return nn.DataParallel(model)


def test_body_tensors_are_those_of_the_contract(body):
    assert {name: tuple(value.shape) for name, value in body.items()} == BODY
    assert list(body) == list(BODY)
    for name, value in body.items():
        assert value.dtype == (torch.int64 if name in INTEGERS else torch.float32), name
        assert value.is_contiguous(), name


@pytest.mark.parametrize("kind", ["regressor", "refiner"])
def test_the_released_code_loads_it_strictly(kind, small_model, small_config, body, body_folder, tmp_path):
    config = small_config(refine_rotation="rows")
    make = small_model if kind == "regressor" else lambda: build_refiner(config)
    model = make()
    optimizer, content = trained(model, config)
    save_released(tmp_path / "x.bin", released_content(content, model, optimizer, body))
    loaded = torch.load(tmp_path / "x.bin", weights_only=False)
    assert list(loaded) == ["epoch", "lr", "optimizer", "model", "best_jpe"]

    theirs = as_released_builds(make(), body_folder, body)
    own = theirs.state_dict()
    assert set(loaded["model"]) == set(own)
    for name, value in own.items():
        assert (loaded["model"][name].shape, loaded["model"][name].dtype) == (value.shape, value.dtype), name
    for name in BODY:
        if not name.startswith("J_regressor_"):  # what smplx made of the same file
            name = f"module.head.smpl.{name}"
            assert torch.equal(loaded["model"][name], own[name]), name
    theirs.load_state_dict(loaded["model"], strict=True)

    groups = [{"params": part.parameters(), "lr": 1.0} for part in (theirs.module.backbone, theirs.module.head)]
    their_optimizer = torch.optim.AdamW(groups, fused=True)
    their_optimizer.load_state_dict(loaded["optimizer"])
    assert [group["lr"] for group in their_optimizer.param_groups] == [1e-3, 1e-3]
    # Both go on alike.
    for parameters in (model.named_parameters(), theirs.module.named_parameters()):
        for name, parameter in parameters:
            parameter.grad = None if "smpl" in name or "backbone.head." in name else torch.full_like(parameter, 0.1)
    optimizer.step()
    their_optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, theirs.module.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["regressor", "refiner"])
def test_names_and_order_are_those_of_the_reference(kind, reference, small_config, body, assets):
    golden = reference("mesh_regressor" if kind == "regressor" else "refine_regressor")
    config = small_config(**GOLDEN_SIZE)
    mean = torch.tensor(assets.mean_pose_6d), torch.tensor(assets.mean_betas)
    model = build_regressor(config, *mean) if kind == "regressor" else build_refiner(config)
    optimizer, content = trained(model, config)
    names = list(released_content(content, model, optimizer, body)["model"])
    expected = [f"module.{name.removeprefix('w.')}" for name in golden.files if name.startswith("w.")]
    own = [name for name in names if ".smpl." not in name]
    assert own == [name for name in expected if ".smpl." not in name]
    assert names[len(own) :] == [f"module.head.smpl.{name}" for name in BODY]


def test_the_optimizer_has_three_more_ids_and_no_more_state(small_model, small_config, body):
    model = small_model()
    optimizer, content = trained(model, small_config())
    ours, theirs = content["optimizer"], released_content(content, model, optimizer, body)["optimizer"]
    count = len(list(model.parameters()))
    assert theirs["param_groups"][0]["params"] == ours["param_groups"][0]["params"]
    assert theirs["param_groups"][1]["params"] == [*ours["param_groups"][1]["params"], count, count + 1, count + 2]
    assert set(theirs["state"]) == set(ours["state"])
    without_state = [name for index, (name, _) in enumerate(model.named_parameters()) if index not in ours["state"]]
    assert without_state == ["backbone.head.weight", "backbone.head.bias"]


def test_there_and_back_is_bit_for_bit(small_model, small_config, body, tmp_path):
    config, model = small_config(), small_model()
    optimizer, content = trained(model, config)
    save_released(tmp_path / "x.bin", released_content(content, model, optimizer, body))
    loaded = load_checkpoint(tmp_path / "x.bin")
    fresh = small_model(hidden_dim=24)
    Checkpoint(tmp_path / "x.bin", loaded, "regressor", config).fill(fresh)
    fresh_optimizer = build_optimizer(fresh, config)
    restore_optimizer(fresh_optimizer, loaded["optimizer"], "x.bin")
    back = our_content(loaded, fresh, fresh_optimizer, "regressor", config.to_dict())
    assert_same(back, content)


@pytest.mark.parametrize("best", [61.5, 9999.0])
def test_best_jpe_is_a_scalar_that_any_numpy_reads(best, small_model, small_config, body, tmp_path):
    model = small_model()
    optimizer, content = trained(model, small_config())
    save_released(tmp_path / "x.bin", released_content(content | {"best_jpe": best}, model, optimizer, body))
    with zipfile.ZipFile(tmp_path / "x.bin") as archive:
        data = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    assert (b"numpy.core.multiarray\nscalar" in data) == (best == 61.5)
    assert b"numpy._core" not in data
    loaded = torch.load(tmp_path / "x.bin", weights_only=False)["best_jpe"]
    assert type(loaded) is (np.float64 if best == 61.5 else float)
    assert loaded == best


def test_landmarks_are_those_that_smplx_adds_and_the_extra_regressor_is_needed(body, assets, tmp_path):
    expected = VertexJointSelector(vertex_ids["smplh"]).extra_joints_idxs
    assert torch.equal(body["vertex_joint_selector.extra_joints_idxs"], expected)
    with refused("J_regressor_extra.npy not found. It is part of SPIN's data and put it there"):
        body_tensors(assets, tmp_path)
