"""Running sums: what batches, padding, clips and processes must not change."""

import numpy as np
import pytest
import torch

from kinemesh.evaluation.accumulator import MetricAccumulator
from kinemesh.metrics import acceleration_error_mm, jitter_mm
from kinemesh.protocols import PROTOCOLS
from tests.refusals import refuses

RELEASED = PROTOCOLS["motionbert"]
COLUMNS = ("mpjpe", "mpve")


def errors_of(frames: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(frames, generator=generator) * 100 for name in COLUMNS}


def accumulator(videos: int = 1, protocol=RELEASED) -> MetricAccumulator:
    return MetricAccumulator(protocol, COLUMNS, videos)


def first_video(frames: int) -> torch.Tensor:
    return torch.zeros(frames, dtype=torch.int64)


class TestFrames:
    def test_batches_make_no_difference(self):
        errors, parts, whole = errors_of(30), accumulator(3), accumulator(3)
        videos, counted = torch.arange(30) // 10, torch.rand(30) < 0.7
        whole.add_frames(errors, counted, videos)
        for part in (slice(0, 1), slice(1, 22), slice(22, 30)):
            parts.add_frames({name: values[part] for name, values in errors.items()}, counted[part], videos[part])
        torch.testing.assert_close(parts.sums, whole.sums, rtol=1e-12, atol=0)

    def test_uncounted_frames_do_not_count(self):
        errors, sums = errors_of(6), accumulator()
        counted = torch.tensor([True, False, True, True, False, False])
        expected = {name: values[counted].double().mean().item() for name, values in errors.items()}
        for values in errors.values():
            values[1], values[4] = float("nan"), float("inf")
        sums.add_frames(errors, counted, first_video(6))
        assert sums.result() == pytest.approx(expected | {"frames": 3})

    def test_a_counted_nan_shows(self):
        errors, sums = errors_of(3), accumulator()
        errors["mpjpe"][1] = float("nan")
        sums.add_frames(errors, torch.ones(3, dtype=torch.bool), first_video(3))
        assert np.isnan(sums.result()["mpjpe"])

    def test_a_long_run_does_not_drift(self):
        errors, sums = {name: torch.full((1,), 0.1) for name in COLUMNS}, accumulator()
        sums.add_frames(errors, torch.ones(1, dtype=torch.bool), first_video(1))
        once = sums.result()["mpjpe"]
        sums.sums *= 10_000_000
        sums.add_frames(errors, torch.ones(1, dtype=torch.bool), first_video(1))
        assert sums.result() == pytest.approx({"mpjpe": once, "mpve": once, "frames": 10_000_001}, rel=1e-12)

    @pytest.mark.parametrize("updated", [False, True])
    def test_no_frame_at_all(self, updated):
        sums = accumulator()
        if updated:
            sums.add_frames(errors_of(2), torch.zeros(2, dtype=torch.bool), first_video(2))
        refuses(r"no test frame to score.*Lower clip_len, or set eval_clips: all_frames", sums.result)

    def test_size_follows_from_videos_not_frames(self):
        sums = accumulator(3)
        before = sums.sums.shape
        sums.add_frames(errors_of(500), torch.ones(500, dtype=torch.bool), torch.arange(500) % 3)
        assert sums.sums.shape == before == (3, 2 + 1 + 5)
        assert sums.sums.dtype == torch.float64


