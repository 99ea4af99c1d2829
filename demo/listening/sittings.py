"""What happens in a listening test, apart from the web: entering, the next trial, an answer, and who was who."""

import itertools
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from demo.listening import modes
from demo.listening.catches import damage_of_anchor
from demo.listening.design import DAMAGE, Design, Plan, Trial
from demo.listening.items import Item
from demo.listening.modes import REFERENCE, Catch, Side
from demo.listening.refusals import Refused
from demo.listening.rows import Content, Listener, Shown
from demo.listening.sounds import Sounds, Unplayable, Wav, seconds_of
from demo.listening.store import Store

log = logging.getLogger("demo.listening")

TRIES = 10  # ours: trials that cannot be played, until a request gives up; the page asks again, which goes on from there
AGAIN = 60.0  # ours: seconds until a trial that could not be played is tried again
LEAST = 0.5  # ours: of a listener's trials have to be answered; who hears fewer has not done the test
PROBES = 3  # ours: clips that were heard before, of which one can be read unless more is away than single clips
SLACK = 0.3  # seconds: a page's reports of a start and an end may lie so much closer together than the clip is long


@dataclass(frozen=True)
class Test:
    """One test that is offered, and what is listened to in it."""

    __test__ = False  # pytest takes what is called Test for one of its own

    design: Design
    items: Sequence[Item]

    @cached_property
    def plan(self) -> Plan:
        """Who hears what."""
        return Plan(self.design, self.items)

    @property
    def asked(self) -> str:
        """The question in words."""
        return modes.ASKED[self.design.mode][self.design.question]


@dataclass(frozen=True)
class Standing:
    """How far a listener is in a test: `done` of `count` trials; `code` when all is done."""

    listener: Listener
    test: Test
    count: int
    done: int
    code: str | None


@dataclass(frozen=True)
class Step:
    """A trial to be played, and its place among the listener's trials, from 1."""

    standing: Standing
    shown: Shown
    item: Item
    wavs: Mapping[str, Wav]

    @property
    def number(self) -> int:
        """Of the trial, from 1."""
        return self.standing.done + 1


