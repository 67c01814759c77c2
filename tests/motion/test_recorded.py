"""Recorded motion: mapped where it lies, refused where it is none, and resampled along the shortest way."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from kinemesh.motion.recorded import RecordedMotion, open_motions
from tests.refusals import refuses


def test_sequences_are_views_of_the_files(write_motions):
    path, arrays = write_motions()
    motions = open_motions(path)
    assert len(motions) == 3 and motions.body_model == "SMPL neutral"
    assert [len(motion.poses) for motion in motions] == [7, 1, 12]
    last = motions[2]
    assert (last.name, last.subject, last.split, last.fps) == ("name 2", "subject 2", "split 2", 120.0)
    np.testing.assert_array_equal(last.poses, arrays["pose"][8:])
    np.testing.assert_array_equal(last.trans_m, arrays["trans"][8:])
    assert np.shares_memory(last.poses, motions.poses) and not last.poses.flags.writeable
    with pytest.raises(IndexError):
        motions[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "dataset"}, "holds a dataset, expected a motion folder"),
        ({"length": np.array([7, 1, 13], "<i8")}, "do not add up to 20 frames"),
        ({"length": np.array([21, -2, 1], "<i8")}, "do not add up"),
        ({"fps": np.array([30.0, 0.0, 1.0])}, "rates above 0"),
        ({"betas": np.zeros((2, 10), "<f4")}, "one row a sequence"),
    ],
)
def test_what_is_no_motion_folder_is_told(changes, message, write_motions):
    path, _ = write_motions(**changes)
    refuses(message, open_motions, path)


@pytest.mark.parametrize("fps", [30.0, 25.0, 240.0, 60.0])
def test_another_rate_is_slerp_between_frames(fps):
    rng = np.random.default_rng(1)
    poses = np.cumsum(rng.normal(0, 0.3, (31, 72)), axis=0).astype("f4")
    trans_m = np.cumsum(rng.normal(0, 0.01, (31, 3)), axis=0).astype("f4")
    motion = RecordedMotion("a", poses, trans_m, np.zeros(10, "f4"), 60.0, "", "")
    resampled = motion.at_rate(fps)
    times, new_times = np.arange(31) / 60.0, np.arange(len(resampled.poses)) / fps
    assert resampled.fps == fps and new_times[-1] <= times[-1] + 1e-9 < new_times[-1] + 1 / fps
    for joint in range(24):
        own = slice(3 * joint, 3 * joint + 3)
        expected = Slerp(times, Rotation.from_rotvec(poses[:, own]))(np.minimum(new_times, times[-1]))
        error = (expected.inv() * Rotation.from_rotvec(resampled.poses[:, own])).magnitude()
        assert error.max() < 1e-5
    for axis in range(3):
        np.testing.assert_allclose(resampled.trans_m[:, axis], np.interp(new_times, times, trans_m[:, axis]), atol=1e-6)
