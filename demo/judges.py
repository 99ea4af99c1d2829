"""The judges of a recipe that listen to what is spoken live: quick ones at once, slow ones afterwards."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from demo.studio import CandidateAudio, Figure, Voice
from lpo_tts import audio
from lpo_tts.errors import LpoTtsError
from lpo_tts.judging import Clip, Panel, expanded, roles_of
from lpo_tts.metrics.base import is_advisory, needs_voice_copy, scale_of
from lpo_tts.recipe import Recipe
from lpo_tts.records import Judgement, Prompt, Utterance
from lpo_tts.steps.judges import JudgeSettings

log = logging.getLogger("demo")

SINGULAR = {"good endings": "ending"}  # what a figure of many is called where it tells of one
QUICK = 0.5  # ours: seconds for a clip; a judge that takes longer is shown when it is done, and nobody waits for it


@dataclass(frozen=True)
class Entry:
    """One judge.

    Attributes:
        name: in the recipe.
        settings: its section.
        main: whether its value stands among the first figures: the first held-out judge of each thing that is measured, and
            the first that guesses at quality.
        advisory: it guesses at quality.
    """

    name: str
    settings: JudgeSettings
    main: bool
    advisory: bool


def entries(recipe: Recipe) -> list[Entry]:
    """Judges that took no part in the training, but for those that need the voice's copy through the codec."""
    found, seen = [], set()
    for name, judge in recipe.evaluate.judges.items():
        if judge.role == "training judge" or needs_voice_copy(judge.metric):
            continue
        advisory = judge.role == "advisory" or is_advisory(judge.metric)
        kind = "advisory" if advisory else scale_of(judge.metric).title if judge.role == "judge" else None
        found.append(Entry(name, judge, kind is not None and kind not in seen, advisory))
        if kind is not None:
            seen.add(kind)
    return found


class Judges:
    """The judges in memory; each is loaded when it is first asked, and one that cannot be loaded is told and left out.

    Attributes:
        entries: all of them, in the recipe's order.
        unavailable: judge -> why it cannot be loaded.
    """

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.entries = {one.name: one for one in entries(recipe)}
        self.unavailable: dict[str, str] = {}
        self._panels = {name: Panel({name: one.settings.metric}, device=device) for name, one in self.entries.items()}
        self._locks = {name: threading.Lock() for name in self.entries}  # one each, so that nobody waits for a slow judge
        self._seconds: dict[str, float] = {}  # for a clip, by the last one

    @property
    def labels(self) -> list[str]:
        """What the first judges are called."""
        return list(dict.fromkeys(one.settings.label for one in self.entries.values() if one.main))

    def short(self, name: str) -> str:
        """What the value of a judge is called."""
        short = scale_of(self.entries[name].settings.metric).short
        return SINGULAR.get(short, short)

    def in_order(self) -> tuple[list[str], list[str], list[str], list[str]]:
        """Judges in the order they are asked: those of the first figures that are quick, those that are slow but rank the
        candidates, all further quick ones, and the rest.
        """
        able = [one for name, one in self.entries.items() if name not in self.unavailable]
        first = [one.name for one in able if one.main and not self._is_slow(one.name)]
        ranking = [one.name for one in able if one.main and not one.advisory and one.name not in first]
        further = [one.name for one in able if not one.main and not self._is_slow(one.name)]
        return first, ranking, further, [one.name for one in able if one.name not in {*first, *ranking, *further}]

    def _is_slow(self, name: str) -> bool:
        known = self._seconds.get(name)
        return self.entries[name].advisory if known is None else known > QUICK

    def warm(self, clip: Clip) -> None:
        """Loads every judge and has it listen to a clip, twice, so that its time is known without its first steps."""
        for name in self.entries:
            for _ in range(2):
                self._ask([clip], [name])

    def judge(self, clips: Sequence[Clip], names: Sequence[str]) -> list[tuple[Figure, ...]]:
        """What these judges say of clips of one text and voice, clip by clip."""
        found = self._ask(clips, names)
        return [tuple(self._figures(found, k, clip.prompt)) for k, clip in enumerate(clips)]

    def _ask(self, clips: Sequence[Clip], names: Iterable[str]) -> dict[str, list[Judgement]]:
        found: dict[str, list[Judgement]] = {}
        with audio.resampled_once():
            for name in names:
                with self._locks[name]:
                    try:
                        self._panels[name].load()
                    except LpoTtsError as error:
                        log.warning("judge %s is left out: %s", name, error)
                        self.unavailable[name] = str(error)
                        continue
                    start = time.perf_counter()
                    found |= self._panels[name].judge(clips)
                    self._seconds[name] = (time.perf_counter() - start) / max(1, len(clips))
        return found

    def _figures(self, found: dict[str, list[Judgement]], place: int, prompt: Prompt) -> Iterator[Figure]:
        for name in found:
            entry = self.entries[name]
            metric, label = entry.settings.metric, entry.settings.label
            judged = expanded(metric, name, found[name][place], prompt)
            for role in roles_of(metric, name, entry.settings.role, label):
                yield Figure(
                    name=SINGULAR.get(role.short, role.short),
                    scale=role,
                    judgement=judged[role.name],
                    judge=label,
                    main=entry.main and role.of is None,
                    advisory=entry.advisory,
                )


def clip_of(number: int, candidate: CandidateAudio, text: str, voice: Voice | None) -> Clip:
    """A candidate as judges hear it, with the text it should say and the original recording of the voice it should have."""
    recording = None
    if voice is not None:
        recording = Utterance(id=voice.id, audio=str(voice.path.absolute()), text=voice.text, duration=0.0, speaker=voice.label)
    prompt = Prompt(id="live", text=text, language=voice.language if voice is not None else "en", voice=recording)
    return Clip(id=str(number), prompt=prompt, audio=candidate.audio, sample_rate=candidate.sample_rate)
