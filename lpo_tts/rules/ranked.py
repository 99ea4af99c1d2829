"""ranked: all finished candidates of a prompt from best to worst, for listwise losses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.rules.base import Dropped, Ranking, Scored


@dataclass(frozen=True)
class Ranked:
    """One list per prompt, in order of one score; of candidates with equal scores the one sampled first.

    Attributes:
        metric: name of the score.
        length: so many of the list, evenly from the best to the worst: 3 = best, middle, worst, as in RankDPO; None = all.
    """

    metric: str = "wer"
    length: int | None = None

    bounds = {"length": at_least(2)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The one."""
        return (self.metric,)

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False

    def match(self, candidates: Sequence[Scored]) -> Iterator[Ranking | Dropped]:
        """The list; nothing where fewer than two candidates differ."""
        by_label: dict[float, Scored] = {}
        for one in sorted(candidates, key=lambda one: (one.candidate.index, one.candidate.id)):
            if one.candidate.finished and one.candidate.num_tokens:
                by_label.setdefault(one.label, one)
        if len(by_label) > 1:
            ranked = [by_label[label] for label in sorted(by_label, reverse=True)]
            yield Ranking(tuple(ranked if self.length is None else _evenly(ranked, self.length)))
        else:
            yield Dropped("no two finished candidates of different score")


def _evenly(ranked: Sequence[Scored], length: int) -> list[Scored]:
    """`length` of a list at equal distances, both ends among them; all where there are no more."""
    if len(ranked) <= length:
        return list(ranked)
    return [ranked[number * (len(ranked) - 1) // (length - 1)] for number in range(length)]
