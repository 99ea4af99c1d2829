"""When enough listeners were asked: bounds on a mean that hold however often one looks, and advice to stop or go on."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError

MARGIN = 0.05  # ours: a preference of 45 to 55 % is too small to matter
MOST = 5000  # ours: more listeners are not recruited, so a forecast beyond says "not in sight"
HALF = 0.5
# Gauss-Legendre: integrates products of up to 199 factors exactly. For more of them it is a mixture of 100 bets, as valid.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(100)
_BETS, _LOG_WEIGHTS = (_NODES + 1) / 2, np.log(_WEIGHTS / 2)


class Evidence:
    """Evidence of independent values in [0, 1] against each mean they could have.

    Against the mean m it is the fortune of somebody who began with 1 and bet on each value at odds that are fair under m,
    with all bets p from 0 to 1 held side by side::

        M(m) = ∫ Π [x p / m + (1 - x) (1 - p) / (1 - m)] dp

    Under the true mean the fortune is expected not to grow, whatever the distribution. So by Ville's inequality it ever
    reaches 1 / alpha with a chance of at most alpha, with as many looks as one likes. For values 0 and 1 it is the
    beta-binomial mixture of Robbins (1970), 2^n B(wins + 1, losses + 1) against 1/2; for values between, the betting of
    Waudby-Smith and Ramdas (2024), which gains from a small spread. It does not depend on the order of the values.

    What it needs is that each value has the same mean given those before. Votes of one listener do not have it: who
    prefers B once will do so again. So a value is what one listener answered altogether, in a number of trials that was
    fixed before.

    Args:
        values: (num_values,) in [0, 1].

    Raises:
        ContractError: a value lies outside.
    """

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.asarray(values, dtype=np.float64)
        if self.values.ndim != 1 or not ((self.values >= 0) & (self.values <= 1)).all():
            raise ContractError("statistics: expected values in [0, 1], one for each listener")
        self._different, self._counts = np.unique(self.values, return_counts=True)  # shares of equal trials are often equal

    def log(self, mean: float, times: float = 1.0) -> float:
        """Natural logarithm of the evidence against a mean in (0, 1); `times`: as if each value had come so often."""
        return float(_mixed(times * (self._counts @ _logs(self._different, mean))))

    def path(self, mean: float) -> NDArray[np.float64]:
        """The logarithm of the evidence against a mean after each value in turn, (num_values,)."""
        return _mixed(_logs(self.values, mean).cumsum(axis=0))

    def bounds(self, alpha: float) -> tuple[float, float]:
        """All means that the evidence does not speak against at level alpha; they are an interval, as M is log-convex."""
        _check_alpha(alpha)
        if not len(self.values):
            return 0.0, 1.0
        centre = float(self.values.mean())  # M is at most 1 here: by ln(1 + x) <= x for each bet
        return self._edge(centre, 0.0, alpha), self._edge(centre, 1.0, alpha)

    def _edge(self, inside: float, outside: float, alpha: float) -> float:
        if abs(inside - outside) < 1e-12:
            return outside
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if self.log(middle) < -math.log(alpha) else (inside, middle)
        return outside

    def needed(self, mean: float, alpha: float) -> int | None:
        """How many values there must be to exclude a mean, if those to come are like these; None above `MOST`."""
        size = len(self.values)
        if not size or self.log(mean, MOST / size) < -math.log(alpha):
            return None
        low, high = 0, MOST  # the logarithm is convex in the number and 0 at 0, so it passes the limit once
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.log(mean, middle / size) >= -math.log(alpha) else (middle, high)
        return high


def _logs(values: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """What each value does to the logarithm of each bet, (num_values, num_bets)."""
    column = values[:, None]
    return np.log(column * _BETS / mean + (1 - column) * (1 - _BETS) / (1 - mean))


def _mixed(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of all bets together, over the last axis."""
    weighted = logs + _LOG_WEIGHTS
    highest = weighted.max(axis=-1, keepdims=True)
    return highest[..., 0] + np.log(np.exp(weighted - highest).sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Whether to stop.

    Attributes:
        kind: "decided": one half is excluded; "equivalent": all that is not excluded lies within the margin of one half.
        low, high: the confidence sequence at present.
        num_listeners: it rests on.
        more: about so many more listeners until one of the two, if they are like those before; 0 where it is time to stop,
            None where neither is in sight.
        toward: which of the two that would be.
        margin, alpha: as asked for.
    """

    kind: Literal["decided", "equivalent", "go on"]
    low: float
    high: float
    num_listeners: int
    more: int | None
    toward: Literal["decided", "equivalent", ""]
    margin: float
    alpha: float

    @property
    def negligible(self) -> bool:
        """All that is not excluded lies within the margin, whether one half is excluded or not."""
        return HALF - self.margin <= self.low and self.high <= HALF + self.margin


def advise(shares: ArrayLike, *, margin: float = MARGIN, alpha: float = 0.05) -> Advice:
    """Advice on a preference, to be asked for at any time and as often as one likes.

    The chance that it ever says "decided" without any preference, or "equivalent" of one beyond the margin, is at most alpha.

    Args:
        shares: (num_listeners,) how much of a listener's votes one system has, ties as one half. Only listeners who have
            done the number of trials that was fixed before.
        margin: around one half, in (0, 0.5).
        alpha: of both errors together. With several comparisons, divide it by their number.

    Raises:
        ContractError: a share lies outside [0, 1], or margin or alpha cannot be.
    """
    if not 0 < margin < HALF:
        raise ContractError(f"statistics: expected a margin in (0, 0.5), found {margin}")
    evidence = Evidence(shares)
    low, high = evidence.bounds(alpha)
    size = len(evidence.values)
    count, toward = _forecast(evidence, margin, alpha)
    kind: Literal["decided", "equivalent", "go on"] = "go on"
    if not low <= HALF <= high:
        kind = "decided"
    elif HALF - margin <= low and high <= HALF + margin:
        kind = "equivalent"
    size, going = len(evidence.values), kind == "go on"
    return Advice(
        kind=kind,
        low=low,
        high=high,
        num_listeners=size,
        more=0 if not going else None if count is None else max(1, count - size),
        toward=toward if going else "",
        margin=margin,
        alpha=alpha,
    )


def _forecast(evidence: Evidence, margin: float, alpha: float) -> tuple[int | None, Literal["decided", "equivalent", ""]]:
    """How many listeners like these there must be, and for what; (None, "") where neither end is in sight."""
    decided = evidence.needed(HALF, alpha)
    equivalent = None
    if len(evidence.values) and abs(float(evidence.values.mean()) - HALF) < margin:
        ends = [evidence.needed(HALF + side, alpha) for side in (-margin, margin)]
        equivalent = None if None in ends else max(end for end in ends if end is not None)
    if equivalent is not None and (decided is None or equivalent < decided):
        return equivalent, "equivalent"
    return decided, "decided" if decided is not None else ""


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ContractError(f"statistics: alpha must lie in (0, 1), found {alpha}")
