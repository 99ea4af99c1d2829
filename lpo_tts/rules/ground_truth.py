"""ground_truth: the recording of the text against each candidate."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import at_least, check_settings
from lpo_tts.rules.base import Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class GroundTruth(TwoMetrics):
    """The recording as chosen, as in LPO (arXiv 2508.14947); it may be chosen over several candidates.

    The authors' code reads no score and rejects every candidate: `metric: null`. It leaves out a pair whose recording reaches
    the limit of 4097 tokens, the prompt's included; a rejected answer that goes beyond stays and is cut. A candidate's row
    does not say how long its prompt is, so `max_tokens` counts the tokens of the answer alone. No candidate starts beyond
    it then. Nothing is cut here: `train.max_answer_tokens` with `too_long: cut` cuts without an end. The authors' filter of
    pairs that the frozen model tells apart already is `train.max_reference_gap`.

    Attributes:
        metric: name of the score that tells how wrong a candidate is; None: no score is read, every candidate is rejected in
            the order of sampling, and the limit `min_gap` does not apply.
        max_tokens: recordings of at least so many tokens are not chosen, the end token included; None = any.
    """

    metric: str | None = "wer"
    max_tokens: int | None = None

    bounds = {"max_tokens": at_least(1)}

    def __post_init__(self) -> None:
        check_settings(self, "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that are given; () without the first."""
        return tuple(name for name in (self.metric, self.second_metric) if self.metric and name)

    @property
    def needs_targets(self) -> bool:
        """Recordings are what this rule chooses."""
        return True

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs, worst rejected candidate first."""
        target = next((one for one in candidates if one.recorded), None)
        if target is None:
            yield Dropped("prompt without a recording of its text")
            return
        if self.max_tokens is not None and target.candidate.num_tokens >= self.max_tokens:
            yield Dropped("recording reaches max_tokens")
            return
        others = [one for one in candidates if not one.recorded]
        if self.metric is None:
            for rejected in sorted(others, key=lambda one: (one.candidate.index, one.candidate.id)):
                yield Pair(target, rejected, gap=math.inf)
            return
        for rejected in best_first(others)[::-1]:
            yield Pair(target, rejected)
