"""The design of a listening test: its mode and question, and which trials each listener is given, in which order."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from demo.listening.modes import LABELS, Catch, ModeName, Question, check_system
from lpo_tts.bounds import at_least, check_settings
from lpo_tts.config import Structurer, check_name, read_yaml
from lpo_tts.errors import ConfigError

Source = Literal["systems", "candidates"]
DAMAGE = {"words": "cut", "voice": "shift", "overall": "noise"}  # how a catch trial spoils a clip, by the question
MAX_ANCHORS = 4


class Listenable(Protocol):
    """What a design must know of an item."""

    @property
    def id(self) -> str:
        """Unlike all others of the test."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the clips there are: systems, or candidates."""
        ...

    @property
    def has_reference(self) -> bool:
        """There is a recording of the text."""
        ...

    def alike(self, one: str, other: str) -> bool:
        """Two clips are the same to the last bit, so that nobody can tell them apart."""
        ...


@dataclass(frozen=True)
class Design:
    """One listening test: one mode, one question.

    Attributes:
        name: of the test; it stands in addresses and tables.
        mode: "ab" (which is better), "abx" (which is X), "mos" (1 to 5), "cmos" (-3 to 3, B against A), "mushra" (0 to 100,
            with the recording as open and hidden reference, and anchors).
        question: "words", "voice" or "overall"; two questions are two tests, so that one does not colour the other.
        source: "systems": the same prompts spoken by several systems. "candidates": several candidates of one training
            prompt; the answers can become preference pairs.
        systems: names to be compared; () = all there are.
        trials_per_listener: size of the random subset that each listener is given, catch trials not counted; None = all.
        catch_share: catch trials, as a share of the others.
        tie: A/B may be answered with "no difference".
        anchors: low-pass anchors of MUSHRA, Hz; BS.1534 has 3500 and 7000.
        reveal: names are told after each answer.
        seed: of the subsets and orders; which clip is A is never drawn from it.
    """

    name: str
    mode: ModeName = "ab"
    question: Question = "words"
    source: Source = "systems"
    systems: tuple[str, ...] = ()
    trials_per_listener: int | None = 20
    catch_share: float = 0.2
    tie: bool = True
    anchors: tuple[int, ...] = (3500, 7000)
    reveal: bool = True
    seed: int = 0

    bounds = {
        "trials_per_listener": at_least(1).at_most(1000),
        "catch_share": at_least(0).at_most(0.5),
        "anchors": at_least(500).at_most(20000),
        "seed": at_least(0),
    }

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_settings(self, self.name)
        if len(set(self.systems)) < len(self.systems) or (len(self.systems) == 1 and self.mode not in ("mos", "mushra")):
            raise ConfigError(f"{self.name}.systems: expected at least two different systems, found {', '.join(self.systems)}")
        for name in self.systems:
            check_system(f"{self.name}.systems", name)
        if len(set(self.anchors)) < len(self.anchors) or len(self.anchors) > MAX_ANCHORS:
            raise ConfigError(f"{self.name}.anchors: expected at most {MAX_ANCHORS} different ones, found {self.anchors}")
        if self.systems and self.source == "candidates":
            raise ConfigError(f"{self.name}.systems: candidates are of one model; leave systems out")
        if self.mode == "mushra" and self.source == "candidates":
            raise ConfigError(f"{self.name}: MUSHRA rates systems against a recording; take ab or cmos for candidates")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a listener is to judge, before anybody knows which clip is A.

    Attributes:
        key: what a listener answers once; the same for all listeners.
        item: id of the item.
        names: of the clips; of a catch trial the one clip that is played as it was and spoilt, or twice.
        catch: "worse", "same", or "" for what is really asked.
    """

    key: str
    item: str
    names: tuple[str, ...]
    catch: Catch = ""


def trial_key(item: str, names: Iterable[str], catch: Catch = "") -> str:
    """The key of a trial, whichever way round its clips are played."""
    return "|".join((item, *sorted(names), *([catch] if catch else [])))


class Plan:
    """Which trials each listener is given.

    The listeners' subsets are windows on one random round of all trials: each item, and each comparison within it, is heard
    equally often, up to one; and each listener hears every system, or comparison of systems, equally often. The order of a
    listener's trials is drawn for the listener, and is the same each time.

    Args:
        design: of the test.
        items: all that can be listened to; those that do not serve the mode are left out.
    """

    def __init__(self, design: Design, items: Sequence[Listenable]) -> None:
        self.design = design
        self.items = {item.id: item for item in items}
        by_item = [own for item in items if (own := list(self._trials(item)))]
        random.Random(f"{design.seed}\0{design.name}").shuffle(by_item)
        # Each item begins with another comparison, or system, than the item before: no listener hears more of one than of others.
        by_item = [own[number % len(own) :] + own[: number % len(own)] for number, own in enumerate(by_item)]
        # Neighbours in the round are of different items, so that a subset holds as many items as it can.
        rounds = itertools.zip_longest(*by_item)
        self.trials = [trial for each in rounds for trial in each if trial is not None]

    @property
    def size(self) -> int:
        """Real trials of each listener: as designed, and no more than there are."""
        return min(self.design.trials_per_listener or len(self.trials), len(self.trials))

    def trials_for(self, listener: str, seat: int) -> list[Trial]:
        """A listener's trials in the listener's order.

        Args:
            listener: name, from which order and catch trials are drawn.
            seat: how many listeners came to this test before.
        """
        own = [self._at(seat, number) for number in range(self.size)]
        source = random.Random(f"{self.design.seed}\0{self.design.name}\0{listener}")
        source.shuffle(own)
        for place, catch in zip(*self._catches(own, source), strict=True):
            own.insert(place, catch)
        return own

    def spares_for(self, seat: int) -> Iterator[Trial]:
        """All other trials, in the order in which they stand in for those of a listener that cannot be played."""
        return (self._at(seat, number) for number in range(self.size, len(self.trials)))

    def _at(self, seat: int, number: int) -> Trial:
        return self.trials[(seat * self.size + number) % len(self.trials)]

    def _trials(self, item: Listenable) -> Iterator[Trial]:
        design = self.design
        names = [name for name in item.names if not design.systems or name in design.systems]
        if design.mode == "mushra":
            if names and item.has_reference and len(names) + 1 + len(design.anchors) <= len(LABELS):
                yield self._trial(item, names)
        elif design.mode == "mos":
            yield from (self._trial(item, [name]) for name in names)
        else:
            pairs = [pair for pair in itertools.combinations(names, 2) if not item.alike(*pair)]
            yield from (self._trial(item, pair) for pair in pairs)

    def _trial(self, item: Listenable, names: Sequence[str], catch: Catch = "") -> Trial:
        return Trial(key=trial_key(item.id, names, catch), item=item.id, names=tuple(names), catch=catch)

    def _catches(self, own: Sequence[Trial], source: random.Random) -> tuple[list[int], list[Trial]]:
        """Catch trials of a listener, and the places they are put at; on items the listener does not hear, where there are."""
        design = self.design
        # Two spoilt copies before the same clip twice, which flags nobody.
        kinds: tuple[Catch, ...] = (
            ("worse", "worse", "same") if design.mode == "cmos" or (design.mode == "ab" and design.tie) else ("worse",)
        )
        wanted = 0 if design.mode == "mushra" else math.ceil(design.catch_share * len(own))
        heard = {trial.item for trial in own}
        items = [one for one in {trial.item: None for trial in self.trials} if one not in heard] or list(dict.fromkeys(heard))
        order = source.sample(sorted(items), len(items))  # each item once, before any comes twice
        catches: dict[str, Trial] = {}
        for number in range(wanted):
            item = self.items[order[number % len(order)]]
            names = [name for name in item.names if not design.systems or name in design.systems]
            trial = self._trial(item, [source.choice(names)], kinds[number % len(kinds)])
            catches.setdefault(trial.key, trial)
        # Not the first one: whoever begins may still look for the buttons.
        places = sorted(source.randint(1, len(own)) for _ in catches)
        return [place + number for number, place in enumerate(places)], list(catches.values())


def read_designs(path: Path) -> list[Design]:
    """Tests from a YAML file: a mapping from name to settings.

    Raises:
        ConfigError: it is no such file, or a setting is wrong.
    """
    tree: dict[str, Any] = read_yaml(path, "file of listening tests")
    designs = []
    for name, settings in tree.items():
        if not isinstance(settings, dict) or "name" in settings:
            raise ConfigError(f"{path}: expected settings under the test's name {name!r}, and no key `name` among them")
        designs.append(Structurer().structure({"name": name, **settings}, Design, str(path)))
    if not designs:
        raise ConfigError(f"{path}: expected at least one test, found none")
    return designs


def default_designs() -> list[Design]:
    """The tests of a run folder: preference in two passes, then the other modes, and votes on candidates to train on."""
    return [
        Design("words", "ab", "words"),
        Design("voice", "ab", "voice"),
        Design("abx", "abx", "overall"),
        Design("mos", "mos", "overall"),
        Design("cmos", "cmos", "overall"),
        Design("mushra", "mushra", "overall", trials_per_listener=10),
        Design("pairs", "ab", "words", "candidates"),
    ]
