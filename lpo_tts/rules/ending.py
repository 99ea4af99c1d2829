"""ending: candidates that say the text and stop against those that go on, break off or stay silent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lpo_tts.bounds import Range, check_settings
from lpo_tts.errors import ConfigError
from lpo_tts.rules.base import Dropped, Pair, Scored

GOOD, RUNAWAY = "good", "runaway"
BAD = {"trailing_sound": RUNAWAY, "trailing_silence": "trailing_silence", "cut_off": "cut_off", "silent": "silent"}


@dataclass(frozen=True)
class Ending:
    """A good ending against one bad ending of each kind (ours): for models that run on, cut off or fall silent.

    The kinds are those of the metric `ending`; `runaway` is its `trailing_sound`, and any candidate that reached the
    token limit without an end. Chosen is a candidate that the metric calls good, that ended by itself and that says the text.
    Of a kind, the longest one is rejected: by seconds after the last word, for cut-off ones by their error.

    Length alone must not tell good from bad. Of the good candidates with the fewest errors, the one whose length is closest to
    that of the rejected one is chosen, and each is taken once before any is taken twice. Runaways are longer than what is
    chosen over them, and cut-off ones shorter: pairs of both kinds, where a model makes both, weigh against each other.
    `pairs_per_prompt` is to be the number of kinds, and `max_uses` too where prompts have few good candidates.

    Attributes:
        kinds: bad endings that are rejected, in the order of the pairs.
        ending_metric: name of the metric that tells the kinds; it is the first one, with a gap of 1 in each pair.
        metric: name of the error that a chosen candidate may have little of, lower is better.
        max_error: largest error of a chosen candidate.
    """

    kinds: tuple[str, ...] = (RUNAWAY, "cut_off", "trailing_silence", "silent")
    ending_metric: str = "ending"
    metric: str = "wer"
    max_error: float = 0.0

    bounds = {"max_error": Range()}

    def __post_init__(self) -> None:
        check_settings(self, "")
        strange = [kind for kind in self.kinds if kind not in BAD.values()]
        if not self.kinds or strange or len(set(self.kinds)) < len(self.kinds):
            found = ", ".join(self.kinds) or "none"
            raise ConfigError(f"kinds: expected some of {', '.join(BAD.values())}, each once, found {found}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The ending, then the error."""
        return self.ending_metric, self.metric

    @property
    def detail_metrics(self) -> tuple[str, ...]:
        """The ending, whose kind stands in its detail."""
        return (self.ending_metric,)

    @property
    def needs_targets(self) -> bool:
        """No recordings."""
        return False

    def check(self, directions: Mapping[str, bool]) -> None:
        """Raises ConfigError where `metric` is no error, or more of `ending_metric` is not better."""
        if directions[self.metric] or not directions[self.ending_metric]:
            raise ConfigError(
                f"rule ending: expected an error as metric and an ending_metric of which more is better, found {self.metric} and "
                f"{self.ending_metric}"
            )

    def match(self, candidates: Sequence[Scored]) -> Iterator[Pair | Dropped]:
        """Pairs in the order of the kinds."""
        kinds = {one.candidate.id: self.kind_of(one) for one in candidates}
        good = [one for one in candidates if one.choosable and kinds[one.candidate.id] == GOOD]
        good = [one for one in good if self._error(one) <= self.max_error]
        if candidates and not good:
            yield Dropped("no good ending without errors")
            return
        bad = {kind: [one for one in candidates if kinds[one.candidate.id] == kind] for kind in self.kinds}
        if candidates and not any(bad.values()):
            yield Dropped("no bad ending")
        uses = dict.fromkeys((one.candidate.id for one in good), 0)
        for kind, group in bad.items():
            if group:
                rejected = max(group, key=lambda one, kind=kind: self._extent(one, kind))
                chosen = min(good, key=lambda one, length=rejected.candidate.num_tokens: self._order(one, uses, length))
                uses[chosen.candidate.id] += 1
                yield Pair(chosen, rejected, gap=1.0)

    def kind_of(self, one: Scored) -> str:
        """One of the bad kinds, or "good"; "" where the metric told none."""
        if not one.candidate.finished:
            return RUNAWAY
        told = one.details.get(self.ending_metric, {}).get("kind", "")
        return BAD.get(told, GOOD if told == GOOD else "")

    def _error(self, one: Scored) -> float:
        return one.value(self.metrics, self.metric)

    def _extent(self, one: Scored, kind: str) -> tuple[float, int, str]:
        """By how much an ending is bad."""
        told = one.details.get(self.ending_metric, {})
        if kind == "cut_off":
            amount = -one.second
        else:
            amount = told.get("trailing_silence" if kind == "trailing_silence" else "trailing_sound")
        return float(amount or 0.0), one.candidate.num_tokens, one.candidate.id

    def _order(self, one: Scored, uses: dict[str, int], length: int) -> tuple[int, float, int, str]:
        return uses[one.candidate.id], self._error(one), abs(one.candidate.num_tokens - length), one.candidate.id
