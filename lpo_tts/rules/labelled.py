"""labelled: good and bad candidates by two thresholds, for losses that need no pairs (KTO)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import Range, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import Dropped, Label, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class Labelled(TwoMetrics):
    """Candidates at or below one error are desirable, those at or above another are not; those between are left out.

    Attributes:
        max_desirable: largest error of a desirable candidate.
        min_undesirable: smallest error of an undesirable one, above `max_desirable`.
    """

    max_desirable: float = 0.0
    min_undesirable: float = 0.3

    bounds = {"max_desirable": Range(), "min_undesirable": Range()}

    def __post_init__(self) -> None:
        check_settings(self, "")
        if not self.max_desirable < self.min_undesirable:
            raise ConfigError(
                f"max_desirable must be below min_undesirable, found {self.max_desirable} and {self.min_undesirable}"
            )

    def match(self, candidates: Sequence[Scored]) -> Iterator[Label | Dropped]:
        """Desirable ones, best first; then undesirable ones, worst first."""
        order = best_first(candidates)
        good = [one for one in order if one.error <= self.max_desirable and one.choosable]
        bad = [one for one in order if one.error >= self.min_undesirable]
        if candidates and not good and not bad:
            yield Dropped("no candidate clearly good or bad")
        yield from (Label(one, desirable=True) for one in good)
        yield from (Label(one, desirable=False) for one in reversed(bad))
