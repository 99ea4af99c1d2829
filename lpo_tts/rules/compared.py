"""Rules that read what judges or listeners prefer in place of scores: where it stands, and from preferences to pairs."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lpo_tts.records import Comparison
from lpo_tts.rules.base import Dropped, Found, Pair, Rule, Scored

Source = str | Path  # a name of the recipe's `score.comparisons`, or a file
CYCLE = Dropped("preferences in a circle")
UNKNOWN = Dropped("candidate that is none of the prompt's")


class ComparisonRule(ABC):
    """What rules inherit that read comparisons; they read no score, so `min_gap` and `max_chosen` do not apply to them."""

    metrics: tuple[str, ...] = ()
    needs_targets: bool = False

    @property
    @abstractmethod
    def sources(self) -> tuple[Source, ...]:
        """The tables that it reads."""

    @abstractmethod
    def match_compared(self, candidates: Sequence[Scored], comparisons: Sequence[Comparison]) -> Iterable[Found | Dropped]:
        """As `Rule.match`, with the comparisons of this prompt in the rule's tables, in any order."""

    def match(self, candidates: Sequence[Scored]) -> Iterable[Found | Dropped]:
        """Nothing is found where nothing was compared."""
        return self.match_compared(candidates, ())


@dataclass(frozen=True)
class _Informed:
    """A rule with the comparisons of one prompt."""

    rule: ComparisonRule
    comparisons: tuple[Comparison, ...]
    metrics: tuple[str, ...] = ()
    needs_targets: bool = False

    def match(self, candidates: Sequence[Scored]) -> Iterable[Found | Dropped]:
        """Preferences of this prompt, best first."""
        return self.rule.match_compared(candidates, self.comparisons)


def sources_of(rule: Rule) -> tuple[Source, ...]:
    """The tables of comparisons that a rule reads; none for rules that read scores."""
    return rule.sources if isinstance(rule, ComparisonRule) else ()


def informed(rule: Rule, comparisons: Mapping[Source, Sequence[Comparison]]) -> Rule:
    """The rule as it works on one prompt: a rule that reads comparisons knows those of its tables.

    Args:
        rule: any rule; one that reads scores is returned as it is.
        comparisons: source -> the rows of the prompt.
    """
    if not isinstance(rule, ComparisonRule):
        return rule
    return _Informed(rule, tuple(row for source in rule.sources for row in comparisons.get(source, ())))


@dataclass(frozen=True)
class Preference:
    """One candidate is preferred to another, by ids, and how strongly."""

    winner: str
    loser: str
    strength: float = 1.0


def to_pairs(candidates: Iterable[Scored], preferences: Iterable[Preference]) -> Iterator[Pair | Dropped]:
    """Preferences as pairs, the strongest first; then by wins less losses of winner and loser, then by ids.

    Preferences that lie on a circle (a over b, b over c, c over a) contradict each other: each of them is dropped. A
    candidate may win one comparison and lose another.
    """
    known = {one.candidate.id: one for one in candidates}
    strength: dict[tuple[str, str], float] = {}
    for one in preferences:
        if one.winner in known and one.loser in known:
            pair = one.winner, one.loser
            strength[pair] = max(one.strength, strength.get(pair, -math.inf))
        else:
            yield UNKNOWN
    below: dict[str, set[str]] = {}
    for winner, loser in strength:
        below.setdefault(winner, set()).add(loser)
    kept = {pair: value for pair, value in strength.items() if pair[0] not in _reached(below, pair[1])}
    yield from (CYCLE for _ in range(len(strength) - len(kept)))
    wins: Counter[str] = Counter()
    for winner, loser in kept:
        wins[winner] += 1
        wins[loser] -= 1
    for winner, loser in sorted(kept, key=lambda pair: (-kept[pair], wins[pair[1]] - wins[pair[0]], pair)):
        yield Pair(known[winner], known[loser], gap=math.inf)


def _reached(below: Mapping[str, set[str]], start: str) -> set[str]:
    """Everything that `start` is preferred to, directly or through others; itself, where it stands on a circle."""
    found: set[str] = set()
    left = [start]
    while left:
        fresh = below.get(left.pop(), set()) - found
        found |= fresh
        left += fresh
    return found
