"""Metrics: the released code's numbers, known answers, and what a running mean must not depend on."""

import numpy as np
import pytest
import torch

from lib.errors import UserError
from lib.geometry.rotation import axis_angle_to_matrix
from lib.metrics import (
    ALL_JOINTS,
    METRIC_NAMES,
    MetricAccumulator,
    acceleration_error_mm,
    mpjpe_mm,
    mpve_mm,
    pa_mpjpe_mm,
)
from lib.structures import BodyMesh


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_mesh(*frames: int, vertices: int = 50) -> BodyMesh:
    return BodyMesh(torch.randn(*frames, vertices, 3) * 300, torch.randn(*frames, 17, 3) * 300)


def moved(mesh: BodyMesh, by: torch.Tensor) -> BodyMesh:
    return BodyMesh(mesh.vertices_mm + by, mesh.joints_mm + by)


def every_frame(mesh: BodyMesh) -> torch.Tensor:
    return torch.ones(mesh.joints_mm.shape[:-2], dtype=torch.bool)


def score(pred: BodyMesh, target: BodyMesh) -> dict[str, float]:
    accumulator = MetricAccumulator()
    accumulator.update(pred, target, every_frame(pred))
    return accumulator.result()


def test_released_values(reference):
    stored = reference("metrics")
    random = np.random.default_rng(13)
    vertices = random.normal(size=(24, 6890, 3)).astype("f") * 300
    target_vertices = vertices + random.normal(size=(24, 6890, 3)).astype("f") * 40
    pred = BodyMesh(torch.from_numpy(vertices), torch.from_numpy(stored["kp_3d"]))
    target = BodyMesh(torch.from_numpy(target_vertices), torch.from_numpy(stored["kp_3d_gt"]))
    found = score(pred, target)
    assert found.pop("frames") == 24
    assert found == {name: pytest.approx(stored[f"err.{name}"], abs=1e-3) for name in METRIC_NAMES}


class TestKnownAnswers:
    def test_equal_bodies(self):
        mesh = random_mesh(2, 3)
        for name, value in score(mesh, mesh).items():
            assert value == (6 if name == "frames" else pytest.approx(0, abs=1e-3))

    def test_position_in_space_does_not_count(self):
        pred, target = random_mesh(4), random_mesh(4)
        away = moved(pred, torch.tensor([1000.0, -500.0, 4000.0]))
        assert score(away, target) == pytest.approx(score(pred, target), abs=1e-2)

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
        pred = BodyMesh(target.vertices_mm, joints)
        seven = torch.full((2,), 7.0)
        torch.testing.assert_close(mpjpe_mm(pred.joints_mm, target.joints_mm), seven, atol=1e-3, rtol=0)
        torch.testing.assert_close(mpjpe_mm(pred.joints_mm, target.joints_mm, ALL_JOINTS), seven * 16 / 17)
        torch.testing.assert_close(mpve_mm(pred, target), seven, atol=1e-3, rtol=0)
        torch.testing.assert_close(pa_mpjpe_mm(pred.joints_mm, target.joints_mm), torch.zeros(2), atol=1e-3, rtol=0)

    def test_pa_mpjpe_forgives_a_similarity_but_no_mirror(self):
        target = random_mesh(8).joints_mm
        turned = 1.3 * target @ axis_angle_to_matrix(torch.tensor([0.3, -2.0, 1.0])) + 90.0
        assert (pa_mpjpe_mm(turned, target) < 1e-2).all()
        mirrored = turned * torch.tensor([-1.0, 1.0, 1.0])
        assert (pa_mpjpe_mm(mirrored, target) > 50).all()
        assert (pa_mpjpe_mm(mirrored, target, ALL_JOINTS) > 50).all()


