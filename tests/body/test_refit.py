"""A body fitted to vertices of another is that body where it can be, and near it where it cannot."""

import dataclasses

import pytest
import torch

from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.refit import BodyFitter
from kinemesh.body.smpl import PosedBody
from kinemesh.structures import BodyParams


@pytest.fixture(scope="module")
def person():
    """Poses, betas and places of five frames."""
    generator = torch.Generator().manual_seed(0)
    return [
        scale * torch.randn(*shape, generator=generator)
        for scale, shape in ((0.35, (5, 72)), (1.0, (10,)), (1.0, (5, 3)))
    ]


def vertices_of(assets, fit, betas=None, trans_m=None) -> torch.Tensor:
    params = (
        params_from_axis_angle(fit, betas) if betas is not None else BodyParams(fit.rotations, fit.betas.expand(5, -1))
    )
    trans_m = fit.trans_m if trans_m is None else trans_m
    return (
        PosedBody(assets, torch.float64)(BodyParams(*(part.double() for part in params))).vertices_mm / 1000
        + trans_m[:, None]
    )


def test_a_known_body_comes_back(assets, person):
    poses, betas, trans_m = person
    truth = vertices_of(assets, poses, betas, trans_m)
    # From the mean shape, and a pose that is three degrees off in every joint's every axis.
    near = poses + 0.05 * torch.randn(poses.shape, generator=torch.Generator().manual_seed(1))
    fit = BodyFitter(assets).fit(truth[:, :: BodyFitter.stride], params_from_axis_angle(near, betas).rotations)
    assert (vertices_of(assets, fit) - truth).norm(dim=-1).max() < 1e-3
    assert (fit.betas - betas).abs().max() < 0.01 and fit.error_m.max() < 1e-4


def test_from_vertices_alone_a_known_body_comes_back(assets):
    """However it faces and bends, with nothing else known."""
    generator = torch.Generator().manual_seed(2)
    poses, betas = 0.4 * torch.randn(5, 72, generator=generator), torch.randn(10, generator=generator)
    poses[:, :3] *= 4
    truth = vertices_of(assets, poses, betas, torch.zeros(5, 3))[:, :: BodyFitter.stride]
    fitter = BodyFitter(assets)
    fit = fitter.fit(truth, fitter.near(truth))
    assert fit.error_m.max() < 1e-3 and (fit.betas - betas).abs().max() < 0.01


def test_another_body_is_met_nearer_than_by_its_shape_alone(assets, person):
    poses, betas, trans_m = person
    other = dataclasses.replace(assets, v_template=assets.v_template * [1.04, 0.98, 1.06])
    target = vertices_of(other, poses, betas, trans_m)
    start = params_from_axis_angle(poses, betas).rotations
    fit = BodyFitter(assets).fit(target[:, :: BodyFitter.stride], start, betas)
    apart = (vertices_of(assets, fit) - target).norm(dim=-1).mean()
    as_it_was = vertices_of(assets, poses, fit.betas.float(), trans_m)
    unfitted = target - as_it_was
    unfitted = (unfitted - unfitted.mean(dim=1, keepdim=True)).norm(dim=-1).mean()
    assert apart < 0.9 * unfitted and apart == pytest.approx(float(fit.error_m.mean()), rel=0.05)
