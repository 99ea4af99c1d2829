"""Paired permutation test of two systems over the same prompts: what if the two had changed places?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError
from lpo_tts.statistics.draws import CHUNK_ELEMENTS

NUM_PERMUTATIONS = 10_000  # ours: at p = 0.05 the Monte Carlo error is then 0.002
ROUNDING = 1e-10  # of the rates: two permutations that differ by less give the same difference


@dataclass(frozen=True, kw_only=True)
class Permutation:
    """Result of a test.

    Attributes:
        p: two-sided.
        exact: whether all permutations were counted; else `num_permutations` were drawn.
        num_permutations: how many.
    """

    p: float
    exact: bool
    num_permutations: int


def permutation_test(a: ArrayLike, b: ArrayLike, *, num_permutations: int = NUM_PERMUTATIONS, seed: int = 0) -> Permutation:
    """Two-sided p of the difference of two ratios of sums, if the systems' names meant nothing.

    In each permutation some prompts swap what the two systems have there, all seeds together, and the difference of the
    ratios is computed anew. With 1 in every denominator it is the test of a mean difference by flipped signs. Prompts
    where both systems have the same change nothing and are left out; if the others give no more permutations than were to
    be drawn, all are counted and p is exact. Of drawn ones the observed is counted too: p = (b + 1) / (m + 1), so that p
    is never 0 and the test keeps its level (Phipson and Smyth 2010).

    The test supposes that under the null hypothesis a prompt's two entries could change places: give both systems entries
    of one kind, such as sums per candidate where they have different numbers of candidates.

    Args:
        a: (num_prompts, 2) numerator and denominator of one system for each prompt.
        b: (num_prompts, 2) the same of the other.
        num_permutations: how many are drawn at most.
        seed: of the draws.

    Raises:
        ContractError: the shapes differ, or a denominator is not positive.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 2:
        raise ContractError(
            f"statistics: expected two tables (num_prompts, 2) of one size, found {first.shape} and {second.shape}"
        )
    if num_permutations < 1:
        raise ContractError(f"statistics: num_permutations must be at least 1, found {num_permutations}")
    if not (np.isfinite(first).all() and np.isfinite(second).all() and (first[:, 1] > 0).all() and (second[:, 1] > 0).all()):
        raise ContractError("statistics: expected finite sums with positive denominators for every prompt and both systems")
    change = (second - first)[(first != second).any(axis=1)]
    total_a, total_b = first.sum(axis=0), second.sum(axis=0)
    if not len(change):
        return Permutation(p=1.0, exact=True, num_permutations=1)

    def differences(swaps: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = swaps @ change
        new_a, new_b = total_a + moved, total_b - moved
        return np.abs(new_b[:, 0] / new_b[:, 1] - new_a[:, 0] / new_a[:, 1])

    rates = abs(total_a[0] / total_a[1]) + abs(total_b[0] / total_b[1])
    observed = differences(np.zeros((1, len(change))))[0] - ROUNDING * rates
    exact = 2 ** min(len(change), 63) <= num_permutations
    count = 2 ** len(change) if exact else num_permutations
    extreme, rng = 0, np.random.default_rng(seed)
    chunk = max(1, CHUNK_ELEMENTS // len(change))
    for start in range(0, count, chunk):
        rows = min(chunk, count - start)
        if exact:
            swaps = np.arange(start, start + rows)[:, None] >> np.arange(len(change)) & 1
        else:
            swaps = np.unpackbits(rng.integers(256, size=(rows, -(-len(change) // 8)), dtype=np.uint8), axis=1, count=len(change))
        extreme += int((differences(swaps.astype(np.float64)) >= observed).sum())
    p = extreme / count if exact else (extreme + 1) / (count + 1)
    return Permutation(p=p, exact=exact, num_permutations=count)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of wins against losses if both were equally likely (ties left out), exact.

    Raises:
        ContractError: A count is negative.
    """
    if wins < 0 or losses < 0:
        raise ContractError(f"statistics: counts cannot be negative, found {wins} wins and {losses} losses")
    trials = wins + losses
    if trials == 0:
        return 1.0
    term, tail = 1, 1
    for k in range(1, min(wins, losses) + 1):
        term = term * (trials - k + 1) // k  # binomial coefficient, exact in integers
        tail += term
    return min(1.0, 2 * tail / 2**trials)
