"""decoupled: pairs that differ in one metric and are alike in the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class Decoupled(TwoMetrics):
    """As best_worst, but the two differ in `second_metric` by at most `tolerance` (after arXiv 2505.16995).

    Attributes:
        aspect: what `metric` measures, for the decoupled loss: "content" (metric wer, second_metric similarity) or
            "style" (the other way round).
        tolerance: largest difference in `second_metric`, either way.
    """

    aspect: Literal["content", "style"] = field(kw_only=True)
    tolerance: float = 0.0

    bounds = {"tolerance": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.second_metric:
            raise ConfigError("rule decoupled needs a second_metric: what must not differ")

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Best against worst among those that are alike; each candidate once."""
        good = best_first(one for one in candidates if one.choosable)
        bad = best_first(candidates)[::-1]
        if candidates and not good:
            yield NONE_GOOD
        used: set[str] = set()
        for one in good:
            if one.candidate.id in used:
                continue
            unused = (other for other in bad if other.candidate.id not in used and other.error > one.error)
            worst = next((other for other in unused if abs(other.second - one.second) <= self.tolerance), None)
            if worst is not None:
                used |= {one.candidate.id, worst.candidate.id}
                yield Pair(one, worst, aspect=self.aspect)
