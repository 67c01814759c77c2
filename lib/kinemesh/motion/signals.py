"""Random signals in time: what makes made-up motion, cameras and errors vary smoothly instead of jumping.

All arrays hold many videos at once, (videos, frames, channels), so that nothing loops over videos or frames.
"""

import numpy as np


def seconds(frame_count: int, fps: float) -> np.ndarray:
    """(frames,) time of each frame in seconds."""
    return np.arange(frame_count) / fps


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk rise from 0 at x <= 0 to 1 at x >= 1 (Flash and Hogan, 1985: how people reach)."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def _cubic_b_spline(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (4.0 - 6.0 * x**2 + 3.0 * x**3) / 6.0
    far = np.maximum(2.0 - x, 0.0) ** 3 / 6.0
    return np.where(x < 1.0, near, far)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int, int], fps: float, rate_hz) -> np.ndarray:
    """(videos, frames, channels) noise of unit variance whose spectrum ends near `rate_hz` / 2.

    Args:
        shape: (videos, frames, channels).
        rate_hz: independent values a second, one number or one per video.
    """
    video_count, frame_count, channel_count = shape
    rate = np.broadcast_to(np.asarray(rate_hz, dtype=np.float64), (video_count,))
    knot_count = int(np.ceil(frame_count / fps * rate.max())) + 4
    knots = rng.standard_normal((video_count, knot_count, channel_count))
    position = seconds(frame_count, fps) * rate[:, None] + 1.0 + rng.random((video_count, 1))
    basis = _cubic_b_spline(position[..., None] - np.arange(knot_count))
    basis /= np.linalg.norm(basis, axis=-1, keepdims=True)
    return basis @ knots


def smooth_in_time(signal: np.ndarray, width: int) -> np.ndarray:
    """Running mean with a Hann window of `width` frames along axis 1, edges repeated."""
    window = np.hanning(width + 2)[1:-1]
    before, after = width // 2, width - 1 - width // 2
    padded = np.concatenate(
        [np.repeat(signal[:, :1], before, axis=1), signal, np.repeat(signal[:, -1:], after, axis=1)], axis=1
    )
    frame_count = signal.shape[1]
    return sum(weight * padded[:, i : i + frame_count] for i, weight in enumerate(window / window.sum()))


def random_runs(
    rng: np.random.Generator, shape: tuple[int, ...], starts_per_frame: float, length_frames: tuple[int, int]
) -> np.ndarray:
    """Boolean (videos, frames, ...) that is true in short runs: occlusions, swaps.

    Args:
        shape: (videos, frames, ...).
        starts_per_frame: chance that a run starts at a frame.
        length_frames: shortest and longest run.
    """
    starts = rng.random(shape) < starts_per_frame
    lengths = rng.integers(length_frames[0], length_frames[1] + 1, size=shape)
    frame = np.arange(shape[1]).reshape(1, -1, *([1] * (len(shape) - 2)))
    ends = np.where(starts, frame + lengths, 0)
    return np.maximum.accumulate(ends, axis=1) > frame
