"""per_dimension: for each of several metrics, the best candidate in it against the worst."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lpo_tts.bounds import Range, at_least, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import NONE_GOOD, Dropped, Pair, Scored, best_first

EQUAL = 1e-9  # ours: a gap that misses the smallest one by less is rounding


@dataclass(frozen=True)
class PerDimension:
    """One pair per metric, best against worst in it, after MPO (arXiv 2509.00685).

    Whatever the pair's own metric, the chosen one has no error in the first one. MPO's dimensions are the
    character error rate, likeness of voice (gap 0.1) and the error of log-F0 (gap 0.1). Each metric has its own gap here,
    so the limit `min_gap`, which is compared with the same difference, is best 0.
    `pairs_per_prompt` and `max_uses` of as many as there are dimensions let one candidate stand for several.

    Attributes:
        gaps: metric -> smallest difference in it; the pairs come in this order. The first metric is that of `max_error`.
        max_error: largest error in the first metric of any chosen candidate; MPO asks for 0.
    """

    gaps: dict[str, float] = field(default_factory=lambda: {"wer": 0.06, "similarity": 0.1})
    max_error: float = 0.0

    bounds = {"gaps": at_least(0), "max_error": Range()}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.gaps:
            raise ConfigError("gaps: expected at least one metric with its smallest difference, found none")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those with a gap."""
        return tuple(self.gaps)

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs in the order of the metrics."""
        good = [one for one in candidates if one.choosable and one.error <= self.max_error]
        if not good:
            yield from [NONE_GOOD] if candidates else []
            return
        for number, (name, least) in enumerate(self.gaps.items()):
            values = {one.candidate.id: (-one.error, *one.others)[number] for one in candidates}
            known = [one for one in best_first(candidates) if math.isfinite(values[one.candidate.id])]
            choice = [one for one in known if one in good]
            if not choice:
                yield Dropped(f"no candidate to choose in {name}")
                continue
            chosen = max(choice, key=lambda one, values=values: values[one.candidate.id])  # the first of equal ones
            rejected = min(reversed(known), key=lambda one, values=values: values[one.candidate.id])  # the last of them
            gap = values[chosen.candidate.id] - values[rejected.candidate.id]
            if chosen is rejected or gap < least - EQUAL:
                yield Dropped(f"gap in {name} below {least:g}")
            else:
                yield Pair(chosen, rejected, gap=gap)