class Sittings:
    """All tests of a server; safe for any number of threads.

    Args:
        tests: what is offered, the first one by default; those without any trial are left out.
        store: where answers are kept.
        sounds: makes the clips.
    """

    def __init__(self, tests: Sequence[Test], store: Store, sounds: Sounds | None = None) -> None:
        self.tests = {test.design.name: test for test in tests if test.plan.trials}
        self.store, self.sounds = store, sounds or Sounds()
        self._items = {(test.design.source, item.id): item for test in self.tests.values() for item in test.items}
        self._faults: dict[str, dict[str, float]] = {name: {} for name in self.tests}  # key -> when it could not be played
        self._lock = threading.Lock()
        for test in self.tests.values():
            store.note_design(test.design, test.plan.size)

    def test(self, name: str | None) -> Test:
        """A test by its name, by default the first; raises Refused where there is none."""
        if not self.tests:
            raise Refused("test", "there is nothing to listen to yet; `lpo-tts run RECIPE --until synthesize` makes it")
        if name is None:
            return next(iter(self.tests.values()))
        if name not in self.tests:
            raise Refused("test", f"there is no such test; there are: {', '.join(self.tests)}")
        return self.tests[name]

    def enter(self, name: str | None, token: str | None, test: str | None) -> Standing:
        """A listener begins a test or comes back to it; raises Refused as `Store.enter` and `test` do."""
        chosen = self.test(test)  # before a listener is made
        return self._standing(self.store.enter(name, token), chosen)[0]

    def next(self, token: str, test: str | None) -> Step | Standing:
        """The listener's next trial, or how the listener stands when all is done.

        A trial that cannot be played gives way to another one, and is tried again later.

        Raises:
            Refused: there is no such test or listener.
            Unplayable: there is more to do, and nothing of it can be played at present.
            ArtefactError: the store cannot be read or written.
        """
        chosen, listener = self.test(test), self.store.by_token(token)
        for _ in range(TRIES):
            standing, ahead = self._standing(listener, chosen)
            if standing.code is not None:
                return standing
            if not ahead:
                self._end(listener, chosen)
                continue
            try:
                return self._show(standing, ahead[0])
            except Unplayable as error:  # a fault of the store is none of the trial, and goes up
                log.warning("%s: the trial %s is passed over: %s", chosen.design.name, ahead[0].key, error)
                with self._lock:
                    self._faults[chosen.design.name][ahead[0].key] = self.store.clock()
        raise Unplayable(f"{chosen.design.name}: {TRIES} trials one after the other cannot be played; check the clips")

    def answer(self, token: str, trial: str, answer: Any, played: Mapping[str, float], whole: Sequence[str]) -> Shown:
        """Keeps an answer, which is on the disk when this returns; the same answer again changes nothing.

        Args:
            token: of the listener.
            trial: id.
            answer: in the form of the mode.
            played: label -> seconds played.
            whole: labels of the clips that were played to the end.

        Raises:
            Refused: token, trial or answer are none, a clip was not fetched or not heard, too little time went by, or another
                answer is stored.
        """
        shown = self.store.trial(trial, self.store.by_token(token))
        content = shown.content
        checked = modes.check(content.mode, content.labels, answer, content.tie)
        if not shown.answered:
            self._check_heard(shown, played, whole)
        self.store.answer(shown, checked, {label: played[label] for label in content.seconds if label in played})
        return shown

    def clip(self, trial: str, label: str, *, whole: bool = True) -> Wav:
        """A clip of a trial; `whole`: it is sent from start to end, without which no answer is taken.

        Raises:
            Refused: there is no such trial, or no such clip in it.
            Unplayable: it cannot be played.
        """
        shown = self.store.trial(trial)
        content = shown.content
        item = self._items.get((content.source, content.item))
        if item is None:
            raise Refused("trial", "what this trial plays is not offered any more; load the page anew")
        wavs = self.sounds.of(item, content.mode, content.sides, content.reference)
        if label not in wavs:
            raise Refused("trial", "there is no such clip")
        if whole and label in content.seconds and label not in shown.fetched:
            self.store.note_fetched(trial, label)
        return wavs[label]

    def _standing(self, listener: Listener, test: Test) -> tuple[Standing, list[Trial]]:
        """How a listener stands, and the trials that are ahead as far as they can be played."""
        name, now = test.design.name, self.store.clock()
        seat = self.store.seat(name, listener, test.plan.size)
        done = self.store.done(name, listener)
        missing = max(0, seat.due - _real(done))
        with self._lock:
            faults = {key for key, when in self._faults[name].items() if now - when < AGAIN}
        ahead: list[Trial] = []
        reals = 0
        own = test.plan.trials_for(listener.name, seat.number)
        for number, trial in enumerate(itertools.chain(own, test.plan.spares_for(seat.number))):
            if number >= len(own) and reals == missing:
                break
            if trial.key not in done and trial.key not in faults and (trial.catch or reals < missing):
                ahead.append(trial)
                reals += not trial.catch
        catches = sum(bool(trial.catch) for trial in ahead)
        code = None if missing or ahead else self.store.code(name, listener.name)
        if missing and not reals:
            ahead = []
        elif reals and not done:  # a catch trial is none to begin with
            first = next(place for place, trial in enumerate(ahead) if not trial.catch)
            ahead.insert(0, ahead.pop(first))
        return Standing(listener, test, len(done) + missing + catches, len(done), code), ahead

    def _end(self, listener: Listener, test: Test) -> None:
        """A listener ends with fewer trials than were due, which is noted; raises Unplayable where that is too soon.

        It rests on the clips alone and never on an answer, so that who has finished tells nothing of what they prefer.
        """
        name = test.design.name
        seat, done = self.store.seat(name, listener, test.plan.size), self.store.done(name, listener)
        real = _real(done)
        if not real or real < LEAST * min(seat.due, test.plan.size) or self._away(test, done):
            raise Unplayable(f"{name}: {real} of {seat.due} trials are answered, and no other one can be played; check the clips")
        log.warning("%s: %r ends with %d of %d trials; no other one can be played", name, listener.name, real, seat.due)
        self.store.lower(name, listener, real)

    def _away(self, test: Test, done: Iterable[str]) -> bool:
        """Whether more is away than single clips: of the same systems, those that were heard cannot be read any more either."""
        heard: dict[frozenset[str], list[Trial]] = {}
        kinds: set[frozenset[str]] = set()
        for trial in test.plan.trials:
            if trial.key in done:
                heard.setdefault(frozenset(trial.names), []).append(trial)
            else:
                kinds.add(frozenset(trial.names))
        groups = [heard[kind] for kind in kinds & heard.keys()]
        if kinds - heard.keys():  # candidates are of one prompt each
            groups.append([trial for own in heard.values() for trial in own])
        return not all(any(self._plays(test, trial) for trial in own[-PROBES:]) for own in groups)

    def _plays(self, test: Test, trial: Trial) -> bool:
        item = self._items[test.design.source, trial.item]
        sides, reference = modes.draw(test.design.mode, _clips(test.design, trial, item))
        try:
            self.sounds.of(item, test.design.mode, sides, reference, anew=True)
        except Unplayable:
            return False
        return True

    def _show(self, standing: Standing, trial: Trial) -> Step:
        test = standing.test
        item = self._items[test.design.source, trial.item]

        def make() -> Content:
            sides, reference = modes.draw(test.design.mode, _clips(test.design, trial, item))
            wavs = self.sounds.of(item, test.design.mode, sides, reference)
            design = test.design
            return Content(
                mode=design.mode,
                question=design.question,
                source=design.source,
                item=item.id,
                prompt_id=item.prompt_id,
                sides=sides,
                reference=reference,
                catch=trial.catch,
                seconds={
                    label: seconds
                    for label, seconds in seconds_of(wavs).items()
                    if label in modes.to_hear(design.mode, [side.label for side in sides])
                },
                tie=design.tie,
                reveal=design.reveal,
            )

        shown = self.store.show(test.design.name, standing.listener, trial.key, make)
        content = shown.content
        wavs = self.sounds.of(item, content.mode, content.sides, content.reference)
        return Step(standing, shown, item, wavs)

    def _check_heard(self, shown: Shown, played: Mapping[str, float], whole: Sequence[str]) -> None:
        content = shown.content
        needed = {label: max(seconds - SLACK, seconds / 2) for label, seconds in content.seconds.items()}
        missing = [label for label, least in needed.items() if label not in whole or played.get(label, 0.0) < least]
        if missing:
            raise Refused("not-heard", f"play {' and '.join(missing)} to the last word, then answer")
        unsent = [label for label in needed if label not in shown.fetched]
        if unsent:
            raise Refused("not-heard", f"the clips {' and '.join(unsent)} were never sent to you; load the page anew")
        left = sum(needed.values()) - (self.store.clock() - shown.shown)
        if left > 0:
            raise Refused("too-fast", f"the clips last {left:.1f} s longer than you have listened; hear them, then answer")


def _real(done: Mapping[str, Catch]) -> int:
    """How many of these trials were no catch trials."""
    return sum(not catch for catch in done.values())


def _clips(design: Design, trial: Trial, item: Item) -> list[Side]:
    """What a trial plays, without labels yet."""
    sides = [Side(label="", name=name, candidate_id=item.clips[name].candidate_id) for name in trial.names]
    if trial.catch:
        (whole,) = sides
        damage = DAMAGE[design.question] if trial.catch == "worse" else ""
        spoilt = Side(label="", name=whole.name, candidate_id=whole.candidate_id, damage=damage)
        return [spoilt] if design.mode == "mos" else [whole, spoilt]
    if design.mode == "mushra":
        anchors = [Side(label="", name=REFERENCE, damage=damage_of_anchor(edge)) for edge in design.anchors]
        return [*sides, Side(label="", name=REFERENCE), *anchors]
    return sides
