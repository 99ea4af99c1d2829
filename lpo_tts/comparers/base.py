"""What every comparer offers: of two pieces of speech for one text, which is better; and asking it both ways round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lpo_tts.errors import ContractError
from lpo_tts.metrics.base import Speech
from lpo_tts.records import Preferred

__all__ = ["Comparer", "LoadedComparer", "Opinion", "Speech", "both_ways"]

Sides = tuple[Speech, Speech]  # the first and the second of a question
CHOICES: tuple[Preferred, ...] = ("first", "second", "tie")
TURNED: Mapping[Preferred, Preferred] = {"first": "second", "second": "first", "tie": "tie"}


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """Which of two is better.

    Attributes:
        preferred: None = could not be judged; `detail["reason"]` then says why.
        detail: what it rests on; plain JSON values.
    """

    preferred: Preferred | None
    detail: dict[str, Any] = field(default_factory=dict)


class LoadedComparer(Protocol):
    """A comparer in memory."""

    def compare(self, pairs: Sequence[Sides]) -> list[Opinion]:
        """One opinion per pair, in order.

        A comparer need not ask itself the other way round: `both_ways` does.

        Args:
            pairs: two pieces of speech each, for the same text and voice. As for metrics, nothing is promised of the audio:
                it may be silent, empty, very short, or hold NaN. What cannot be compared has no preference and a
                `detail["reason"]`; one bad piece must not stop the others.
        """
        ...


class Comparer(Protocol):
    """Settings of a comparer (a frozen dataclass)."""

    def load(self, device: str = "cpu") -> LoadedComparer:
        """Loads the models it needs."""
        ...


def both_ways(comparer: LoadedComparer, pairs: Sequence[Sides]) -> list[Opinion]:
    """Each pair asked both ways round, in one call; judges tend to prefer the one they hear first, or last.

    A preference counts where both answers name the same one. Where they name different ones the opinion is a tie, and
    `detail["contradiction"]` is true; where one of them is a tie it is a tie without contradiction. Where one of them is
    missing there is no opinion. `detail["answers"]` holds both, as seen from the first way round, and `detail["details"]`
    what the comparer said beside them.

    Raises:
        ContractError: the comparer gives another number of opinions, or what is none.
    """
    asked = [sides for first, second in pairs for sides in ((first, second), (second, first))]
    found = comparer.compare(asked) if asked else []
    if len(found) != len(asked):
        raise ContractError(f"comparer: expected one opinion per pair, {len(asked)}, found {len(found)}")
    for opinion in found:
        if opinion.preferred not in (None, *CHOICES):
            raise ContractError(f"comparer: expected {', '.join(CHOICES)} or None, found {opinion.preferred!r}")
    return [_joined(one, other) for one, other in zip(found[::2], found[1::2], strict=True)]


def _joined(one: Opinion, other: Opinion) -> Opinion:
    answers: list[Preferred | None] = [one.preferred, None if other.preferred is None else TURNED[other.preferred]]
    detail: dict[str, Any] = {"answers": answers}
    if one.detail or other.detail:
        detail["details"] = [one.detail, other.detail]
    if None in answers:
        reasons = [opinion.detail.get("reason") for opinion in (one, other) if opinion.preferred is None]
        return Opinion(preferred=None, detail={**detail, "reason": str(reasons[0] or "the comparer gives no reason")})
    agreed = answers[0] == answers[1]
    contradiction = not agreed and "tie" not in answers
    return Opinion(preferred=answers[0] if agreed else "tie", detail={**detail, "contradiction": contradiction})
