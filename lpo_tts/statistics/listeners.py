"""How listeners differ from each other, and exact tests of what they answered."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import cluster_sums
from lpo_tts.statistics.power import POWER, prompts_needed


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How much of the differences between listeners is theirs, and how much is chance.

    Attributes:
        between: standard deviation of the listeners' true means.
        within: standard deviation of a listener's single answers.
        shrunk: each listener's mean, drawn towards the mean of all as far as chance explains it, by listener.
    """

    between: float
    within: float
    shrunk: dict[Hashable, float]


def spread_of(values: ArrayLike, listeners: Sequence[Hashable]) -> Spread | None:
    """A random-effects view: value = mean + listener + rest, variances by the method of moments.

    Source: one-way analysis of variance with unequal numbers, Searle, Casella and McCulloch, "Variance Components" (1992),
    chapter 3; the shrunk means are its best linear predictors.

    Args:
        values: (num_answers,).
        listeners: (num_answers,) whose.

    Returns:
        None where there are fewer than two listeners, or none has two answers.
    """
    found = np.asarray(values, dtype=np.float64)
    sums, names = cluster_sums([found, np.ones_like(found), found**2], listeners)
    totals, counts, squares = sums.T
    size, num_listeners = counts.sum(), len(names)
    if num_listeners < 2 or size <= num_listeners:
        return None
    means, mean = totals / counts, totals.sum() / size
    within = max(0.0, float((squares - totals**2 / counts).sum() / (size - num_listeners)))
    mean_square = float((counts * (means - mean) ** 2).sum() / (num_listeners - 1))
    typical = float((size - (counts**2).sum() / size) / (num_listeners - 1))
    between = max(0.0, (mean_square - within) / typical)
    noise = between + within / counts
    pull = np.divide(between, noise, out=np.zeros_like(noise), where=noise > 0)
    shrunk = mean + pull * (means - mean)
    return Spread(between=math.sqrt(between), within=math.sqrt(within), shrunk=dict(zip(names, map(float, shrunk), strict=True)))


def listeners_needed(spread: Spread, trials: float, target: float, *, alpha: float = 0.05, power: float = POWER) -> int | None:
    """Listeners that show a mean `target` away from no effect with probability `power`, on the items of the test.

    Args:
        spread: of a first group.
        trials: of each listener, on average.
        target: above 0, in the unit of the values.
        alpha: level of the test, whose number of listeners is fixed before.
        power: wanted probability.

    Returns:
        None where the answers have no spread.
    """
    return prompts_needed(math.sqrt(spread.between**2 + spread.within**2 / trials), target, alpha=alpha, power=power)


def binomial_tail(successes: int, trials: int) -> float:
    """Chance of so many successes or more by tossing a fair coin, exact.

    Raises:
        ContractError: counts that cannot be.
    """
    if not 0 <= successes <= trials:
        raise ContractError(f"statistics: expected from 0 to {trials} successes, found {successes}")
    term = tail = 1  # from all successes downwards: the binomial coefficients of trials over trials - k
    for k in range(1, trials - successes + 1):
        term = term * (trials - k + 1) // k
        tail += term
    return tail / 2**trials
