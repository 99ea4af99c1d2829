"""Student's t and the normal distribution, as far as intervals need them; scipy is no dependency."""

import functools
import math
from statistics import NormalDist

NORMAL = NormalDist()
LIKE_NORMAL = 20_000  # degrees of freedom above which t and the normal distribution agree to five digits


def t_cdf(t: float, freedom: int) -> float:
    """Probability that Student's t with `freedom` degrees of freedom is at most `t`; the finite series for whole degrees.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
    """
    if freedom > LIKE_NORMAL:
        return NORMAL.cdf(t)
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    # Each term is the last one times cos² and a fraction: 2/3, 4/5, ... for odd degrees, 1/2, 3/4, ... for even ones.
    for k in range(1, (freedom - 1) // 2 if odd else freedom // 2):
        term *= cosine * cosine * ((2 * k) / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * (total if freedom > 1 else 0)) if odd else math.sin(angle) * total
    return min(1.0, max(0.0, (1 + within) / 2))


@functools.lru_cache(maxsize=1024)
def t_quantile(share: float, freedom: int) -> float:
    """The value that Student's t stays below with probability `share`, in (0, 1); by bisection."""
    if freedom > LIKE_NORMAL:
        return NORMAL.inv_cdf(share)
    if share > 0.5:
        return -t_quantile(1 - share, freedom)
    low, high = -1.0, 0.0
    while t_cdf(low, freedom) > share:
        low *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if t_cdf(middle, freedom) > share else (middle, high)
    return (low + high) / 2
