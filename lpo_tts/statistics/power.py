"""How many prompts would show a difference, and which difference these prompts would show."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.statistics.student import NORMAL

POWER = 0.8  # Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988): the usual convention


def influences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """What each prompt adds to the difference of two ratios of sums, (num_prompts,), to first order; their mean is 0.

    The variance of the difference is that of these numbers over the number of prompts. Source: the linearised variance of a
    ratio, Cochran, "Sampling Techniques" (1977), chapter 6.

    Args:
        a: (num_prompts, 2) numerator and denominator of one system for each prompt.
        b: (num_prompts, 2) the same of the other.
    """
    parts = []
    for table in (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)):
        top, bottom = table.T
        parts.append((top - top.sum() / bottom.sum() * bottom) / bottom.mean())
    return parts[1] - parts[0]


def prompts_needed(spread: float, target: float, *, alpha: float, power: float = POWER) -> int | None:
    """Prompts that show a difference of `target` with probability `power` in a two-sided test at `alpha`.

    n = ((z(1 - alpha / 2) + z(power)) * spread / target)^2, the normal approximation (Cohen 1988, chapter 2).

    Args:
        spread: standard deviation of what a prompt adds to the difference (`influences`), in the unit of `target`.
        target: the difference, above 0.
        alpha: level of the test.
        power: wanted probability.

    Returns:
        None where there is no spread, which tells nothing about other prompts.
    """
    return math.ceil((_width(alpha, power) * spread / target) ** 2) if spread > 0 and target > 0 else None


def detectable(spread: float, num_prompts: int, *, alpha: float, power: float = POWER) -> float | None:
    """The smallest difference that so many prompts show with probability `power`; None where there is no spread."""
    return _width(alpha, power) * spread / math.sqrt(num_prompts) if spread > 0 and num_prompts > 0 else None


def _width(alpha: float, power: float) -> float:
    return NORMAL.inv_cdf(1 - alpha / 2) + NORMAL.inv_cdf(power)
