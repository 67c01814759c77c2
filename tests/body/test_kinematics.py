"""The joints must be what regressing them from smplx's vertices gives."""

import dataclasses

import numpy as np
import pytest
import smplx
import torch
from smplx.utils import Struct

from benchmarks.plain import as_smplx_stores
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.smpl import PosedBody
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.structures import BodyParams


def random_params(count: int, dtype: torch.dtype, seed: int = 0) -> BodyParams:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(count, 24, 3, generator=generator, dtype=dtype) * 0.7
    betas = torch.randn(count, 10, generator=generator, dtype=dtype)
    return BodyParams(axis_angle_to_matrix(pose).requires_grad_(), betas.requires_grad_())


@pytest.fixture(scope="module")
def rounded_assets(assets):
    """The stand-in body as smplx holds it: whatever dtype it computes in, it stores arrays rounded to float32."""
    return as_smplx_stores(assets)


@pytest.fixture(scope="module")
def random_body(rounded_assets):
    """A body with full skinning and regression, so that no sparsity of the stand-in's hides a fault."""
    assets = rounded_assets
    rng = np.random.default_rng(5)
    weights = rng.random(assets.skinning_weights.shape)
    regressor = rng.random(assets.J_regressor_h36m.shape)
    changed = dataclasses.replace(
        assets,
        skinning_weights=weights / weights.sum(axis=1, keepdims=True),
        J_regressor_h36m=regressor / regressor.sum(axis=1, keepdims=True),
        posedirs=rng.normal(size=assets.posedirs.shape) * 0.003,
        shapedirs=rng.normal(size=assets.shapedirs.shape) * 0.01,
        v_template=assets.v_template + rng.normal(size=assets.v_template.shape) * 0.02,
    )
    return as_smplx_stores(changed)


def smplx_vertices_mm(assets, params: BodyParams) -> torch.Tensor:
    return smplx_body_mm(assets, params)[0]


def smplx_body_mm(assets, params: BodyParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Vertices (N, V, 3) and the 24 joints (N, J, 3)."""
    data = Struct(
        **{name: getattr(assets, name) for name in ("v_template", "shapedirs", "posedirs", "J_regressor")},
        weights=assets.skinning_weights,
        kintree_table=np.stack([np.array(assets.parents), np.arange(24)]),
        f=assets.faces,
    )
    model = smplx.SMPL(model_path="", data_struct=data, batch_size=len(params.betas), dtype=params.betas.dtype)
    rotations = params.rotations
    out = model(betas=params.betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], pose2rot=False)
    return out.vertices * 1000, out.joints[:, :24] * 1000


@pytest.mark.parametrize("body", ["rounded_assets", "random_body"])
@pytest.mark.parametrize(
    ("dtype", "within_mm", "gradient_within"), [(torch.float32, 2e-3, 1e-4), (torch.float64, 1e-9, 1e-9)]
)
def test_joints_and_gradients_equal_those_of_smplx(request, body, dtype, within_mm, gradient_within):
    assets = request.getfixturevalue(body)
    params = random_params(6, dtype)
    vertices = smplx_vertices_mm(assets, params)
    expected = torch.tensor(assets.J_regressor_h36m, dtype=dtype) @ vertices
    found = JointKinematics(assets, dtype)(params)
    assert (found - expected).abs().max() < within_mm
    weights = torch.randn(found.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for own, reference in zip(
        torch.autograd.grad((found * weights).sum(), params),
        torch.autograd.grad((expected * weights).sum(), params),
        strict=True,
    ):
        assert (own - reference).abs().max() < gradient_within * reference.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posed_body_equals_smplx(rounded_assets, dtype):
    params = random_params(3, dtype, seed=3)
    assets = rounded_assets
    mesh = PosedBody(assets, dtype)(params)
    expected, joints = smplx_body_mm(assets, params)
    assert (mesh.vertices_mm - expected).abs().max() < (2e-3 if dtype == torch.float32 else 1e-9)
    assert (mesh.joints_mm - torch.tensor(assets.J_regressor_h36m, dtype=dtype) @ expected).abs().max() < 2e-3
    assert (mesh.smpl_joints_mm - joints).abs().max() < 2e-3
    root = torch.tensor(assets.J_regressor[:1], dtype=dtype) @ expected
    assert mesh.smpl_root_mm.shape == (3, 1, 3)
    assert (mesh.smpl_root_mm - root).abs().max() < 2e-3


def test_any_leading_shape_and_batched_equals_one_by_one(kinematics, posed_body):
    params = random_params(6, torch.float32)
    grouped = BodyParams(params.rotations.reshape(2, 3, 24, 3, 3), params.betas.reshape(2, 3, 10))
    joints = kinematics(grouped)
    assert joints.shape == (2, 3, 17, 3)
    mesh = posed_body(grouped)
    assert [part.shape for part in mesh] == [(2, 3, count, 3) for count in (6890, 17, 24, 1)]
    alone = posed_body(BodyParams(params.rotations[4], params.betas[4]))
    for own, whole in zip(alone, mesh, strict=True):
        torch.testing.assert_close(own, whole[1, 1], atol=2e-3, rtol=0)
    for index in range(6):
        single = kinematics(BodyParams(params.rotations[index], params.betas[index]))
        torch.testing.assert_close(single, joints.reshape(6, 17, 3)[index], atol=2e-3, rtol=0)


def test_turning_the_body_turns_the_joints(assets):
    kinematics = JointKinematics(assets, torch.float64)
    params = random_params(4, torch.float64)
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 0.5], dtype=torch.float64))
    turned = torch.cat((turn @ params.rotations[:, :1], params.rotations[:, 1:]), dim=1)
    pelvis = torch.tensor(assets.J_regressor[0], dtype=torch.float64)
    offsets = torch.einsum("vdk,nk->nvd", torch.tensor(assets.shapedirs), params.betas)
    template = torch.tensor(assets.v_template) + offsets
    root_mm = (pelvis @ template)[:, None] * 1000  # the body turns about its rest pelvis
    found = kinematics(BodyParams(turned, params.betas))
    # The stored regressor's rows sum to 1 within float32.
    torch.testing.assert_close(found, (kinematics(params) - root_mm) @ turn.T + root_mm, atol=1e-4, rtol=0)
