"""What a detector's confidences tell of its errors, in the numbers that `kinemesh.synthesis.detector` makes confidences by."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from kinemesh.synthesis.detector import HIGHEST_CONFIDENCE, LOWEST_CONFIDENCE, told_confidence
from kinemesh.synthesis.recipe import DEFAULT, ERROR_UNIT_PER_M

_MOST_POINTS = 50_000  # evenly spaced ones of more
_LEAST_CHANCE = 1e-12  # of what no relation of this kind explains
# Of log a, b, m and log s: within what a config may set.
_BOUNDS = ((-8.0, 1.0), (0.0, 100.0), (-0.45, 0.45), (-6.0, 1.0))


class ErrorBin(NamedTuple):
    """The keypoints of which a detector says as much."""

    low: float
    high: float
    count: int
    confidence: float  # mean
    mean: float  # of their errors, in the errors' unit
    median: float


def errors_by_confidence(confidence: np.ndarray, error: np.ndarray, borders: Sequence[float]) -> list[ErrorBin]:
    """Errors (N,) between rising borders of confidences (N,), where there are any; the last border belongs to its bin."""
    bins = []
    for low, high in itertools.pairwise(borders):
        is_in = (confidence >= low) & ((confidence < high) | ((high == borders[-1]) & (confidence == high)))
        if is_in.any():
            said, own = confidence[is_in].mean(), error[is_in]
            bins.append(ErrorBin(low, high, int(is_in.sum()), float(said), float(own.mean()), float(np.median(own))))
    return bins


def calibrated(error_m: np.ndarray, confidence: np.ndarray) -> dict[str, float]:
    """The recipe's `confidence_a`, `_b`, `_mean` and `_std` under which confidences (N,) of errors (N,), m, are most likely.

    What is at either end of the scale may be anything beyond it, as synthesis cuts confidences there.
    """
    rows = np.linspace(0, len(error_m) - 1, min(len(error_m), _MOST_POINTS)).astype(int)
    distance, said = ERROR_UNIT_PER_M * error_m[rows], confidence[rows]
    is_low, is_high = said <= LOWEST_CONFIDENCE, said >= HIGHEST_CONFIDENCE
    is_between = ~is_low & ~is_high

    def unlikelihood(values: np.ndarray) -> float:
        a, b, mean, std = np.exp(values[0]), values[1], values[2], np.exp(values[3])
        expected = told_confidence(distance, a, b) + mean
        chance = norm.logpdf(said[is_between], expected[is_between], std).sum()
        chance += np.log(norm.sf(HIGHEST_CONFIDENCE, expected[is_high], std) + _LEAST_CHANCE).sum()
        chance += np.log(norm.cdf(LOWEST_CONFIDENCE, expected[is_low], std) + _LEAST_CHANCE).sum()
        return -chance / len(said)

    noise = DEFAULT.noise
    start = [np.log(noise.confidence_a), noise.confidence_b, noise.confidence_mean, np.log(noise.confidence_std)]
    solved = minimize(unlikelihood, start, method="L-BFGS-B", bounds=_BOUNDS).x
    return {
        "confidence_a": float(np.exp(solved[0])), "confidence_b": float(solved[1]), "confidence_mean": float(solved[2]),
        "confidence_std": float(np.exp(solved[3])),
    }  # fmt: skip