class Motion:
    """Random joints of videos of known length, and which frames clips show."""

    def __init__(self, *lengths: int, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.lengths = lengths
        count = sum(lengths)
        self.pred, self.target = (torch.randn(count, 17, 3, generator=generator) * 100 for _ in "pt")
        self.video = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        stops = torch.tensor(lengths).cumsum(0)
        self.is_end = torch.zeros(count, dtype=torch.bool)
        self.is_end[stops - 1] = True
        self.is_end[torch.cat((torch.zeros(1, dtype=torch.int64), stops[:-1]))] = True

    def add(self, sums: MetricAccumulator, rows, counted=None) -> None:
        rows = torch.as_tensor(rows)
        counted = torch.ones(len(rows), dtype=torch.bool) if counted is None else torch.as_tensor(counted)
        sums.add_motion(self.pred[rows], self.target[rows], rows, self.video[rows], counted, self.is_end[rows])

    def expected(self, skip_ends: bool = False) -> dict[str, tuple[list[float], list[int]]]:
        """Sums and numbers by video, each video taken whole."""
        sums = {"accel_error": ([], []), "jitter": ([], [])}
        for pred, target in zip(self.pred.split(self.lengths), self.target.split(self.lengths), strict=True):
            acceleration = acceleration_error_mm(pred, target, RELEASED.evaluated)
            acceleration = acceleration[1:-1] if skip_ends else acceleration
            for name, values in (("accel_error", acceleration), ("jitter", jitter_mm(pred, RELEASED.evaluated))):
                sums[name][0].append(values.double().sum().item())
                sums[name][1].append(len(values))
        return sums

    def check(self, sums: MetricAccumulator, skip_ends: bool = False) -> None:
        for name, (totals, numbers) in self.expected(skip_ends).items():
            found = sums.by_video()[name]
            assert found[1].tolist() == numbers, name
            assert found[0].tolist() == pytest.approx(totals, rel=1e-5), name


class TestMotion:
    @pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 20])
    def test_batches_make_no_difference_to_each_video_alone_and_whole(self, size):
        motion, sums = Motion(9, 7, 4), accumulator(3)
        for rows in torch.arange(20).split(size):
            motion.add(sums, rows)
        motion.check(sums)

    def test_ends_left_out(self):
        motion = Motion(9, 7)
        sums = accumulator(2, PROTOCOLS["wham"])
        for rows in torch.arange(16).split(4):
            motion.add(sums, rows)
        motion.check(sums, skip_ends=True)

    def test_a_last_window_that_overlaps_goes_on_from_the_one_before(self):
        # 11 frames in windows of 8: the second sees frames 3 to 10 and counts 8 to 10 only.
        motion, sums = Motion(11), accumulator()
        motion.add(sums, range(8))
        before = {name: values.clone() for name, values in (("pred", motion.pred), ("target", motion.target))}
        motion.pred[3:8] = float("nan")  # what it sees of frames counted before is another prediction
        motion.add(sums, range(3, 11), [False] * 5 + [True] * 3)
        motion.pred, motion.target = before["pred"], before["target"]
        motion.check(sums)

    def test_padding_and_gaps(self):
        motion, sums = Motion(5, 6), accumulator(2)
        motion.add(sums, [0, 1, 2, 3, 4, 4, 4], [True] * 5 + [False] * 2)
        motion.add(sums, [5, 6, 7, 8, 9, 10], [True, True, False, True, True, True])  # a gap leaves one run of three
        found = sums.by_video()
        assert found["accel_error"][1].tolist() == [3, 1]
        assert found["jitter"][1].tolist() == [2, 0]

    def test_no_motion_where_frames_come_twice_or_are_too_few(self):
        motion, sums = Motion(4), accumulator()
        motion.add(sums, [0, 0, 1, 2, 2, 3])
        assert sums.by_video()["accel_error"][1].tolist() == [1]
        assert "jitter" not in sums.by_video()
        motion, sums = Motion(2, 2), accumulator(2)
        motion.add(sums, range(4))
        assert {"accel_error", "jitter"}.isdisjoint(sums.by_video())

    def test_processes_with_whole_videos_add_up(self):
        motion, whole, halves = Motion(9, 7), accumulator(2), [accumulator(2), accumulator(2)]
        motion.add(whole, range(16))
        motion.add(halves[0], range(9))
        motion.add(halves[1], range(9, 16))
        torch.testing.assert_close(halves[0].sums + halves[1].sums, whole.sums, rtol=1e-12, atol=0)


def test_nothing_waits_for_the_device():
    # Tensors on `meta` hold no values: whatever reads one on the host fails.
    sums = MetricAccumulator(RELEASED, COLUMNS, 2, device="meta")
    errors = {name: values.to("meta") for name, values in errors_of(8).items()}
    ids, flags = torch.zeros(8, dtype=torch.int64, device="meta"), torch.ones(8, dtype=torch.bool, device="meta")
    joints = torch.zeros(8, 17, 3, device="meta")
    for _ in range(2):
        sums.add_frames(errors, flags, ids)
        sums.add_motion(joints, joints, ids, ids, flags, flags)
    assert sums.sums.shape == (2, 8)
