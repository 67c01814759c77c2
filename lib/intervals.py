"""How sure a difference of two test results is: bootstrap over videos."""

import numpy as np

DRAWS = 4000
LEVEL = 0.95


def ratio_interval(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean over frames, and the 95 % interval that drawing other videos would give it.

    `sums` (videos,) adds up a figure over each video's frames, `counts` (videos,) are those frames. Frames of one
    video are not independent, so whole videos are drawn, with replacement (percentile bootstrap; Efron and
    Tibshirani, 1993). Same input, same interval.
    """
    held = counts > 0
    sums, counts = sums[held], counts[held]
    mean = sums.sum() / counts.sum()
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=DRAWS)
    means = (drawn @ sums) / (drawn @ counts)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(mean), float(low), float(high)
