"""http: a score from a server behind a URL, such as an audio language model, a preference model or a service of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lpo_tts.bounds import Range
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.base import Judgement, Speech
from lpo_tts.posting.service import Fault, Poster, Service, excerpt, value_at


@dataclass(frozen=True, kw_only=True)
class HttpMetric(Service):
    """A server that is sent audio and text and answers with a number; the protocol is in docs/judges.md.

    An answer that is no number within the range gives no value, and its reason. A server that does not answer gives none
    either, so `max_unscorable` of the step stops a run that nobody judges.

    Attributes:
        higher_is_better: direction of the score; it must be said.
        value_key: where the number stands in the answer; dots lead into objects, such as `scores.mos`.
        low: smallest score there is; null: none.
        high: largest score there is; null: none.
        unit: printed behind a value; "%" for fractions, which are printed times 100.
        title: what is measured, in words.
        short: the same in tables; empty: as the title.
    """

    higher_is_better: bool
    value_key: str = "value"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    title: str = "score of a server"
    short: str = ""

    bounds = {"low": Range(), "high": Range()}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(self.value_key.split(".")):
            raise ConfigError(f"value_key: expected keys with dots between them, found {self.value_key!r}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ConfigError(f"low must be below high, found {self.low} and {self.high}")

    @property
    def worst(self) -> float | None:
        """The end of the range on the bad side; None where the range has none."""
        return self.low if self.higher_is_better else self.high

    def load(self, device: str = "cpu") -> "LoadedHttpMetric":
        """Nothing is asked yet; raises ComponentError where `token_env` names no variable of the environment."""
        return LoadedHttpMetric(self, self.connect())


class LoadedHttpMetric:
    """What asks the server."""

    def __init__(self, settings: HttpMetric, poster: Poster) -> None:
        self.settings, self._poster = settings, poster

    def judge(self, speech: Sequence[Speech]) -> list[Judgement]:
        """The server's number per piece of speech, in order; audio that cannot be measured is not sent.

        `detail` is the server's own, if it sends one.
        """
        reasons = [self._unsendable(item) for item in speech]
        sent = [index for index, reason in enumerate(reasons) if reason is None]
        answers = self._poster.ask([speech[index] for index in sent], self._question)
        judgements = [Judgement(value=None, detail={"reason": reason}) for reason in reasons]
        for index, answer in zip(sent, answers, strict=True):
            judgements[index] = _nothing(answer.reason) if isinstance(answer, Fault) else self._judgement(answer)
        return judgements

    def _unsendable(self, item: Speech) -> str | None:
        fault = self.settings.fault(item.audio, item.sample_rate)
        return fault or self.settings.voice_fault(item.voice, item.voice_sample_rate)

    def _question(self, item: Speech) -> dict[str, Any]:
        return {
            "id": item.id,
            "text": item.text,
            "language": item.language,
            "audio": self.settings.wav(item.audio, item.sample_rate),
            **self.settings.voice_wav(item.voice, item.voice_sample_rate),
        }

    def _judgement(self, answer: Mapping[str, Any]) -> Judgement:
        """Of an answer in JSON: a value, or why it is none."""
        try:
            value = value_at(answer, self.settings.value_key)
        except KeyError:
            return _nothing(f"the answer: expected a number as {self.settings.value_key!r}, found {excerpt(dict(answer))}")
        if value is None:
            reason = answer.get("reason")
            return _nothing(excerpt(reason) if isinstance(reason, str) and reason.strip() else "the server gives no value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _nothing(f"the answer: expected a number as {self.settings.value_key!r}, found {excerpt(value)}")
        low, high = self.settings.low, self.settings.high
        if (low is not None and value < low) or (high is not None and value > high) or abs(value) > 1e300:
            bounds = " ".join(f"{word} {bound:g}" for word, bound in (("from", low), ("to", high)) if bound is not None)
            return _nothing(f"the answer: expected a number {bounds or 'of usual size'}, found {excerpt(value)}")
        detail = answer.get("detail")
        return Judgement(value=float(value), detail=detail if isinstance(detail, dict) else {})


def _nothing(reason: str) -> Judgement:
    return Judgement(value=None, detail={"reason": reason})
