"""The rows that flow through the pipeline: Utterance, Prompt, Candidate, Score, Comparison, PreferencePair and its kin."""

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Split = Literal["train", "dev", "test"]
Preferred = Literal["first", "second", "tie"]


def _check(name: str, value: float | None, low: float = -math.inf, high: float = math.inf) -> None:
    """Raises ValueError for a number outside [low, high], and for one that is not finite; None passes."""
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name}: expected a finite number{'' if low == -math.inf else f', {bounds}'}, found {value}")


def _check_id(name: str, value: str) -> None:
    if not value.strip():
        raise ValueError(f"{name}: expected an id, found {value!r}")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording of a corpus: audio path relative to the table it stands in, and what is said."""

    id: str
    audio: str
    text: str
    duration: float  # seconds
    speaker: str
    language: str = "en"
    split: Split | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        _check("duration", self.duration, 0)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One request to the model: a text, and the recording whose voice is to be imitated."""

    id: str
    text: str
    language: str = "en"
    voice: Utterance | None = None
    target: Utterance | None = None  # a recording of this very text in this voice, where one exists
    split: Split = "train"
    tags: dict[str, str] = field(default_factory=dict)  # e.g. {"speaker": "seen"}: groups in the report

    def __post_init__(self) -> None:
        _check_id("id", self.id)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One sampled answer; its token ids and codes lie in the tensor shard under the same id."""

    id: str  # "<prompt id>#<index>", of another model "<prompt id>#<its name>.<index>"
    prompt_id: str
    index: int
    seed: int
    temperature: float
    top_p: float
    top_k: int
    num_tokens: int  # steps of sampled tokens (one token per stream), the end included when there is one
    num_frames: int
    finished: bool  # the model ended the answer by itself; never forged
    status: str = "ok"  # "ok", "empty", or why the tokens are not decodable
    # Drawn from the distribution of the recipe's own model: by that model, with no setting that changes it (temperature 1, ...).
    own_distribution: bool = True
    model: str = ""  # name of the model that sampled it, where it is not the recipe's own

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        for name in ("seed", "temperature", "top_k", "num_tokens", "num_frames"):
            _check(name, getattr(self, name), 0)
        _check("index", self.index, -1)
        _check("top_p", self.top_p, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one metric says of one piece of speech.

    Attributes:
        value: None = could not be judged (neither 0 nor 1); `detail["reason"]` then says why.
        weight: what it weighs in a corpus value, such as the words of its text; None = as the metric's `weight` says.
        detail: what the value rests on; plain JSON values.
    """

    value: float | None
    weight: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("weight", self.weight, 0)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one metric says of one candidate: a row of `Judgement` under the candidate's id."""

    candidate_id: str
    metric: str
    value: float | None
    weight: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_id("candidate_id", self.candidate_id)
        _check("value", self.value)
        _check("weight", self.weight, 0)

    @property
    def judgement(self) -> Judgement:
        """The same without the id."""
        return Judgement(value=self.value, weight=self.weight, detail=self.detail)


def comparison_id(first: str, second: str) -> str:
    """The id of the row that compares two candidates, in a table of one judge."""
    return f"{first}|{second}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Which of two candidates of one prompt a judge, or a listener, prefers.

    Attributes:
        prompt_id: the prompt that both answer.
        first, second: ids of the two candidates.
        preferred: None = could not be judged (no tie either); `detail["reason"]` then says why.
        judge: who says so: the name of a judge, or of a listener.
        detail: what it rests on; plain JSON values. `contradiction` is true where the judge preferred one candidate, and with
            the two the other way round the other one: such a row is a tie.
    """

    prompt_id: str
    first: str
    second: str
    preferred: Preferred | None
    judge: str
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("prompt_id", "first", "second", "judge"):
            _check_id(name, getattr(self, name))
        if self.first == self.second:
            raise ValueError(f"first and second: expected two candidates, found {self.first!r} twice")
        if self.preferred not in (None, *get_args(Preferred)):
            raise ValueError(f"preferred: expected {', '.join(get_args(Preferred))} or null, found {self.preferred!r}")

    @property
    def id(self) -> str:
        """Of the row, in a table of one judge."""
        return comparison_id(self.first, self.second)

    @property
    def outcome(self) -> tuple[str, str] | None:
        """The ids of winner and loser; None where neither is preferred."""
        if self.preferred == "first":
            return self.first, self.second
        return (self.second, self.first) if self.preferred == "second" else None


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two candidates of one prompt, and per metric by how much the chosen one is better (>= 0)."""

    id: str
    prompt_id: str
    chosen: str
    rejected: str
    margins: dict[str, float]
    split: Split = "train"
    aspect: str = ""  # in what alone the two differ, "content" or "style"; "" = not said

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        for name, value in self.margins.items():
            _check(f"margins.{name}", value)
        if self.chosen == self.rejected:
            raise ValueError(f"chosen and rejected: expected two candidates, found {self.chosen!r} twice")


