"""Bradley-Terry: strengths of three or more systems from answers on two at a time."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lpo_tts.errors import ContractError

ROUNDS = 2000  # ours: at most; strengths of listening tests settle in some tens
SETTLED = 1e-9  # ours: change of any log strength in a round
PRIOR = 1.0  # ours: ties put to every comparison that was made, so that who has won all has no infinite strength


def log_strengths(wins: ArrayLike) -> NDArray[np.float64]:
    """Log strengths, with mean 0, so that exp(s_i - s_j) are the odds that i is preferred to j.

    A tie is half a win for each. One more tie is put to every two systems that were compared: it changes little and keeps
    all strengths finite. Source: Bradley and Terry (1952); the rounds are the MM algorithm of Hunter, "MM Algorithms for
    Generalized Bradley-Terry Models" (2004).

    Args:
        wins: (..., num_systems, num_systems) how often the row's system was preferred to the column's, ties as one half;
            leading dimensions are resamples.

    Raises:
        ContractError: it is no square table of counts, or the systems fall into groups that were never compared.
    """
    table = np.asarray(wins, dtype=np.float64)
    if table.ndim < 2 or table.shape[-1] != table.shape[-2] or not (np.isfinite(table) & (table >= 0)).all():
        raise ContractError(f"statistics: expected a square table of wins, found shape {table.shape}")
    size = table.shape[-1]
    together = (table + table.swapaxes(-1, -2)).reshape(-1, size, size).sum(axis=0) > 0
    np.fill_diagonal(together, False)
    if not connected(together):
        raise ContractError("statistics: the systems fall into groups that were never compared; ask for more comparisons")
    table = table * ~np.eye(size, dtype=bool) + PRIOR / 2 * together
    played, won = table + table.swapaxes(-1, -2), table.sum(axis=-1)
    strengths = np.ones_like(won)
    for _ in range(ROUNDS):
        sums = strengths[..., :, None] + strengths[..., None, :]
        fresh = won / (played / sums).sum(axis=-1)
        fresh /= np.exp(np.log(fresh).mean(axis=-1, keepdims=True))
        change = np.abs(np.log(fresh) - np.log(strengths)).max()
        strengths = fresh
        if change < SETTLED:
            break
    return np.log(strengths)


def connected(together: ArrayLike) -> bool:
    """Whether every system can be reached from every other one by comparisons; `together`: (num_systems, num_systems)."""
    table = np.asarray(together, dtype=bool)
    reached = np.zeros(len(table), dtype=bool)
    reached[0] = True
    while (fresh := reached | table[reached].any(axis=0)).sum() > reached.sum():
        reached = fresh
    return bool(reached.all())
