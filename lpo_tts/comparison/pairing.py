"""What pair rules made of the candidates, in numbers: yield, drops, and how chosen and rejected candidates differ."""

import hashlib
import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lpo_tts.alignment import Step
from lpo_tts.records import Candidate, Preference, PreferencePair
from lpo_tts.scale import Scale

MAX_VALUES = 20_000  # ours: enough for any histogram
CHOSEN, REJECTED, ALL = "chosen", "rejected", "all candidates"


class Values:
    """Numbers of a long table: count and mean exactly, and an even thinning of at most 40,000 of them for drawing."""

    def __init__(self) -> None:
        self.kept = array("d")  # 8 bytes each; a list of floats takes 32
        self.count = 0
        self._total = 0.0
        self._stride = 1

    def add(self, value: float) -> None:
        """Takes one more."""
        if self.count % self._stride == 0:
            self.kept.append(value)
            if len(self.kept) == 2 * MAX_VALUES:
                self.kept, self._stride = self.kept[::2], 2 * self._stride
        self.count += 1
        self._total += value

    @property
    def mean(self) -> float | None:
        """Of all of them; None where there are none."""
        return self._total / self.count if self.count else None


@dataclass(frozen=True, kw_only=True)
class PairSide:
    """One candidate of a pair that people listen to.

    Attributes:
        id: of the candidate.
        audio: path relative to the page; None where there is no audio.
        duration: seconds; None where nobody decoded it.
        finished: whether it ended by itself.
        values: metric -> value, None where it could not be scored.
        alignment: text against hypothesis; None where no metric keeps a hypothesis.
        notes: further words of the metrics, such as the kind of an ending.
    """

    id: str
    audio: str | None
    duration: float | None
    finished: bool
    values: Mapping[str, float | None]
    alignment: Sequence[Step] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HeardPair:
    """A pair that people listen to: its text, and its two sides."""

    id: str
    prompt_id: str
    text: str
    split: str
    aspect: str
    chosen: PairSide
    rejected: PairSide


@dataclass
class Pairing:
    """Counts prompt after prompt what the rules found; memory does not grow with the tables.

    Attributes:
        scales: metric -> what its values mean.
        num_listen: pairs that people shall listen to: those whose ids have the smallest hashes, so a fair draw.
    """

    scales: Mapping[str, Scale]
    num_listen: int = 10
    num_prompts: int = 0
    num_candidates: int = 0
    num_unfinished: int = 0
    kinds: Counter[str] = field(default_factory=Counter)  # "pair, train": count
    pairs_per_prompt: Counter[int] = field(default_factory=Counter)
    scores: dict[str, dict[str, Values]] = field(default_factory=dict)  # metric -> group -> values
    unscorable: Counter[str] = field(default_factory=Counter)  # metric -> candidates
    frames: dict[str, Values] = field(default_factory=dict)  # group -> frames per candidate
    longer: Counter[str] = field(default_factory=Counter)  # of the pairs: which side is longer
    _drawn: list[tuple[int, str, PreferencePair]] = field(default_factory=list)  # a heap, largest hash first

    def add(
        self,
        candidates: Sequence[Candidate],
        scores: Mapping[str, Mapping[str, float | None]],
        found: Iterable[Preference],
        target: Candidate | None = None,
    ) -> None:
        """Takes one prompt: all its candidates, their scores (metric -> id -> value), and what the rules found."""
        self.num_prompts += 1
        self.num_candidates += len(candidates)
        self.num_unfinished += sum(not one.finished for one in candidates)
        for one in candidates:
            self._side(ALL, one, scores)
            for metric, values in scores.items():
                self.unscorable[metric] += values.get(one.id) is None
        known = {one.id: one for one in candidates} | ({target.id: target} if target is not None else {})
        pairs = []
        for row in found:
            name = {"PreferencePair": "pair", "LabelledCandidate": "labelled candidate", "RankedList": "ranked list"}
            self.kinds[f"{name[type(row).__name__]}, {row.split}"] += 1
            if isinstance(row, PreferencePair):
                pairs.append(row)
        self.pairs_per_prompt[len(pairs)] += 1
        for pair in pairs:
            chosen, rejected = known[pair.chosen], known[pair.rejected]
            self._side(CHOSEN, chosen, scores)
            self._side(REJECTED, rejected, scores)
            longer = chosen.num_frames - rejected.num_frames
            self.longer[CHOSEN if longer > 0 else REJECTED if longer < 0 else "neither"] += 1
            self._draw(pair)

    @property
    def drawn(self) -> list[PreferencePair]:
        """The pairs to listen to, in order of their ids."""
        return sorted((pair for _, _, pair in self._drawn), key=lambda pair: pair.id)

    @property
    def num_pairs(self) -> int:
        """All pairs."""
        return sum(count * number for number, count in self.pairs_per_prompt.items())

    def _side(self, group: str, one: Candidate, scores: Mapping[str, Mapping[str, float | None]]) -> None:
        self.frames.setdefault(group, Values()).add(one.num_frames)
        for metric, values in scores.items():
            value = values.get(one.id)
            if value is not None:
                self.scores.setdefault(metric, {}).setdefault(group, Values()).add(value)

    def _draw(self, pair: PreferencePair) -> None:
        place = -int.from_bytes(hashlib.sha256(pair.id.encode()).digest()[:8], "big")
        heapq.heappush(self._drawn, (place, pair.id, pair))
        if len(self._drawn) > self.num_listen:
            heapq.heappop(self._drawn)
