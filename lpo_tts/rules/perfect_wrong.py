"""perfect_wrong: candidates without any error against candidates with errors, the worst first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class PerfectWrong(TwoMetrics):
    """Every candidate with error 0 against every other one in order of badness; each candidate once."""

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs, worst rejected candidate first."""
        perfect = best_first(one for one in candidates if one.choosable and one.error <= 0)
        wrong = best_first(one for one in candidates if one.error > 0)[::-1]
        if candidates and not perfect:
            yield NONE_GOOD
        for chosen, rejected in list(zip(perfect, wrong, strict=False))[: len(candidates) // 2]:
            yield Pair(chosen, rejected)
