"""http: a server behind a URL that is sent two recordings and says which is better, such as an audio language model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lpo_tts.comparers.base import CHOICES, Opinion, Sides
from lpo_tts.errors import ConfigError
from lpo_tts.posting.service import Fault, Poster, Service, excerpt, value_at


@dataclass(frozen=True, kw_only=True)
class HttpComparer(Service):
    """A server that is sent two recordings and their text and names the better one; the protocol is in docs/judges.md.

    Attributes:
        preferred_key: where "first", "second" or "tie" stands in the answer; dots lead into objects.
    """

    preferred_key: str = "preferred"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(self.preferred_key.split(".")):
            raise ConfigError(f"preferred_key: expected keys with dots between them, found {self.preferred_key!r}")

    def load(self, device: str = "cpu") -> "LoadedHttpComparer":
        """Nothing is asked yet; raises ComponentError where `token_env` names no variable of the environment."""
        return LoadedHttpComparer(self, self.connect())


class LoadedHttpComparer:
    """What asks the server."""

    def __init__(self, settings: HttpComparer, poster: Poster) -> None:
        self.settings, self._poster = settings, poster

    def compare(self, pairs: Sequence[Sides]) -> list[Opinion]:
        """The server's opinion of each pair, in order; a pair with audio that cannot be measured is not sent."""
        reasons = [self._unsendable(pair) for pair in pairs]
        sent = [index for index, reason in enumerate(reasons) if reason is None]
        answers = self._poster.ask([pairs[index] for index in sent], self._question)
        opinions = [Opinion(preferred=None, detail={"reason": reason}) for reason in reasons]
        for index, answer in zip(sent, answers, strict=True):
            opinions[index] = _nothing(answer.reason) if isinstance(answer, Fault) else self._opinion(answer)
        return opinions

    def _unsendable(self, pair: Sides) -> str | None:
        faults = (
            self.settings.fault(one.audio, one.sample_rate, f"{name} recording") for one, name in zip(pair, CHOICES, strict=False)
        )
        found = next(filter(None, faults), None)
        return found or self.settings.voice_fault(pair[0].voice, pair[0].voice_sample_rate)

    def _question(self, pair: Sides) -> dict[str, Any]:
        first, second = pair
        return {
            "id": f"{first.id}|{second.id}",
            "text": first.text,
            "language": first.language,
            "first": self.settings.wav(first.audio, first.sample_rate),
            "second": self.settings.wav(second.audio, second.sample_rate),
            **self.settings.voice_wav(first.voice, first.voice_sample_rate),
        }

    def _opinion(self, answer: Mapping[str, Any]) -> Opinion:
        key = self.settings.preferred_key
        try:
            preferred = value_at(answer, key)
        except KeyError:
            return _nothing(f"the answer: expected {', '.join(CHOICES)} or null as {key!r}, found {excerpt(dict(answer))}")
        if preferred is None:
            reason = answer.get("reason")
            return _nothing(excerpt(reason) if isinstance(reason, str) and reason.strip() else "the server has no opinion")
        if preferred not in CHOICES:
            return _nothing(f"the answer: expected {', '.join(CHOICES)} or null as {key!r}, found {excerpt(preferred)}")
        detail = answer.get("detail")
        return Opinion(preferred=preferred, detail=detail if isinstance(detail, dict) else {})


def _nothing(reason: str) -> Opinion:
    return Opinion(preferred=None, detail={"reason": reason})
