"""ground_truth: the recording of the text against each wrong candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpo_tts.rules.base import Dropped, Pair, Scored, TwoMetrics, best_first


@dataclass(frozen=True)
class GroundTruth(TwoMetrics):
    """The recording as chosen, as in LPO (arXiv 2508.14947); it may be chosen over several candidates."""

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
        for rejected in best_first(one for one in candidates if not one.recorded)[::-1]:
            yield Pair(target, rejected)
