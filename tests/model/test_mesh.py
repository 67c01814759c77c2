"""The two trained models, whole: the released code's outputs and its first five training steps."""

import numpy as np
import pytest
import torch

from kinemesh.body.params import params_from_axis_angle
from kinemesh.geometry.rotation import matrix_to_axis_angle
from kinemesh.losses import compute_losses, weighted_total
from kinemesh.metrics import ALL_JOINTS, mpjpe_mm, mpve_mm
from kinemesh.model.building import build_refiner, build_regressor
from kinemesh.model.mesh import MeshRefiner, MeshRegressor
from kinemesh.structures import BodyParams, MeshInputs, RefineInputs

# Biases ahead of a BatchNorm have a gradient of 0, of which AdamW makes steps out of rounding; running means follow.
UNDETERMINED = {"head.fc1.bias", "head.fc2.bias", "head.bn1.running_mean", "head.bn2.running_mean"}


def to_body(pose: torch.Tensor, betas: torch.Tensor) -> BodyParams:
    return params_from_axis_angle(pose, betas)


def to_theta(body: BodyParams) -> torch.Tensor:
    return torch.cat((matrix_to_axis_angle(body.rotations).flatten(-2), body.betas), dim=-1)


@pytest.fixture(params=["mesh", "refine"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def model(kind, build_config) -> MeshRegressor | MeshRefiner:
    torch.manual_seed(0)
    if kind == "mesh":
        return build_regressor(build_config(), np.zeros(144), np.zeros(10))
    return build_refiner(build_config(refine_rotation="rows"))


def test_outputs_are_the_released(kind, model, read_reference, weights_of):
    reference = read_reference(f"{kind}_regressor")
    assert list(model.state_dict()) == list(weights_of(reference))
    model.load_state_dict(weights_of(reference), strict=True)
    inputs = MeshInputs(reference["x"])
    if kind == "refine":
        inputs = RefineInputs(reference["x"], to_body(reference["init_pose"], reference["init_shape"]))

    trained = model.train()(*inputs)
    torch.testing.assert_close(to_theta(trained), reference["train_theta"], atol=1e-4, rtol=0)
    state = model.state_dict()
    for name in [key[len("after.") :] for key in reference if key.startswith("after.")]:
        torch.testing.assert_close(state[name], reference[f"after.{name}"], atol=1e-6, rtol=1e-5, msg=name)

    evaluated = model.eval()(*inputs)
    torch.testing.assert_close(to_theta(evaluated), reference["eval_theta"], atol=1e-4, rtol=0)


def test_five_training_steps_are_the_released(
    kind, model, read_reference, weights_of, kinematics, reference_body, build_config
):
    reference, config = read_reference(f"{kind}_five_steps"), build_config()
    model.load_state_dict(weights_of(reference), strict=True)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.backbone.parameters(), "lr": config.lr_backbone},
            {"params": model.head.parameters(), "lr": config.lr_head},
        ],
        weight_decay=config.weight_decay,
    )
    for step, keypoints in enumerate(reference["x"]):
        inputs = MeshInputs(keypoints)
        if kind == "refine":
            estimate = to_body(reference["pred_pose"][step], reference["pred_betas"][step])
            inputs = RefineInputs(keypoints, estimate)
        target = to_body(reference["theta"][step], reference["betas"][step])
        pred = model(*inputs)
        terms = compute_losses(pred, kinematics(pred), target, kinematics(target), config.loss_type)
        total = weighted_total(terms, config)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

        with torch.no_grad():
            pred_mesh, target_mesh = reference_body(pred), reference_body(target)
            found = {
                "total": total,
                **terms,
                "train_mpjpe": mpjpe_mm(pred_mesh.joints_mm, target_mesh.joints_mm, ALL_JOINTS).mean(),
                "train_mpve": mpve_mm(pred_mesh, target_mesh).mean(),
            }
        for column, expected in zip(reference["columns"], reference["record"][step].tolist(), strict=True):
            assert found[column].item() == pytest.approx(expected, rel=5e-5), f"step {step}, {column}"

    state, started = model.state_dict(), weights_of(reference)
    finals = {key[len("final.") :]: value for key, value in reference.items() if key.startswith("final.")}
    for name in finals.keys() - UNDETERMINED:
        assert (state[name] - finals[name]).abs().double().mean() <= 1e-6, name
        if name.startswith(("backbone.head", "head.init_")):
            assert torch.equal(state[name], started[name]), name
        elif name.endswith("weight"):
            assert not torch.equal(state[name], started[name]), name


def test_only_the_pose_head_gets_no_gradient(kind, model):
    inputs = MeshInputs(torch.randn(2, 3, 17, 3))
    if kind == "refine":
        inputs = RefineInputs(*inputs, to_body(torch.randn(2, 3, 72), torch.zeros(2, 3, 10)))
    pred = model(*inputs)
    (pred.rotations[..., 0].sum() + pred.betas.sum()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {"backbone.head.weight", "backbone.head.bias"}


def test_half_precision_keeps_rotations_and_betas_whole(kind, model):
    inputs = MeshInputs(torch.randn(2, 3, 17, 3))
    if kind == "refine":
        inputs = RefineInputs(*inputs, to_body(torch.randn(2, 3, 72), torch.zeros(2, 3, 10)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pred = model(*inputs)
    assert pred.rotations.dtype == pred.betas.dtype == torch.float32
    orthonormal = torch.eye(3).expand_as(pred.rotations)
    torch.testing.assert_close(pred.rotations.mT @ pred.rotations, orthonormal, atol=1e-5, rtol=0)


def test_builders_follow_the_config(build_config):
    config = build_config(
        depth=1, dim_feat=16, dim_rep=8, num_heads=2, mlp_ratio=3, maxlen=9, hidden_dim=12, dropout=0.3
    )
    pose, betas = torch.arange(144.0), torch.arange(10.0)
    regressor, refiner = build_regressor(config, pose, betas), build_refiner(config)
    assert torch.equal(regressor.head.init_pose[0], pose)
    assert torch.equal(regressor.head.init_shape[0], betas)
    assert not refiner.head.head_pose.weight.any()  # the default, `columns`
    for model in (regressor, refiner):
        backbone = model.backbone
        assert backbone.temp_embed.shape == (1, 9, 1, 16)
        assert len(backbone.blocks_st) == 1
        assert backbone.blocks_st[0].attn_s.num_heads == 2
        assert backbone.blocks_ts[0].mlp_t.fc1.weight.shape == (48, 16)
        assert backbone.head.weight.shape == (3, 8)
        assert model.head.fc1.weight.shape == (12, 17 * 8)
        assert model.head.dropout.p == 0.3
    assert build_refiner(build_config(crop_input=True)).backbone.crop_input
    assert not hasattr(build_refiner(build_config(att_fuse=False)).backbone, "ts_attn")
    assert build_refiner(build_config(refine_rotation="rows")).head.head_pose.weight.any()


class TestPrecision:
    def test_bf16_stays_inside_the_backbone_and_near_fp32(self, build_config):
        torch.manual_seed(0)
        model = build_regressor(build_config(), torch.tensor([1.0, 0, 0, 1, 0, 0]).repeat(24), torch.zeros(10)).eval()
        keypoints = torch.rand(2, 9, 17, 3)
        expected = model(keypoints)
        model.is_bf16 = True
        found = model(keypoints)
        assert found.rotations.dtype == torch.float32
        assert not torch.equal(found.rotations, expected.rotations)
        torch.testing.assert_close(found.rotations, expected.rotations, atol=0.02, rtol=0)
