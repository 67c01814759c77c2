"""Losses, one class a term: the released code's values and gradients, known answers, and safe corners."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from kinemesh import losses
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import LIMB_ANGLE_PAIRS, LIMBS
from kinemesh.config import LAMBDA_OF_TERM, Config
from kinemesh.geometry.constants import constant_tensor
from kinemesh.losses import compute_losses, weighted_total
from kinemesh.structures import BodyParams

TERMS = tuple(LAMBDA_OF_TERM)
TERMS_OF_MOTION = ("loss_3d_velocity", "loss_lv", "loss_av")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def to_body(theta: torch.Tensor) -> BodyParams:
    return params_from_axis_angle(theta[..., :72], theta[..., 72:])


def random_arguments(clips: int = 2, frames: int = 4, dtype: torch.dtype = torch.float32) -> list:
    """pred, pred_joints_mm, target, target_joints_mm."""
    thetas = torch.randn(2, clips, frames, 82, dtype=dtype) * 0.5
    joints = torch.randn(2, clips, frames, 17, 3, dtype=dtype) * 200
    return [to_body(thetas[0]), joints[0], to_body(thetas[1]), joints[1]]


def joints_of(lengths_mm: torch.Tensor) -> torch.Tensor:
    """Joints (B, T, 17, 3) whose limbs have these lengths (B, T, 16), each limb in a direction of its own."""
    directions = torch.nn.functional.normalize(torch.randn(16, 3), dim=-1)
    joints = [torch.zeros(*lengths_mm.shape[:2], 3)] * 17
    for limb, (parent, child) in enumerate(LIMBS):
        joints[child] = joints[parent] + lengths_mm[..., limb, None] * directions[limb]
    return torch.stack(joints, dim=2)


class TestReleased:
    @pytest.mark.parametrize("loss_type", ["L1", "MSE"])
    @pytest.mark.parametrize("term", TERMS)
    def test_values_and_gradients(self, term, loss_type, reference):
        stored = {key: torch.from_numpy(array) for key, array in reference("losses").items()}
        theta, joints = stored["pred_theta"].requires_grad_(), stored["pred_kp_3d"].requires_grad_()
        loss = compute_losses(to_body(theta), joints, to_body(stored["gt_theta"]), stored["gt_kp_3d"], loss_type)[term]
        loss.backward()
        name = f"{loss_type}.{term}"
        torch.testing.assert_close(loss.detach(), stored[name], atol=0, rtol=1e-5)
        compared = 0
        for key, found in ((f"{name}.grad_theta", theta.grad), (f"{name}.grad_kp_3d", joints.grad)):
            if key in stored:
                torch.testing.assert_close(found, stored[key], atol=1e-5 * stored[key].abs().max().item(), rtol=0)
                compared += 1
        assert compared == 1

    def test_one_frame(self, reference):
        stored = {key: torch.from_numpy(array) for key, array in reference("losses").items()}
        first = {key: stored[key][:, :1] for key in ("pred_theta", "pred_kp_3d", "gt_theta", "gt_kp_3d")}
        found = compute_losses(
            to_body(first["pred_theta"]), first["pred_kp_3d"], to_body(first["gt_theta"]), first["gt_kp_3d"], "L1"
        )
        for term, loss in found.items():
            torch.testing.assert_close(loss, stored[f"single_frame.{term}"], atol=0, rtol=1e-5, msg=term)


class TestPosition:
    def test_one_joint_off_and_steady_drift(self):
        target = torch.randn(2, 5, 17, 3)
        pred = target.clone()
        pred[:, :, 5] += torch.tensor([3.0, 4.0, 0.0])
        assert losses.position_loss(pred, target).item() == pytest.approx(5 / 17, rel=1e-5)
        drift = torch.arange(5.0)[:, None, None] * torch.tensor([0.0, 0.6, 0.8])
        assert losses.velocity_loss(target + drift + 7, target).item() == pytest.approx(1, rel=1e-5)

    def test_the_scaled_one_forgives_a_scale_for_each_frame(self):
        target = torch.randn(2, 3, 17, 3) * 200
        pred = target * torch.rand(2, 3, 1, 1).add(0.5)
        assert losses.scaled_position_loss(pred, target).item() == pytest.approx(0, abs=1e-3)
        assert losses.position_loss(pred, target).item() > 1

    def test_a_body_shrunk_to_a_point(self):
        pred, target = torch.zeros(1, 2, 17, 3, requires_grad=True), torch.randn(1, 2, 17, 3)
        loss = losses.scaled_position_loss(pred, target)
        loss.backward()
        assert loss.item() == pytest.approx(target.norm(dim=-1).mean().item())
        assert pred.grad.isfinite().all()


class TestLimbs:
    def test_lengths_their_difference_and_their_unbiased_variance(self):
        lengths = torch.rand(2, 3, 16) * 400 + 10
        limbs = losses.limb_vectors(joints_of(lengths))
        torch.testing.assert_close(limbs.norm(dim=-1), lengths)
        off = lengths + torch.tensor([2.0, -2.0] * 8)
        assert losses.limb_length_loss(off, lengths).item() == pytest.approx(2, rel=1e-5)
        still = torch.full((1, 2, 16), 100.0)
        still[0, :, 4] = torch.tensor([99.0, 101.0])
        assert losses.limb_length_variance(still).item() == pytest.approx(2 / 16)

    def test_angles_and_their_gradients_where_limbs_are_parallel(self):
        limbs = torch.tensor([2.0, 0.0, 0.0]).repeat(1, 1, 16, 1)
        limbs[..., 3, :] = torch.tensor([0.0, 0.0, 5.0])
        limbs[..., 15, :] = torch.tensor([-1.0, 0.0, 0.0])
        expected = [math.pi / 2 if 3 in pair else math.pi if 15 in pair else 0.0 for pair in LIMB_ANGLE_PAIRS]
        # The clamp that keeps gradients finite costs this much at 0 and pi.
        found = losses.limb_angles(limbs.requires_grad_())
        torch.testing.assert_close(found[0, 0], torch.tensor(expected), atol=1e-3, rtol=0)
        found.sum().backward()
        assert limbs.grad.isfinite().all()

    def test_angles_that_differ_or_change_at_another_rate(self):
        target = torch.rand(2, 4, 18)
        assert losses.limb_angle_loss(target - 0.25, target).item() == pytest.approx(0.25, rel=1e-5)
        assert losses.limb_angle_velocity_loss(target - 0.25, target).item() == pytest.approx(0, abs=1e-6)
        faster = target + 0.1 * torch.arange(4.0)[:, None]
        assert losses.limb_angle_velocity_loss(faster, target).item() == pytest.approx(0.1, rel=1e-5)


class TestParameters:
    @pytest.mark.parametrize(("loss_type", "expected"), [("L1", 0.5), ("MSE", 0.25)])
    def test_difference(self, loss_type, expected):
        target = torch.randn(2, 3, 10)
        assert losses.parameter_loss(target + 0.5, target, loss_type).item() == pytest.approx(expected, rel=1e-5)

    def test_norm_is_of_axis_angle_and_betas_and_safe_at_rest(self):
        theta = torch.randn(2, 3, 82)
        theta[..., :72] *= 0.3  # angles below pi, where an axis-angle vector is its matrix's
        assert losses.parameter_norm(to_body(theta)).item() == pytest.approx(theta.norm(dim=-1).mean().item(), rel=1e-5)
        theta = torch.zeros(1, 2, 82, requires_grad=True)
        loss = losses.parameter_norm(to_body(theta))
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
        assert theta.grad.isfinite().all()
        assert theta.grad.abs().max() <= 1


class TestAllTerms:
    def test_a_perfect_prediction(self):
        pred, _, _, _ = random_arguments()
        joints = joints_of(torch.full((2, 4, 16), 100.0))
        for term, loss in compute_losses(pred, joints, pred, joints, "L1").items():
            if term != "loss_norm":
                assert loss.item() == pytest.approx(0, abs=1e-4), term

    def test_position_in_space_does_not_count(self):
        pred, pred_joints, target, target_joints = random_arguments()
        walk = torch.randn(2, 4, 1, 3) * 1000
        found = compute_losses(pred, pred_joints + walk, target, target_joints - 2 * walk, "L1")
        expected = compute_losses(pred, pred_joints, target, target_joints, "L1")
        for term in TERMS:
            torch.testing.assert_close(found[term], expected[term], rtol=1e-3, atol=1e-3, msg=term)

    def test_loss_type_changes_pose_and_shape_only(self):
        arguments = random_arguments()
        absolute, squared = compute_losses(*arguments, "L1"), compute_losses(*arguments, "MSE")
        changed = {term for term in TERMS if not torch.equal(absolute[term], squared[term])}
        assert changed == {"loss_pose", "loss_shape"}

    def test_one_frame_has_no_motion(self):
        arguments = random_arguments(frames=1)
        joints = arguments[1].requires_grad_()
        found = compute_losses(*arguments, "L1")
        torch.stack(list(found.values())).sum().backward()
        assert {term for term in TERMS if found[term].item() == 0} == set(TERMS_OF_MOTION)
        assert joints.grad.isfinite().all()

    def test_all_are_scalars_in_order(self):
        found = compute_losses(*random_arguments(), "L1")
        assert tuple(found) == TERMS
        assert all(loss.shape == () for loss in found.values())

    @pytest.mark.parametrize("loss_type", ["L1", "MSE"])
    def test_gradients(self, loss_type):
        pred, pred_joints, target, target_joints = random_arguments(1, 3, torch.float64)
        start = compute_losses(pred, pred_joints, target, target_joints, loss_type)
        sizes = torch.stack(list(start.values()))  # from 1 to 1e5: one tolerance fits all once they are divided out

        def terms_of(rotations, betas, joints_m):
            found = compute_losses(BodyParams(rotations, betas), joints_m * 1000, target, target_joints, loss_type)
            return torch.stack(list(found.values())) / sizes

        inputs = (pred.rotations, pred.betas, pred_joints / 1000)
        assert torch.autograd.gradcheck(terms_of, [value.requires_grad_() for value in inputs])

    def test_collapsed_bodies_have_finite_gradients(self):
        pred, _, target, target_joints = random_arguments()
        joints = torch.zeros_like(target_joints, requires_grad=True)
        found = compute_losses(pred, joints, target, target_joints, "L1")
        torch.stack(list(found.values())).sum().backward()
        assert all(loss.isfinite() for loss in found.values())
        assert joints.grad.isfinite().all()

    def test_training_after_evaluation(self):
        # Index tensors are made once: those made while evaluating must serve training too.
        constant_tensor.cache_clear()
        arguments = random_arguments()
        with torch.inference_mode():
            compute_losses(*arguments, "L1")
        arguments[1].requires_grad_()
        compute_losses(*arguments, "L1")["loss_a"].backward()
        assert arguments[1].grad.any()

    def test_nothing_waits_for_the_device(self):
        # Tensors on `meta` hold no values: whatever reads one on the host fails.
        with torch.device("meta"):
            found = compute_losses(*random_arguments(), "L1")
            total = weighted_total(found, weights())
        assert total.device.type == "meta"


def weights(**chosen: float) -> SimpleNamespace:
    return SimpleNamespace(**{**dict.fromkeys(LAMBDA_OF_TERM.values(), 0.0), **chosen})


class TestWeightedTotal:
    def test_every_term_has_a_weight_in_the_config(self):
        assert set(LAMBDA_OF_TERM.values()) <= {field.name for field in dataclasses.fields(Config)}

    @pytest.mark.parametrize(
        ("terms", "chosen", "total"),
        [
            ({term: float(place) for place, term in enumerate(TERMS)}, {"lambda_scale": 0.5, "lambda_norm": 20}, 180.5),
            # A term of no weight cannot spoil it, and may be left out.
            (dict.fromkeys(TERMS, 1.0) | {"loss_a": float("nan")}, {"lambda_3d": 2}, 2),
            ({"loss_lv": 3.0}, {"lambda_lv": 2}, 6),
            (dict.fromkeys(TERMS, 1.0), {}, 0),
        ],
    )
    def test_is_the_sum_of_what_has_a_weight(self, terms, chosen, total):
        terms = {term: torch.tensor(value) for term, value in terms.items()}
        assert weighted_total(terms, weights(**chosen)).item() == total
