"""ranked: all finished candidates of a prompt from best to worst, for listwise losses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.rules.base import Dropped, Ranking, Scored


@dataclass(frozen=True)
class Ranked:
    """One list per prompt, in order of one score; of candidates with equal scores the one sampled first.

    Attributes:
        metric: name of the score.
    """

    metric: str = "wer"

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
            yield Ranking(tuple(by_label[label] for label in sorted(by_label, reverse=True)))
        else:
            yield Dropped("no two finished candidates of different score")
