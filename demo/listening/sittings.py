"""What happens in a listening test, apart from the web: entering, the next trial, an answer, and who was who."""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from demo.listening import modes
from demo.listening.catches import damage_of_anchor
from demo.listening.design import DAMAGE, Design, Plan, Trial
from demo.listening.items import Item
from demo.listening.modes import REFERENCE, Side
from demo.listening.refusals import Refused
from demo.listening.rows import Content, Listener, Shown
from demo.listening.sounds import Sounds, Wav, seconds_of
from demo.listening.store import Store
from lpo_tts.errors import ArtefactError

log = logging.getLogger("demo.listening")

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
    """How far a listener is in a test; `code` when all is done."""

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
        self._faults: dict[str, set[str]] = {name: set() for name in self.tests}  # keys that cannot be played
        self._lock = threading.Lock()
        for test in self.tests.values():
            store.note_design(test.design)

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
        """The listener's next trial, or how the listener stands when all is done."""
        chosen, listener = self.test(test), self.store.by_token(token)
        while True:
            standing, left = self._standing(listener, chosen)
            if not left:
                return standing
            try:
                return self._show(standing, left[0])
            except ArtefactError as error:
                log.warning("%s: the trial %s is left out: %s", chosen.design.name, left[0].key, error)
                with self._lock:
                    self._faults[chosen.design.name].add(left[0].key)

    def answer(self, token: str, trial: str, answer: Any, played: Mapping[str, float], whole: Sequence[str]) -> Shown:
        """Keeps an answer, which is on the disk when this returns; the same answer again changes nothing.

        Args:
            token: of the listener.
            trial: id.
            answer: in the form of the mode.
            played: label -> seconds played.
            whole: labels of the clips that were played to the end.

        Raises:
            Refused: token, trial or answer are none, a clip was not heard, too little time went by, or another answer is
                stored.
        """
        shown = self.store.trial(trial, self.store.by_token(token))
        content = shown.content
        checked = modes.check(content.mode, content.labels, answer, content.tie)
        if not shown.answered:
            self._check_heard(shown, played, whole)
        self.store.answer(shown, checked, {label: played[label] for label in content.seconds if label in played})
        return shown

    def wavs(self, trial: str) -> dict[str, Wav]:
        """What a trial plays, by label; raises Refused where there is no such trial."""
        shown = self.store.trial(trial)
        content = shown.content
        item = self._items.get((content.source, content.item))
        if item is None:
            raise Refused("trial", "what this trial plays is not offered any more; load the page anew")
        return self.sounds.of(item, content.mode, content.sides, content.reference)

    def _standing(self, listener: Listener, test: Test) -> tuple[Standing, list[Trial]]:
        name = test.design.name
        own = test.plan.trials_for(listener.name, self.store.seat(name, listener))
        done = self.store.done(name, listener)
        left = [trial for trial in own if trial.key not in done and trial.key not in self._faults[name]]
        heard = sum(trial.key in done for trial in own)
        code = None if left else self.store.code(name, listener)
        return Standing(listener, test, heard + len(left), heard, code), left

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
        left = sum(needed.values()) - (self.store.clock() - shown.shown)
        if left > 0:
            raise Refused("too-fast", f"the clips last {left:.1f} s longer than you have listened; hear them, then answer")


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
