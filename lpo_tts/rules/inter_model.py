"""inter_model: the best and the worst candidates of two models for one prompt against each other."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.rules.base import Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class InterModel(TwoMetrics):
    """Winners and losers of several models, after INTP (arXiv 2505.04113), whose minimum gap is 0.06 WER.

    With w the best candidate of a model that may be chosen and l its worst: (w_A, w_B) in the direction of the metric,
    (w_A, l_B) and (w_B, l_A); never (l_A, l_B). More than two models are taken two by two. A model with a single
    candidate has no loser. Each winner and each loser stands in two pairs: `pairs_per_prompt: 3` and `max_uses: 2` keep all.

    Attributes:
        within: also the pair (w, l) of each model alone, as INTP's intra-model pairs, ahead of the others.
    """

    within: bool = False

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs within models, then those between models, each by falling gap."""
        groups: dict[str, list[Scored]] = {}
        for one in best_first(candidates):
            groups.setdefault(one.candidate.model, []).append(one)
        if len(groups) == 1:
            yield Dropped("candidates of one model alone")
        ends = {name: _ends(group) for name, group in sorted(groups.items())}
        inside = [Pair(best, worst) for best, worst in ends.values() if best is not None and worst is not None]
        yield from sorted(inside if self.within else [], key=_by_gap)
        between: list[Pair] = []
        for (best_a, worst_a), (best_b, worst_b) in itertools.combinations(ends.values(), 2):
            if best_a is not None and best_b is not None:
                better, lesser = best_first([best_a, best_b])
                between.append(Pair(better, lesser))
            between += [Pair(best_a, worst_b)] if best_a is not None and worst_b is not None else []
            between += [Pair(best_b, worst_a)] if best_b is not None and worst_a is not None else []
        yield from sorted(between, key=_by_gap)


def _ends(group: Sequence[Scored]) -> tuple[Scored | None, Scored | None]:
    """The best that may be chosen and the worst of a model's candidates, best first; None where there is none."""
    best = next((one for one in group if one.choosable), None)
    return best, group[-1] if group[-1] is not best else None


def _by_gap(pair: Pair) -> tuple[float, str, str]:
    return -pair.width, pair.chosen.candidate.id, pair.rejected.candidate.id
