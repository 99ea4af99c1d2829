"""percentile: the best share of the candidates against the worst share, by one metric."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import above, check_settings
from lpo_tts.rules.base import Dropped, Pair, Scored, TwoMetrics, best_first
from lpo_tts.rules.shares import outer


@dataclass(frozen=True)
class Percentile(TwoMetrics):
    """The i-th best of the best `share` against the i-th worst of the worst `share`.

    After ESPnet's preference training (arXiv 2409.12403): ten candidates, the best and the worst 20 %. The paper says from which
    shares the two come, not how they are matched; here they are matched from the outside inwards.

    Attributes:
        second_metric: name of the score that breaks ties, or None; theirs reads one metric.
        share: share of the candidates on either side, rounded down, at least one candidate.
    """

    second_metric: str | None = None
    share: float = 0.2

    bounds = {"share": above(0).at_most(0.5)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs by falling gap."""
        for found in outer(best_first(candidates), self.share):
            yield found if isinstance(found, Dropped) else Pair(*found)
