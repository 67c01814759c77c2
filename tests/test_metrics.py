"""Metrics: the released code's numbers, known answers, and independent implementations of each."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.metrics import (
    ALL_JOINTS,
    Posed,
    acceleration_error_mm,
    frame_columns,
    frame_errors,
    jitter_mm,
    joint_angle_errors_deg,
    mpjpe_mm,
    mpve_mm,
    pa_mpjpe_mm,
    pa_mpve_mm,
    vertex_error_mm,
)
from kinemesh.protocols import PROTOCOLS
from kinemesh.structures import BodyMesh, BodyParams

RELEASED = PROTOCOLS["motionbert"]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_mesh(*frames: int, vertices: int = 50) -> BodyMesh:
    shapes = (vertices, 3), (17, 3), (24, 3), (1, 3)
    return BodyMesh(*(torch.randn(*frames, *shape) * 300 for shape in shapes))


def moved(mesh: BodyMesh, by: torch.Tensor) -> BodyMesh:
    return BodyMesh(*(part + by for part in mesh))


def aligned_by_scipy(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Similarity alignment by scipy's orthogonal Procrustes; for points that need no reflection."""
    centred, onto = pred - pred.mean(0), target - target.mean(0)
    turn, total = orthogonal_procrustes(centred, onto)
    assert np.linalg.det(turn) > 0
    return centred @ turn * total / (centred**2).sum() + target.mean(0)


def test_released_values(reference):
    stored = reference("metrics")
    random = np.random.default_rng(13)
    vertices = random.normal(size=(24, 6890, 3)).astype("f") * 300
    target_vertices = vertices + random.normal(size=(24, 6890, 3)).astype("f") * 40
    pred = BodyMesh(torch.from_numpy(vertices), torch.from_numpy(stored["kp_3d"]))
    target = BodyMesh(torch.from_numpy(target_vertices), torch.from_numpy(stored["kp_3d_gt"]))
    found = frame_errors(Posed(RELEASED, pred, target))
    assert set(found) == set(frame_columns(RELEASED, detailed=False))
    for name, values in found.items():
        assert values.mean().item() == pytest.approx(stored[f"err.{name}"], abs=1e-3), name


class TestKnownAnswers:
    def test_equal_bodies(self):
        mesh = random_mesh(2, 3)
        rotations = axis_angle_to_matrix(torch.randn(2, 3, 24, 3))
        for protocol in PROTOCOLS.values():
            for name, values in frame_errors(Posed(protocol, mesh, mesh, rotations, rotations), detailed=True).items():
                torch.testing.assert_close(values, torch.zeros(2, 3), atol=2e-3, rtol=0, msg=name)

    def test_position_in_space_does_not_count(self):
        pred, target = random_mesh(4), random_mesh(4)
        away = moved(pred, torch.tensor([1000.0, -500.0, 4000.0]))
        expected, found = (frame_errors(Posed(RELEASED, body, target)) for body in (pred, away))
        for name, values in expected.items():
            torch.testing.assert_close(found[name], values, atol=1e-2, rtol=0)

    @pytest.mark.parametrize(("joint", "share_of_14"), [(3, 1), (16, 1), (7, 0), (9, 0)])
    def test_which_joints_count(self, joint, share_of_14):
        target = random_mesh(2).joints_mm
        pred = target.clone()
        pred[:, joint] += torch.tensor([30.0, 0.0, 40.0])
        torch.testing.assert_close(mpjpe_mm(pred, target), torch.full((2,), 50.0 * share_of_14 / 14))
        torch.testing.assert_close(mpjpe_mm(pred, target, ALL_JOINTS), torch.full((2,), 50.0 / 17))
        assert ((pa_mpjpe_mm(pred, target) > 0.1) == bool(share_of_14)).all()
        assert (pa_mpjpe_mm(pred, target, ALL_JOINTS) > 0.1).all()

    def test_a_wrong_root_moves_all_others(self):
        target = random_mesh(2)
        joints = target.joints_mm.clone()
        joints[:, 0] += torch.tensor([0.0, 0.0, 7.0])
        pred = target._replace(joints_mm=joints)
        seven = torch.full((2,), 7.0)
        torch.testing.assert_close(mpjpe_mm(pred.joints_mm, target.joints_mm), seven, atol=1e-3, rtol=0)
        torch.testing.assert_close(mpjpe_mm(pred.joints_mm, target.joints_mm, ALL_JOINTS), seven * 16 / 17)
        torch.testing.assert_close(mpve_mm(pred, target), seven, atol=1e-3, rtol=0)
        torch.testing.assert_close(pa_mpjpe_mm(pred.joints_mm, target.joints_mm), torch.zeros(2), atol=1e-3, rtol=0)

    def test_alignment_forgives_a_similarity_but_no_mirror(self):
        target = random_mesh(8)
        turn = axis_angle_to_matrix(torch.tensor([0.3, -2.0, 1.0]))
        turned = BodyMesh(*(1.3 * part @ turn + 90.0 for part in target))
        assert (pa_mpjpe_mm(turned.joints_mm, target.joints_mm) < 1e-2).all()
        assert (pa_mpve_mm(turned.vertices_mm, target.vertices_mm) < 1e-2).all()
        mirrored = BodyMesh(*(part * torch.tensor([-1.0, 1.0, 1.0]) for part in turned))
        assert (pa_mpjpe_mm(mirrored.joints_mm, target.joints_mm) > 50).all()
        assert (pa_mpjpe_mm(mirrored.joints_mm, target.joints_mm, ALL_JOINTS) > 50).all()
        assert (pa_mpve_mm(mirrored.vertices_mm, target.vertices_mm) > 50).all()

    def test_angle_of_a_known_turn(self):
        rotations = axis_angle_to_matrix(torch.randn(5, 24, 3))
        turn = torch.zeros(24, 3)
        turn[:, 1] = torch.linspace(0, math.pi, 24)
        found = joint_angle_errors_deg(rotations, rotations @ axis_angle_to_matrix(turn))
        torch.testing.assert_close(found, torch.linspace(0, 180, 24).expand(5, 24), atol=0.05, rtol=0)


