"""Correction of p-values where several differences are tested at once."""

from collections.abc import Sequence

from lpo_tts.errors import ContractError


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values after Holm's step-down correction, in the order given.

    Where those at most alpha are called shown, the chance that any of them is a mere accident is at most alpha, however
    the tests depend on each other. Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).

    Raises:
        ContractError: a value lies outside [0, 1].
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ContractError(f"statistics: expected p-values in [0, 1], found {p}")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
