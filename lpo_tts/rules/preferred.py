"""preferred: pairs as a pairwise judge has them, who was asked both ways round."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.config import check_name
from lpo_tts.records import Comparison
from lpo_tts.rules.base import Dropped, Pair, Scored
from lpo_tts.rules.compared import ComparisonRule, Preference, Source, to_pairs


@dataclass(frozen=True)
class Preferred(ComparisonRule):
    """The candidate that a judge prefers, both ways round, against the other one.

    Ties, contradictions and circles are dropped, each with its reason. `min_gap` does not apply: there is no gap.

    Attributes:
        comparison: name of the table, one of the recipe's `score.comparisons`.
    """

    comparison: str

    def __post_init__(self) -> None:
        check_name("comparison", self.comparison)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The table of this name."""
        return (self.comparison,)

    def match_compared(self, candidates: Sequence[Scored], comparisons: Sequence[Comparison]) -> Iterator[Pair | Dropped]:
        """Pairs, those whose sides differ most in wins less losses first."""
        yield from (Dropped(reason) for one in comparisons if (reason := _no_outcome(one)))
        outcomes = [one.outcome for one in comparisons if not _no_outcome(one)]
        yield from to_pairs(candidates, [Preference(*outcome) for outcome in outcomes if outcome is not None])


def _no_outcome(one: Comparison) -> str:
    if one.preferred is None:
        return "no opinion of the judge"
    if one.detail.get("contradiction"):
        return "judge contradicts itself"
    return "tie" if one.preferred == "tie" else ""