class TestAgainstOtherImplementations:
    def test_pa_mpjpe(self):
        pred = random_mesh(6).joints_mm
        target = pred @ axis_angle_to_matrix(torch.tensor([0.4, 1.0, -0.2])) + torch.randn(6, 17, 3) * 60
        found = pa_mpjpe_mm(pred, target, ALL_JOINTS)
        for frame in range(6):
            one, other = pred[frame].double().numpy(), target[frame].double().numpy()
            expected = np.linalg.norm(aligned_by_scipy(one, other) - other, axis=1).mean()
            assert found[frame].item() == pytest.approx(expected, rel=1e-5)
            # scipy's other one, which scales both sets to size 1: the sums of squares must agree.
            size = np.linalg.norm(other - other.mean(0))
            squares = ((aligned_by_scipy(one, other) - other) ** 2).sum()
            assert procrustes(other, one)[2] == pytest.approx(squares / size**2, rel=1e-6)

    def test_pa_mpve(self):
        pred = random_mesh(2, 2, vertices=400).vertices_mm
        target = pred @ axis_angle_to_matrix(torch.tensor([2.4, 1.0, -0.2])) + torch.randn(2, 2, 400, 3) * 60 + 150
        found = pa_mpve_mm(pred, target)
        for place in np.ndindex(2, 2):
            one, other = pred[place].double().numpy(), target[place].double().numpy()
            expected = np.linalg.norm(aligned_by_scipy(one, other) - other, axis=1).mean()
            assert found[place].item() == pytest.approx(expected, abs=1e-3)

    def test_pa_mpve_of_posed_bodies_far_from_the_origin(self, posed_body):
        pose = torch.randn(3, 24, 3) * 0.3
        bodies = [
            posed_body(BodyParams(axis_angle_to_matrix(angles), torch.randn(3, 10)))
            for angles in (pose, pose + torch.randn(3, 24, 3) * 0.2)
        ]
        pred, target = (body.vertices_mm for body in bodies)
        expected = [
            np.linalg.norm(aligned_by_scipy(one, other) - other, axis=1).mean()
            for one, other in zip(pred.double().numpy(), target.double().numpy(), strict=True)
        ]
        np.testing.assert_allclose(pa_mpve_mm(pred, target), expected, atol=2e-3)
        np.testing.assert_allclose(pa_mpve_mm(pred + 700.0, target - 300.0), expected, atol=2e-2)

    def test_vertex_error(self):
        pred, target = random_mesh(3), random_mesh(3)
        shift = torch.randn(3, 3) * 100
        for frame in range(3):
            total = sum(
                math.dist((a - shift[frame]).tolist(), b.tolist())
                for a, b in zip(pred.vertices_mm[frame], target.vertices_mm[frame], strict=True)
            )
            found = vertex_error_mm(pred.vertices_mm, target.vertices_mm, shift)[frame]
            assert found.item() == pytest.approx(total / 50, rel=1e-5)
        unmoved = vertex_error_mm(pred.vertices_mm, target.vertices_mm)
        torch.testing.assert_close(unmoved, (pred.vertices_mm - target.vertices_mm).norm(dim=-1).mean(-1))

    def test_joint_angles(self):
        first, second = torch.randn(4, 24, 3) * 2, torch.randn(4, 24, 3) * 2
        found = joint_angle_errors_deg(axis_angle_to_matrix(first), axis_angle_to_matrix(second))
        one, other = (Rotation.from_rotvec(part.reshape(-1, 3).numpy()) for part in (first, second))
        expected = np.degrees((one.inv() * other).magnitude()).reshape(4, 24)
        np.testing.assert_allclose(found, expected, atol=0.02)


class TestMotion:
    def motions(self, frames: int = 6):
        time = torch.arange(frames, dtype=torch.float32)[None, :, None, None]
        return torch.zeros(2, frames, 17, 3), time

    def test_known_acceleration_and_jitter(self):
        joints, time = self.motions()
        moving = joints.clone()
        moving[..., 0] = (0.5 * 3.0 * time**2)[..., 0]  # 3 mm per frame squared
        found = acceleration_error_mm(moving, joints, RELEASED.evaluated)
        torch.testing.assert_close(found, torch.full((2, 4), 3.0))
        joints, time = self.motions(8)
        moving = joints.clone()
        moving[..., 1] = (time**3 * 5 / 6)[..., 0]  # 5 mm per frame cubed
        torch.testing.assert_close(jitter_mm(moving, ALL_JOINTS), torch.full((2, 5), 5.0), atol=1e-3, rtol=0)
        assert jitter_mm((time**2).expand(2, 8, 17, 3), ALL_JOINTS).max() < 1e-3

    def test_against_a_loop(self):
        pred, target = torch.randn(7, 17, 3) * 50, torch.randn(7, 17, 3) * 50
        evaluated = RELEASED.evaluated
        for frame in range(5):
            total = 0.0
            for joint in evaluated:
                own, true = ([side[frame + step, joint] for step in range(3)] for side in (pred, target))
                apart = (own[0] - 2 * own[1] + own[2]) - (true[0] - 2 * true[1] + true[2])
                total += math.sqrt(sum(value**2 for value in apart.tolist()))
            found = acceleration_error_mm(pred, target, evaluated)[frame]
            assert found.item() == pytest.approx(total / 14, rel=1e-5)