@dataclass(frozen=True, kw_only=True)
class LabelledCandidate:
    """One candidate that is desirable or not, for losses that need no pairs."""

    id: str
    prompt_id: str
    candidate: str
    desirable: bool
    split: Split = "train"

    def __post_init__(self) -> None:
        _check_id("id", self.id)


@dataclass(frozen=True, kw_only=True)
class RankedList:
    """Candidates of one prompt from best to worst, and a score of each in [0, 1], higher is better; for listwise losses."""

    id: str
    prompt_id: str
    candidates: tuple[str, ...]
    scores: tuple[float, ...]
    split: Split = "train"

    def __post_init__(self) -> None:
        _check_id("id", self.id)
        for score in self.scores:
            _check("scores", score, 0, 1)
        if len(set(self.candidates)) < max(2, len(self.candidates)) or len(self.scores) != len(self.candidates):
            raise ValueError(
                f"candidates and scores: expected at least two different candidates and a score of each, found "
                f"{len(self.candidates)} and {len(self.scores)}"
            )
        if any(one < other for one, other in itertools.pairwise(self.scores)):
            raise ValueError(f"scores: expected them from best to worst, found {self.scores}")


Preference = PreferencePair | LabelledCandidate | RankedList


@dataclass(frozen=True, kw_only=True)
class TokenWeights:
    """What the tokens of one candidate weigh, by frames of its codec.

    Frames stand for all tokens that belong to them, wherever the model's layout puts those: in several slots, in a delay
    pattern, in a depth model. So one table fits every layout. The end token stands behind the last frame.

    Attributes:
        candidate_id: whose tokens.
        spans: (first frame, end frame, weight) each, in order and apart; the end frame itself lies outside, and None is the
            end of the answer, its end token included.
        rest: weight of every other token.
        preference: id of the pair or labelled candidate in which alone these weights hold; "" = wherever the candidate stands.
    """

    candidate_id: str
    spans: tuple[tuple[int, int | None, float], ...] = ()
    rest: float = 1.0
    preference: str = ""

    def __post_init__(self) -> None:
        _check_id("candidate_id", self.candidate_id)
        _check("rest", self.rest, 0)
        before: int | None = 0
        for first, end, weight in self.spans:
            _check("weight", weight, 0)
            if before is None or first < before or (end is not None and end <= first):
                raise ValueError(f"spans: expected frames in order and apart, each end after its first, found {self.spans}")
            before = end


_KEPT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
MAX_NAME = 200  # bytes; file systems take 255, and suffixes (.wav.partial) need room


def file_name(row_id: str) -> str:
    """Turns an id into a file name without a suffix; different ids give different names.

    ASCII letters, digits, `-`, `_` and `.` stay; `#` becomes `~`; every other byte of the UTF-8 text, and a leading dot,
    becomes `=XX`. A name of more than 200 bytes ends in `==` and the sha-256 of the id instead.

    Raises:
        ValueError: the id is empty, or is no text (a lone surrogate).
    """
    if not row_id:
        raise ValueError("an id must not be empty")
    name = "".join(
        char if char in _KEPT else "~" if char == "#" else "".join(f"={byte:02X}" for byte in char.encode()) for char in row_id
    )
    if name.startswith("."):
        name = f"=2E{name[1:]}"
    if len(name) > MAX_NAME:
        digest = hashlib.sha256(row_id.encode()).hexdigest()
        name = f"{name[: MAX_NAME - 66].rstrip('=')}=={digest}"
    return name
