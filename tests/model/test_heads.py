"""The heads on made-up features: what each must keep, start from, and ignore."""

import math

import pytest
import torch

from kinemesh.geometry.rotation import (
    axis_angle_to_matrix,
    matrix_to_rotation_6d,
    matrix_to_rotation_6d_rows,
    rotation_6d_to_matrix,
    rotation_angle,
)
from kinemesh.model.heads import ResidualHead, SMPLHead
from kinemesh.structures import BodyParams

DIM_REP, HIDDEN = 6, 20


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_body(clips: int, frames: int) -> BodyParams:
    return BodyParams(axis_angle_to_matrix(torch.randn(clips, frames, 24, 3)), torch.randn(clips, frames, 10))


def random_features(clips: int, frames: int) -> torch.Tensor:
    return torch.randn(clips, frames, 17, DIM_REP)


def smpl_head(mean: BodyParams | None = None, dropout: float = 0.0) -> SMPLHead:
    mean = mean or BodyParams(torch.eye(3).expand(24, 3, 3), torch.zeros(10))
    return SMPLHead(DIM_REP, 17, HIDDEN, dropout, matrix_to_rotation_6d(mean.rotations).flatten(), mean.betas)


def residual_head(refine_rotation: str, dropout: float = 0.0) -> ResidualHead:
    return ResidualHead(DIM_REP, 17, HIDDEN, dropout, refine_rotation)


def silence_pose(head: SMPLHead | ResidualHead) -> None:
    torch.nn.init.zeros_(head.head_pose.weight)
    torch.nn.init.zeros_(head.head_pose.bias)


class TestSMPLHead:
    def test_an_offset_of_zero_is_the_mean_body(self):
        mean = BodyParams(axis_angle_to_matrix(torch.randn(24, 3)), torch.randn(10))
        head = smpl_head(mean)
        silence_pose(head)
        torch.nn.init.zeros_(head.head_shape.weight)
        torch.nn.init.zeros_(head.head_shape.bias)
        pred = head(random_features(2, 3))
        torch.testing.assert_close(pred.rotations, mean.rotations.expand(2, 3, 24, 3, 3), atol=1e-5, rtol=0)
        torch.testing.assert_close(pred.betas, mean.betas.expand(2, 3, 10))

    def test_starts_near_the_mean_body(self):
        head = smpl_head()
        for layer in (head.head_pose, head.head_shape):
            bound = 0.01 * math.sqrt(6 / sum(layer.weight.shape))
            assert 0.8 * bound < layer.weight.abs().max() <= bound

    def test_mean_body_is_a_buffer_of_its_own(self):
        pose, betas = torch.zeros(144), torch.zeros(10)
        head = SMPLHead(DIM_REP, 17, HIDDEN, 0.0, pose, betas)
        pose.fill_(9.0)
        betas.fill_(9.0)
        buffers = {name: buffer for name, buffer in head.named_buffers() if name.startswith("init_")}
        shapes = {name: tuple(buffer.shape) for name, buffer in buffers.items()}
        assert shapes == {"init_pose": (1, 144), "init_shape": (1, 10)}
        assert not any(buffer.any() for buffer in buffers.values())

    def test_shape_is_the_clips_and_pose_the_frames(self):
        head = smpl_head().eval()
        features = random_features(2, 5)
        pred, shuffled = head(features), head(features[:, [3, 1, 4, 0, 2]])
        torch.testing.assert_close(shuffled.rotations, pred.rotations[:, [3, 1, 4, 0, 2]])
        torch.testing.assert_close(shuffled.betas, pred.betas)
        assert (pred.betas == pred.betas[:, :1]).all()
        assert not torch.allclose(pred.betas[0], pred.betas[1])

    def test_rotations_are_rotations_of_one_frame_clips_too(self):
        rotations = smpl_head()(random_features(3, 4)).rotations
        identity = torch.eye(3).expand_as(rotations)
        torch.testing.assert_close(rotations @ rotations.mT, identity, atol=1e-5, rtol=0)
        assert (torch.linalg.det(rotations) > 0).all()
        pred = smpl_head()(random_features(2, 1))
        assert pred.rotations.shape == (2, 1, 24, 3, 3)
        assert pred.betas.shape == (2, 1, 10)


