"""Similarity Procrustes against SciPy's rotation-only optimum, reflections and degenerate sets included."""

import numpy as np
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation

from kinemesh.geometry.alignment import align_similarity, nearest_rotation
from kinemesh.geometry.rotation import axis_angle_to_matrix


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def align_with_scipy(preds: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """Frames (F, K, 3) by another road: SciPy's rotation, then the least-squares scale."""
    aligned = []
    for pred, target in zip(preds.numpy(), targets.numpy(), strict=True):
        centred, goal = pred - pred.mean(0), target - target.mean(0)
        rotated = Rotation.align_vectors(goal, centred)[0].apply(centred)
        aligned.append((rotated * goal).sum() / (centred**2).sum() * rotated + target.mean(0))
    return np.stack(aligned)


def random_similarity(points: torch.Tensor) -> torch.Tensor:
    frames = points.shape[:-2]
    rotation = axis_angle_to_matrix(torch.randn(*frames, 1, 3, dtype=points.dtype) * 2)[..., 0, :, :]
    scale = torch.rand(*frames, 1, 1, dtype=points.dtype) * 3 + 0.1
    return scale * points @ rotation + torch.randn(*frames, 1, 3, dtype=points.dtype) * 500


class TestOptimum:
    @pytest.mark.parametrize("noise", [0.0, 1.0, 100.0, 1000.0])
    def test_equals_scipy(self, noise):
        target = torch.randn(40, 14, 3, dtype=torch.float64) * 300
        pred = random_similarity(target) + noise * torch.randn_like(target)
        aligned = align_similarity(pred, target)
        np.testing.assert_allclose(aligned.numpy(), align_with_scipy(pred, target), atol=1e-6)
        if not noise:
            torch.testing.assert_close(aligned, target)

    def test_float32_keeps_a_thousandth_of_a_millimetre_and_autocast_costs_no_digits(self):
        target = torch.randn(40, 14, 3) * 300
        pred = random_similarity(target) + 50 * torch.randn_like(target)
        found = align_similarity(pred, target)
        torch.testing.assert_close(found.double(), align_similarity(pred.double(), target.double()), atol=1e-3, rtol=0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(align_similarity(pred, target), found)

    def test_no_similarity_near_by_is_better(self):
        target = torch.randn(1, 17, 3, dtype=torch.float64)
        aligned = align_similarity(torch.randn_like(target), target)
        best = (aligned - target).square().sum()
        centre = aligned.mean(-2, keepdim=True)
        turns = axis_angle_to_matrix(1e-3 * torch.randn(200, 3, dtype=torch.float64))
        turned = (aligned - centre) @ turns + centre
        for nearby in (turned, aligned * 1.001, aligned * 0.999, aligned + 1e-3):
            assert ((nearby - target).square().sum((-2, -1)) > best).all()


class TestReflections:
    def test_mirrored_bodies_do_not_fit(self):
        target = torch.randn(30, 17, 3, dtype=torch.float64) * 300
        pred = random_similarity(target * torch.tensor([-1.0, 1.0, 1.0]))
        aligned = align_similarity(pred, target)
        assert ((aligned - target).norm(dim=-1).mean(-1) > 30).all()
        np.testing.assert_allclose(aligned.numpy(), align_with_scipy(pred, target), atol=1e-6)

    def test_handedness_is_kept(self):
        target = torch.randn(30, 4, 3, dtype=torch.float64)
        pred = torch.randn_like(target)
        signs = [torch.linalg.det(each[:, 1:] - each[:, :1]).sign() for each in (pred, align_similarity(pred, target))]
        assert torch.equal(*signs)
        assert (signs[0] != torch.linalg.det(target[:, 1:] - target[:, :1]).sign()).any()

    def test_a_flat_mirror_image_is_a_rotation(self):
        target = torch.randn(17, 3, dtype=torch.float64) * torch.tensor([300.0, 300.0, 0.0])
        pred = target * torch.tensor([-1.0, 1.0, 1.0])
        torch.testing.assert_close(align_similarity(pred, target), target)


class TestDegenerate:
    def test_points_on_a_line_and_one_point_which_lands_on_the_mean(self):
        target = torch.linspace(-1, 1, 17, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0, 3.0])
        torch.testing.assert_close(align_similarity(random_similarity(target), target), target)
        target = torch.randn(17, 3) * 300
        aligned = align_similarity(torch.full((17, 3), 5.0), target)
        torch.testing.assert_close(aligned, target.mean(0).expand(17, 3))

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_broken_frame_spoils_no_other(self, value):
        pred, target = torch.randn(3, 17, 3), torch.randn(3, 17, 3)
        whole = align_similarity(pred, target)
        pred[1, 4, 2] = value
        aligned = align_similarity(pred, target)
        assert aligned[1].isnan().any()
        torch.testing.assert_close(aligned[[0, 2]], whole[[0, 2]])


def test_every_frame_is_its_own_and_gradients_are_right():
    pred, target = torch.randn(2, 2, 3, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(align_similarity(pred, target)[1, 2], align_similarity(pred[1, 2], target[1, 2]))
    assert torch.autograd.gradcheck(align_similarity, (pred[0, :2].requires_grad_(), target[0, :2].requires_grad_()))


def nearest_by_scipy(matrix: np.ndarray) -> np.ndarray:
    """The rotation that turns the axes as near as can be to the matrix's columns."""
    return Rotation.align_vectors(matrix.T, np.eye(3))[0].as_matrix()


class TestNearestRotation:
    @pytest.mark.parametrize("noise", [0.0, 1e-6, 0.1, 1.0])
    def test_is_scipys_and_romas(self, noise):
        rotations = torch.tensor(Rotation.random(100, random_state=1).as_matrix())
        matrices = rotations + noise * torch.randn(100, 3, 3, dtype=torch.float64)
        found = nearest_rotation(matrices)
        expected = np.stack([nearest_by_scipy(matrix) for matrix in matrices.numpy()])
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-11)
        torch.testing.assert_close(found, roma.special_procrustes(matrices), atol=1e-11, rtol=0)
        rounded = nearest_rotation(matrices.float())
        assert rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, roma.special_procrustes(matrices.float()), atol=1e-6, rtol=0)

    @pytest.mark.parametrize("least", [1.0, 0.1, 1e-3, 1e-5, 1e-8, 0.0])
    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
    def test_of_any_condition_and_handedness(self, least, sign, scale):
        left, right = (torch.tensor(Rotation.random(50, random_state=seed).as_matrix()) for seed in (2, 3))
        stretch = scale * torch.diag(torch.tensor([2.0, 1.0, sign * least], dtype=torch.float64))
        found = nearest_rotation(left @ stretch @ right)
        if least < 1 or sign > 0:
            torch.testing.assert_close(found, left @ right, atol=1e-13, rtol=0)
        # However equal the stretches are: a rotation, and nothing else that is as near is nearer.
        torch.testing.assert_close(found @ found.mT, torch.eye(3).double().expand(50, 3, 3), atol=1e-13, rtol=0)
        torch.testing.assert_close(torch.linalg.det(found), torch.ones(50).double())
        fit = (found * (left @ stretch @ right)).sum(dim=(-2, -1))
        torch.testing.assert_close(fit, torch.full_like(fit, scale * (3 + sign * least)), rtol=1e-12, atol=0)

    def test_of_nothing_and_of_what_is_not_finite(self):
        matrices = torch.eye(3).repeat(5, 1, 1)
        matrices[1], matrices[2, 0, 1], matrices[3, 2, 2] = 0.0, torch.nan, -torch.inf
        found = nearest_rotation(matrices)
        torch.testing.assert_close(found[[0, 1, 4]], torch.eye(3).repeat(3, 1, 1))
        assert found[[2, 3]].isnan().any(dim=-1).any(dim=-1).all()
        assert nearest_rotation(torch.zeros(0, 24, 3, 3)).shape == (0, 24, 3, 3)
        assert nearest_rotation(torch.eye(3)).shape == (3, 3)

    def test_gradients(self):
        drawn = torch.randn(8, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        assert (torch.linalg.det(drawn) < 0).any()
        assert torch.autograd.gradcheck(nearest_rotation, drawn.requires_grad_())
