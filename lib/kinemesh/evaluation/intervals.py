"""How sure a test result or a difference of two is: bootstrap over videos."""

import functools

import numpy as np

DRAWS = 4000
LEVEL = 0.95

Interval = tuple[float, float, float]  # mean, low, high


def ratio_interval(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> Interval:
    """Mean over frames, and the 95 % interval that drawing other videos would give it.

    `sums` (videos,) adds up a figure over each video's frames, `counts` (videos,) are those frames. Frames of one
    video are not independent, so whole videos are drawn, with replacement (percentile bootstrap; Efron and
    Tibshirani, 1993). Same input, same interval. One video gives an interval of no width: it says nothing.
    """
    held = counts > 0
    sums, counts = sums[held], counts[held]
    mean = sums.sum() / counts.sum()
    drawn = _draw_videos(len(sums), seed)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(mean), float(low), float(high)


@functools.lru_cache(maxsize=4)
def _draw_videos(count: int, seed: int) -> np.ndarray:
    """(DRAWS, count) how often each video is in each draw."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return drawn.astype(np.float64)