class TestResidualHead:
    @pytest.mark.parametrize("training", [True, False])
    def test_columns_start_as_the_estimate(self, training):
        estimate = random_body(2, 8)
        half_turns = torch.nn.functional.normalize(torch.randn(24, 3), dim=-1) * math.pi
        estimate.rotations[0, 0] = torch.eye(3)
        estimate.rotations[0, 1] = axis_angle_to_matrix(half_turns)
        estimate.rotations[0, 2] = axis_angle_to_matrix(torch.eye(3).repeat(8, 1) * math.pi)
        pred = residual_head("columns", dropout=0.5).train(training)(random_features(2, 8), estimate)
        torch.testing.assert_close(pred.rotations, estimate.rotations, atol=1e-5, rtol=0)
        assert pred.betas is estimate.betas

    def test_columns_learn_from_the_start(self):
        head = residual_head("columns")
        estimate, target = random_body(2, 8), random_body(2, 8)
        (head(random_features(2, 8), estimate).rotations - target.rotations).square().sum().backward()
        assert head.head_pose.weight.grad.any()

    def test_rows_of_zero_residual_are_not_the_estimate(self):
        head = residual_head("rows")
        assert head.head_pose.weight.std() > 0.01
        silence_pose(head)
        estimate = random_body(8, 8)
        pred = head(random_features(8, 8), estimate)
        released = rotation_6d_to_matrix(matrix_to_rotation_6d_rows(estimate.rotations))
        torch.testing.assert_close(pred.rotations, released)
        error = rotation_angle(pred.rotations.mT @ estimate.rotations).rad2deg().mean().item()
        assert 100 < error < 125

    def test_rows_are_finite_at_the_identity(self):
        head = residual_head("rows")
        silence_pose(head)
        estimate = BodyParams(torch.eye(3).repeat(2, 4, 24, 1, 1), torch.zeros(2, 4, 10))
        pred = head(random_features(2, 4), estimate)
        pred.rotations.sum().backward()
        assert pred.rotations.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in head.parameters())

    def test_convolutions_reach_four_frames(self):
        head = residual_head("rows").eval()
        estimate, features = random_body(2, 12), random_features(2, 12)
        changed = BodyParams(estimate.rotations.clone(), estimate.betas)
        changed.rotations[0, 0] = random_body(1, 1).rotations[0, 0]
        moved = (head(features, changed).rotations - head(features, estimate).rotations).flatten(2).abs().amax(-1)
        assert (moved[0, :5] > 1e-5).all()
        assert (moved[0, 5:] < 1e-6).all()
        assert (moved[1] < 1e-6).all()

    @pytest.mark.parametrize("refine_rotation", ["columns", "rows"])
    def test_batched_equals_one_by_one(self, refine_rotation):
        head = residual_head(refine_rotation).eval()
        torch.nn.init.normal_(head.head_pose.weight, std=0.1)
        estimate, features = random_body(3, 6), random_features(3, 6)
        together = head(features, estimate).rotations
        for clip in range(3):
            one = slice(clip, clip + 1)
            alone = head(features[one], BodyParams(estimate.rotations[one], estimate.betas[one])).rotations
            torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=0)

    def test_one_frame(self):
        estimate = random_body(2, 1)
        pred = residual_head("rows")(random_features(2, 1), estimate)
        assert pred.rotations.shape == (2, 1, 24, 3, 3)


@pytest.mark.parametrize("kind", ["smpl", "columns", "rows"])
def test_dropout_is_for_training(kind):
    head = smpl_head(dropout=0.5) if kind == "smpl" else residual_head(kind, dropout=0.5)
    torch.nn.init.normal_(head.head_pose.weight)
    inputs = (random_features(4, 3),) if kind == "smpl" else (random_features(4, 3), random_body(4, 3))
    assert not torch.equal(head(*inputs).rotations, head(*inputs).rotations)
    head.eval()
    assert torch.equal(head(*inputs).rotations, head(*inputs).rotations)
