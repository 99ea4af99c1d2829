"""What one metric says of one system: counts and averages, in full and in short."""

from dataclasses import dataclass

from lpo_tts.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class RatioRow:
    """One system by one metric that is a ratio; of another one than the word error rate, read its name for `wer`.

    `wer` (sum of errors / sum of words) and `mean_utterance_wer` count every candidate that was asked for: one without
    decodable audio counts as the metric's `missing` says. The `*_evaluated` values leave those out, as most published
    evaluators do. `words` are what the metric counts: characters, for a character error rate.

    Attributes:
        asked: candidates there should be.
        evaluated: those with a value.
        missing: those without decodable audio.
        unscorable: those the judge could say nothing of.
        no_words: texts with nothing to count, which are left out.
        substitutions, deletions, insertions, repeated: in evaluated candidates; None where the metric tells none.
        inserted_rate, repeated_rate: the same over words.
        runaway: candidates with a value above 0.5.
        perfect_rate: share of candidates without an error.
    """

    asked: int
    evaluated: int
    missing: int
    unscorable: int
    no_words: int
    wer: Interval | None
    wer_evaluated: Interval | None
    mean_utterance_wer: Interval | None
    mean_utterance_wer_evaluated: Interval | None
    words: float
    errors: float
    words_evaluated: float
    errors_evaluated: float
    substitutions: int | None
    deletions: int | None
    insertions: int | None
    repeated: int | None
    inserted_rate: float | None
    repeated_rate: float | None
    runaway: int
    runaway_rate: float | None
    perfect_rate: float | None
    not_asked: int = 0

    def value(self, average: str) -> Interval | None:
        """The number that stands for the metric, by `lpo_tts.comparison.figures.Average`."""
        return {
            "corpus": self.wer,
            "corpus_evaluated": self.wer_evaluated,
            "utterance": self.mean_utterance_wer,
            "utterance_evaluated": self.mean_utterance_wer_evaluated,
        }[average]


@dataclass(frozen=True, kw_only=True)
class MeanRow:
    """One system by one metric that is averaged plainly; fields as in `RatioRow`."""

    mean: Interval | None
    asked: int
    evaluated: int
    missing: int
    unscorable: int
    not_asked: int

    def value(self, average: str) -> Interval | None:
        """The number that stands for the metric; there is one average alone."""
        return self.mean


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row in short, for groups and seeds: the number that stands for the metric, and the counts."""

    value: Interval | None
    asked: int
    evaluated: int
