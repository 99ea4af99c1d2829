"""votes: pairs as a majority of listeners has them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.records import Comparison
from lpo_tts.rules.base import Dropped, Pair, Scored
from lpo_tts.rules.compared import ComparisonRule, Preference, Source, to_pairs

NO_VOTE = Dropped("vote without a preference or a tie")


@dataclass(frozen=True)
class Votes(ComparisonRule):
    """The candidate that most listeners prefer against the other one.

    The table holds a row for each vote: the two candidates in any order, what was preferred, and as `judge` the listener.
    A listener has one vote on two candidates; of one who votes on them twice and differently, it is a tie. A tie counts as a
    vote that agrees with neither side.

    Attributes:
        path: table of votes (JSONL).
        min_votes: two candidates need at least so many listeners.
        min_agreement: share of all votes on two candidates, ties too, that the winner needs.
    """

    path: Path
    min_votes: int = 1
    min_agreement: float = 0.6

    bounds = {"min_votes": at_least(1), "min_agreement": at_least(0.0).at_most(1.0)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    @property
    def sources(self) -> tuple[Source, ...]:
        """The table of votes."""
        return (Path(self.path),)

    def match_compared(self, candidates: Sequence[Scored], comparisons: Sequence[Comparison]) -> Iterator[Pair | Dropped]:
        """Pairs, those on which listeners agree most first."""
        preferences = []
        yield from (NO_VOTE for one in comparisons if one.preferred is None)
        for sides, votes in sorted(_by_sides(comparisons).items()):
            found = self._majority(sides, Counter(votes.values()))
            if isinstance(found, Dropped):
                yield found
            else:
                preferences.append(found)
        yield from to_pairs(candidates, preferences)

    def _majority(self, sides: tuple[str, str], votes: Counter[str]) -> Preference | Dropped:
        """The winner of two by the votes for each ("" = tie)."""
        total = votes.total()
        if total < self.min_votes:
            return Dropped("fewer listeners than min_votes")
        winner, loser = sorted(sides, key=lambda one: -votes[one])
        if votes[winner] == votes[loser]:
            return Dropped("tie of the votes")
        share = votes[winner] / total
        if share < self.min_agreement:
            return Dropped("agreement below min_agreement")
        return Preference(winner, loser, strength=share)


def _by_sides(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], dict[str, str]]:
    """The two candidates in order of their ids -> listener -> whom the listener prefers ("" = neither)."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in comparisons:
        if one.preferred is None:
            continue
        first, second = sorted((one.first, one.second))
        votes = found.setdefault((first, second), {})
        choice = "" if one.outcome is None else one.outcome[0]
        votes[one.judge] = choice if votes.get(one.judge, choice) == choice else ""
    return found