class TestAccumulator:
    def test_batches_make_no_difference(self):
        pred, target = random_mesh(10, 3), random_mesh(10, 3)
        accumulator = MetricAccumulator()
        for part in (slice(0, 1), slice(1, 7), slice(7, 10)):
            chunk = BodyMesh(*(field[part] for field in pred)), BodyMesh(*(field[part] for field in target))
            accumulator.update(*chunk, every_frame(chunk[0]))
        assert accumulator.result() == pytest.approx(score(pred, target), rel=1e-6)

    def test_returns_the_errors_of_each_frame(self):
        pred, target = random_mesh(4, 3), random_mesh(4, 3)
        accumulator = MetricAccumulator()
        errors = accumulator.update(pred, target, every_frame(pred))
        assert tuple(errors) == METRIC_NAMES
        result = accumulator.result()
        for name, values in errors.items():
            assert values.shape == (4, 3)
            assert values.mean().item() == pytest.approx(result[name], rel=1e-5)

    def test_uncounted_frames_do_not_count(self):
        pred, target = random_mesh(6), random_mesh(6)
        counted = torch.tensor([True, False, True, True, False, False])
        expected = score(BodyMesh(*(field[counted] for field in pred)), BodyMesh(*(field[counted] for field in target)))
        for field in pred:
            field[1], field[4] = float("nan"), float("inf")
        accumulator = MetricAccumulator()
        accumulator.update(pred, target, counted)
        assert accumulator.result() == pytest.approx(expected, rel=1e-6)
        assert accumulator.result()["frames"] == 3

    def test_a_counted_nan_shows(self):
        pred, target = random_mesh(3), random_mesh(3)
        pred.joints_mm[1] = float("nan")
        assert all(np.isnan(value) for name, value in score(pred, target).items() if name != "frames")

    def test_sums_of_processes_add_up(self):
        parts = [(random_mesh(4), random_mesh(4)) for _ in range(2)]
        whole, halves = MetricAccumulator(), [MetricAccumulator(), MetricAccumulator()]
        for half, (pred, target) in zip(halves, parts, strict=True):
            half.update(pred, target, every_frame(pred))
            whole.update(pred, target, every_frame(pred))
        halves[0].sums += halves[1].sums
        assert halves[0].result() == pytest.approx(whole.result())

    def test_keeps_eight_float64_numbers_a_video(self):
        pred, target = random_mesh(5), random_mesh(5)
        pred.joints_mm.requires_grad_()
        accumulator = MetricAccumulator(3)
        accumulator.update(pred, target, every_frame(pred))
        assert vars(accumulator).keys() == {"sums", "video_count"}
        assert accumulator.sums.shape == (3, 8)
        assert accumulator.sums.dtype == torch.float64
        assert not accumulator.sums.requires_grad

    def test_a_long_run_does_not_drift(self):
        pred = random_mesh(1)
        target = moved(pred, torch.zeros(3))
        target.joints_mm[:, 1:] += torch.tensor([0.1, 0.0, 0.0])
        accumulator = MetricAccumulator()
        accumulator.update(pred, target, every_frame(pred))
        once = accumulator.result()["mpjpe"]
        accumulator.sums *= 10_000_000
        accumulator.update(pred, target, every_frame(pred))
        assert accumulator.result()["frames"] == 10_000_001
        assert accumulator.result()["mpjpe"] == pytest.approx(once, rel=1e-12)

    @pytest.mark.parametrize("updated", [False, True])
    def test_no_frame_at_all(self, updated):
        accumulator = MetricAccumulator()
        if updated:
            accumulator.update(random_mesh(2), random_mesh(2), torch.zeros(2, dtype=torch.bool))
        with pytest.raises(UserError, match=r"no test frame to score.*Lower clip_len, or set eval_clips: all_frames"):
            accumulator.result()

    def test_update_does_not_wait_for_the_device(self):
        # Tensors on `meta` hold no values: whatever reads one on the host fails.
        pred, target = (BodyMesh(*(field.to("meta") for field in random_mesh(2, 3))) for _ in range(2))
        accumulator = MetricAccumulator()
        accumulator.update(pred, target, torch.ones(2, 3, dtype=torch.bool, device="meta"))
        assert accumulator.sums.shape == (1, 8)


class TestAcceleration:
    def clips(self, frames: int = 6):
        time = torch.arange(frames, dtype=torch.float32)[None, :, None, None]
        return torch.zeros(2, frames, 17, 3), time

    def test_known_answer(self):
        joints, time = self.clips()
        moving = joints.clone()
        moving[:, :, 1:, 0] = (0.5 * 3.0 * time**2)[..., 0]  # 3 mm per frame squared, relative to joint 0
        torch.testing.assert_close(acceleration_error_mm(moving, joints), torch.full((2, 4), 3.0))

    def test_the_whole_body_may_move(self):
        joints, time = self.clips()
        torch.testing.assert_close(acceleration_error_mm(joints + time**2, joints), torch.zeros(2, 4))

    def test_only_counted_frames_in_a_row(self):
        joints, time = self.clips()
        pred = joints.clone()
        pred[:, :, 1:, 0] = (time**2)[..., 0]
        frames = torch.tensor([[0, 1, 2, 3, 4, 5], [6, 7, 7, 8, 9, 10]])
        counted = torch.ones(2, 6, dtype=torch.bool)
        counted[0, 5] = False
        accumulator = MetricAccumulator(2)
        mesh = BodyMesh(torch.zeros(2, 6, 5, 3), joints)
        accumulator.update(mesh, mesh, counted, torch.tensor([[0], [1]]).expand(2, 6))
        accumulator.update_acceleration(pred, joints, frames, counted, torch.tensor([0, 1]))
        sums, counts = accumulator.by_video()["accel_error"]
        assert counts.tolist() == [3, 2]
        assert (sums / counts).tolist() == [2.0, 2.0]
        assert accumulator.result()["accel_error"] == 2.0

    def test_short_clips_have_none(self):
        joints, _ = self.clips(2)
        accumulator = MetricAccumulator()
        mesh = BodyMesh(torch.zeros(2, 2, 5, 3), joints)
        accumulator.update(mesh, mesh, torch.ones(2, 2, dtype=torch.bool))
        accumulator.update_acceleration(joints, joints, torch.arange(4).view(2, 2), torch.ones(2, 2, dtype=torch.bool))
        assert "accel_error" not in accumulator.result()
        assert "accel_error" not in accumulator.by_video()
