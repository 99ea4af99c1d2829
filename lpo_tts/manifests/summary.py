"""The sums of a manifest, row by row: hours, speakers, languages, and how durations and speaking rates are spread."""

import itertools
import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from lpo_tts.manifests.hashes import HashTable, fingerprint
from lpo_tts.manifests.sentences import num_characters, sentence_key
from lpo_tts.records import Utterance

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
SPLITS = ("train", "dev", "test")
NO_SPLIT = "none"
MOST = 1e6  # beyond it values count as this one, so that a broken row cannot ask for memory
LAST_LINE = (1 << 29) - 1  # the largest number of a line that is kept beside the three bits of its splits


class Distribution:
    """Values in steps of a resolution: memory grows with their range, and not with how many there are."""

    def __init__(self, resolution: float) -> None:
        self.resolution = resolution
        self.count = 0
        self.total = 0.0
        self._steps: Counter[int] = Counter()

    def add(self, value: float) -> None:
        """Takes one value, at least 0."""
        self.count += 1
        self.total += value
        self._steps[round(min(value, MOST) / self.resolution)] += 1

    @property
    def mean(self) -> float:
        """Of all values; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    def quantiles(self, shares: tuple[float, ...] = QUANTILES) -> list[float]:
        """The smallest value that a share of the values does not exceed, for rising shares, to the resolution."""
        steps = sorted(self._steps)
        below = list(itertools.accumulate(self._steps[step] for step in steps))
        found, at = [], 0
        for share in shares:
            while at < len(steps) - 1 and below[at] < max(1, math.ceil(share * self.count)):
                at += 1
            found.append(round(steps[at] * self.resolution, 6) if steps else 0.0)
        return found

    def bins(self, num_bins: int, low: float, high: float) -> list[int]:
        """Counts in equal bins from `low` to `high`; what lies outside counts in the first or the last one."""
        counts = [0] * num_bins
        for step, count in self._steps.items():
            place = int((step * self.resolution - low) / (high - low) * num_bins + 1e-9)
            counts[max(0, min(num_bins - 1, place))] += count
        return counts


class Speakers:
    """Seconds, rows and splits of every speaker, in 33 bytes each; the name is read again where its first row stands."""

    def __init__(self) -> None:
        self._index = HashTable()
        self.seconds, self.rows = array("d"), array("I")
        self.splits = bytearray()  # a bit for each of SPLITS
        self.places = array("Q")

    def __len__(self) -> int:
        return len(self.seconds)

    def add(self, name: str, seconds: float, split: int, place: int) -> None:
        """Takes one row: `split` is the bit of its split, 0 for none, and `place` where it stands."""
        key = fingerprint(name)
        index = self._index.get(key)
        if index is None:
            index = len(self.seconds)
            self._index.put(key, index)
            self.seconds.append(0.0)
            self.rows.append(0)
            self.splits.append(0)
            self.places.append(place)
        self.seconds[index] += seconds
        self.rows[index] += 1
        self.splits[index] |= split

    @property
    def num_shared(self) -> int:
        """Speakers with rows in more than one split."""
        return sum(bits.bit_count() > 1 for bits in self.splits)

    def largest(self, count: int) -> list[int]:
        """Those with the most seconds, as places in the arrays."""
        return sorted(range(len(self)), key=lambda index: (-self.seconds[index], index))[:count]


@dataclass
class Amount:
    """Rows, their seconds, and the letters and digits of their texts."""

    rows: int = 0
    seconds: float = 0.0
    characters: int = 0

    def add(self, seconds: float, characters: int) -> None:
        """Takes one row."""
        self.rows += 1
        self.seconds += seconds
        self.characters += characters


@dataclass
class Summary:
    """Takes a manifest row by row; 10^7 rows take about 0.2 GB, nearly all of it for the hashes of their sentences."""

    all: Amount = field(default_factory=Amount)
    groups: dict[tuple[str, str], Amount] = field(default_factory=dict)  # (split, language)
    durations: Distribution = field(default_factory=lambda: Distribution(0.01))  # seconds
    paces: Distribution = field(default_factory=lambda: Distribution(0.1))  # characters per second
    speakers: Speakers = field(default_factory=Speakers)
    shared_sentences: int = 0  # sentences that stand in more than one split
    _sentences: HashTable = field(default_factory=HashTable)  # line << 3 | a bit for each split

    def add(self, row: Utterance, place: int = 0, line: int = 0) -> tuple[str, int] | None:
        """Takes one row.

        Args:
            row: of the manifest.
            place: where it stands in the file, in bytes.
            line: its number.

        Returns:
            None, or another split in which its sentence stands, and the line of its first row.
        """
        characters, split = num_characters(row.text), row.split or NO_SPLIT
        self.all.add(row.duration, characters)
        self.groups.setdefault((split, row.language), Amount()).add(row.duration, characters)
        self.durations.add(row.duration)
        if row.duration > 0:
            self.paces.add(characters / row.duration)
        bit = 1 << SPLITS.index(split) if split in SPLITS else 0
        self.speakers.add(row.speaker, row.duration, bit, place)
        return self._sentence(row.text, bit, line) if bit else None

    def _sentence(self, text: str, bit: int, line: int) -> tuple[str, int] | None:
        key = fingerprint(sentence_key(text))
        known = self._sentences.get(key)
        if known is None:
            self._sentences.put(key, min(line, LAST_LINE) << 3 | bit)
            return None
        bits = known & 7
        if not bits & bit:
            self.shared_sentences += bits.bit_count() == 1
            self._sentences.put(key, known | bit)
        others = bits & ~bit
        return (SPLITS[others.bit_length() - 1], known >> 3) if others else None

    def by_split(self) -> dict[str, Amount]:
        """Rows and seconds of each split that has any."""
        return {split: self._sum(0, split) for split in (*SPLITS, NO_SPLIT) if any(key[0] == split for key in self.groups)}

    def by_language(self) -> dict[str, Amount]:
        """Rows and seconds of each language, the largest first."""
        found = {language: self._sum(1, language) for language in sorted({key[1] for key in self.groups})}
        return dict(sorted(found.items(), key=lambda item: -item[1].seconds))

    def _sum(self, part: int, name: str) -> Amount:
        chosen = [amount for key, amount in self.groups.items() if key[part] == name]
        rows, characters = sum(one.rows for one in chosen), sum(one.characters for one in chosen)
        return Amount(rows, math.fsum(one.seconds for one in chosen), characters)

    def lines(self) -> Iterator[str]:
        """What a terminal shows, a fact in each line."""
        yield f"{many(self.all.rows, 'row')}, {length(self.all.seconds)}, {many(len(self.speakers), 'speaker')}"
        if not self.all.rows:
            return
        for name, groups in (("split", self.by_split()), ("language", self.by_language())):
            shown = list(groups.items())[:SHOWN]
            more = f"; {len(groups) - SHOWN} more" if len(groups) > SHOWN else ""
            yield f"  {name}: " + "; ".join(f"{key} {many(one.rows, 'row')}, {length(one.seconds)}" for key, one in shown) + more
        for name, values in (("duration in s", self.durations), ("characters per s", self.paces)):
            if values.count:
                lowest, p5, middle, p95, highest = values.quantiles((0.0, 0.05, 0.5, 0.95, 1.0))
                yield f"  {name}: {lowest:g} to {highest:g}, median {middle:g}, 90 % from {p5:g} to {p95:g}"


SHOWN = 12  # languages on a terminal; the page has them all


def length(seconds: float) -> str:
    """Minutes, and from 90 of them hours."""
    return f"{seconds / 60:.1f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"


def many(number: int, noun: str) -> str:
    """A large number with its noun: "1 row", "10,000 rows"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
