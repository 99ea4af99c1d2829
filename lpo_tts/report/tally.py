"""One answer under one WER judge as counts, and many of them as one row of the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lpo_tts.report.alignment import num_repeated
from lpo_tts.report.answers import JudgedAnswer
from lpo_tts.statistics import Interval, bootstrap_mean, bootstrap_wer

RUNAWAY_WER = 0.5  # seed-tts-eval and sglang-omni set apart utterances above 50 %
WORST_WER = 1.0  # of an answer that cannot be heard: every word deleted

State = Literal["evaluated", "missing", "unscorable", "no_words"]
WordCounter = Callable[[str], int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one WER judge makes of one answer."""

    prompt_id: str
    state: State
    words: int  # of the reference
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    repeated: int = 0

    @property
    def errors(self) -> int:
        """Edits; may exceed `words`."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Of this answer alone; only for outcomes with words."""
        return self.errors / self.words


def word_counter(answers: Sequence[JudgedAnswer], metric: str, fallback: WordCounter) -> WordCounter:
    """Reference length of a text as this judge counts it: from any answer it has judged, else by `fallback`."""
    known: dict[str, int] = {}
    for answer in answers:
        num_words = answer.judgements.get(metric, {}).get("detail", {}).get("num_words")
        if num_words is not None:
            known.setdefault(answer.text, int(num_words))
    return lambda text: known[text] if text in known else fallback(text)


def outcome(answer: JudgedAnswer, metric: str, count_words: WordCounter) -> Outcome:
    """Counts of one answer; missing and unscorable ones become all words deleted, kept apart by `state`."""
    judgement = answer.judgements.get(metric, {"value": None, "detail": {}})
    detail = judgement.get("detail") or {}
    words = int(detail["num_words"]) if detail.get("num_words") is not None else count_words(answer.text)
    if words == 0:
        return Outcome(prompt_id=answer.prompt_id, state="no_words", words=0)
    if answer.missing or judgement["value"] is None:
        return Outcome(
            prompt_id=answer.prompt_id, state="missing" if answer.missing else "unscorable", words=words, deletions=words
        )
    return Outcome(
        prompt_id=answer.prompt_id,
        state="evaluated",
        words=words,
        substitutions=int(detail["substitutions"]),
        deletions=int(detail["deletions"]),
        insertions=int(detail["insertions"]),
        repeated=num_repeated(str(detail["reference"]).split(), str(detail["hypothesis"]).split()),
    )


def wer_row(outcomes: Sequence[Outcome], **settings: Any) -> dict[str, Any]:
    """All numbers of one system under one WER judge, as JSON; `settings` go to the bootstrap.

    `wer` and `mean_utterance_wer` count every answer that was asked for: one that cannot be heard has all its words
    deleted. The `*_evaluated` values leave those out, as most published evaluators do.
    """
    asked = [one for one in outcomes if one.state != "no_words"]
    heard = [one for one in asked if one.state == "evaluated"]
    row: dict[str, Any] = {
        "asked": len(outcomes),
        "evaluated": len(heard),
        "missing": sum(one.state == "missing" for one in outcomes),
        "unscorable": sum(one.state == "unscorable" for one in outcomes),
        "no_words": len(outcomes) - len(asked),
        "wer": _corpus(asked, settings),
        "wer_evaluated": _corpus(heard, settings),
        "mean_utterance_wer": _utterance(asked, settings),
        "mean_utterance_wer_evaluated": _utterance(heard, settings),
        "words": sum(one.words for one in asked),
        "errors": sum(one.errors for one in asked),
        "words_evaluated": sum(one.words for one in heard),
        "errors_evaluated": sum(one.errors for one in heard),
    }
    for name in ("substitutions", "deletions", "insertions", "repeated"):
        row[name] = sum(getattr(one, name) for one in heard)
    row["inserted_rate"] = _rate(row["insertions"], row["words_evaluated"])
    row["repeated_rate"] = _rate(row["repeated"], row["words_evaluated"])
    row["runaway"] = sum(one.wer > RUNAWAY_WER for one in asked)
    row["runaway_rate"] = _rate(row["runaway"], len(asked))
    row["perfect_rate"] = _rate(sum(one.errors == 0 for one in asked), len(asked))
    return row


def as_json(interval: Interval | None) -> dict[str, Any] | None:
    """An interval as plain numbers, or None."""
    return None if interval is None else interval.as_dict()


def _corpus(outcomes: Sequence[Outcome], settings: dict[str, Any]) -> dict[str, Any] | None:
    if not outcomes:
        return None
    errors, words = [one.errors for one in outcomes], [one.words for one in outcomes]
    return as_json(bootstrap_wer(errors, words, [one.prompt_id for one in outcomes], **settings))


def _utterance(outcomes: Sequence[Outcome], settings: dict[str, Any]) -> dict[str, Any] | None:
    if not outcomes:
        return None
    return as_json(bootstrap_mean([one.wer for one in outcomes], [one.prompt_id for one in outcomes], **settings))


def _rate(count: int, total: int) -> float | None:
    return count / total if total else None
