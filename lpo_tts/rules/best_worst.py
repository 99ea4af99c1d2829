"""best_worst: the best candidate against the worst, the second best against the second worst, and so on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class BestWorst(TwoMetrics):
    """The i-th best of the candidates that may be chosen against the i-th worst of all.

    After INTP (arXiv 2505.04113), whose minimum gap is 0.06 WER.
    """

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs by falling gap."""
        good = best_first(one for one in candidates if one.choosable)
        bad = best_first(candidates)[::-1]
        if candidates and not good:
            yield NONE_GOOD
        # beyond the middle, best and worst change sides
        for chosen, rejected in list(zip(good, bad, strict=False))[: len(candidates) // 2]:
            yield Pair(chosen, rejected)
