"""The models of a session, ready to speak: candidates of every system as they come, then what the judges say of them."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from demo.judges import Judges, clip_of
from demo.run_folder import RunSession
from demo.studio import CandidateAudio, Figure, Voice, best_first
from lpo_tts.bounds import at_least, check_value
from lpo_tts.errors import ConfigError, ContractError, LpoTtsError
from lpo_tts.synthesis import Line, Synthesizer

log = logging.getLogger("demo")

MAX_TEXT = 1000  # ours: characters to speak at once
MAX_SEED = 2**32 - 1
MAX_CANDIDATES = 8  # ours: per system; they are spoken as one batch
PATIENCE = 1.0  # ours: seconds for a candidate from which on candidates are shown one by one


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be spoken, and by whom; candidate k of every system has the seed `seed` + k.

    Raises ConfigError or ContractError for what is outside the bounds.
    """

    text: str
    voice: Voice | None
    systems: tuple[str, ...]
    temperature: float
    top_p: float = 1.0
    seed: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        check_value("candidates", self.count, at_least(1).at_most(MAX_CANDIDATES))
        check_value("seed", self.seed, at_least(0).at_most(MAX_SEED))
        if len(self.text) > MAX_TEXT:
            raise ContractError(f"expected a text of at most {MAX_TEXT} characters, found {len(self.text)}; speak it in parts")


@dataclass(frozen=True, kw_only=True)
class Take:
    """One candidate of an answer."""

    system: str
    seed: int
    candidate: CandidateAudio
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer as far as it has come.

    Attributes:
        asked: what was asked.
        takes: the candidates there are, best first once they are judged.
        stage: what is done at the moment, in words; "" when all is done.
        share: of the work that is done, 0 to 1.
        spoken: seconds of sampling and decoding.
        judged: seconds of the quick judges.
        ranked: whether the order of the candidates says anything.
        pending: names of first figures that are still to come.
    """

    asked: Asked
    takes: tuple[Take, ...] = ()
    stage: str = ""
    share: float = 0.0
    spoken: float = 0.0
    judged: float = 0.0
    ranked: bool = False
    pending: tuple[str, ...] = ()

    def of(self, system: str) -> list[Take]:
        """One system's candidates in order."""
        return [take for take in self.takes if take.system == system]


@dataclass
class _Clock:
    """Seconds of the two parts of the work."""

    spoken: float = 0.0
    judged: float = 0.0
    _start: float = field(default_factory=time.perf_counter)

    def lap(self) -> float:
        """Seconds since the last one."""
        now = time.perf_counter()
        passed, self._start = now - self._start, now
        return passed


class Live:
    """Models, codec and judges in memory, used by one listener at a time.

    Args:
        session: whose models.
    """

    def __init__(self, session: RunSession) -> None:
        self.session = session
        recipe = session.recipe
        base = Synthesizer(recipe.backbone, recipe.codec, recipe.synthesize.sampling, device=session.run.device)
        self._synthesizers = {name: base.with_model(model) for name, model in session.models.items()}
        self.judges = Judges(recipe, session.run.device)
        self._pace: dict[str, float] = {}  # seconds for a candidate alone
        self._lock = threading.Lock()
        self._latest: dict[str, int] = {}  # listener -> number of the last answer asked for

    @property
    def is_slow(self) -> bool:
        """Whether a listener waits for a candidate; so too where nobody has spoken yet."""
        return max((self._pace.get(system, PATIENCE) for system in self._synthesizers), default=0.0) >= PATIENCE

    def warm(self) -> None:
        """Loads everything by speaking once, so that the first listener need not wait; a fault is told when it matters."""
        if not self.session.examples:
            return
        text, voice = self.session.examples[0], next(iter(self.session.voices()), None)
        temperature = self.session.recipe.synthesize.sampling.temperature
        try:
            for system in self.session.systems:
                asked = Asked(text=text, voice=voice, systems=(system,), temperature=temperature)
                for _ in range(2):  # the first one loads and builds kernels; the second one tells the pace
                    take = self._say(asked, system, [0])[0]
            self.judges.warm(clip_of(0, take.candidate, text, voice))
        except LpoTtsError as error:
            log.warning("the models could not be warmed up: %s", error)

    def speak(self, asked: Asked, listener: str = "") -> Iterator[Answer]:
        """The answer, again and again as it grows; ends early where the same listener asks for another one.

        Raises:
            ContractError: text or voice do not fit the model.
            ConfigError: a setting lies outside its range.
            ArtefactError, ComponentError: a model or recording cannot be loaded.
        """
        number = self._latest[listener] = self._latest.get(listener, 0) + 1
        for answer in self._grown(asked, lambda: self._latest[listener] == number):
            if self._latest[listener] != number:
                return
            yield answer

    def _grown(self, asked: Asked, wanted: Callable[[], bool]) -> Iterator[Answer]:
        clock, takes, total = _Clock(), [], asked.count * len(asked.systems)
        yield Answer(asked=asked, stage="loading the models" if not self._pace else "speaking")
        clock.lap()
        for system, places in self._portions(asked):
            if not wanted():
                return
            takes += self._say(asked, system, places)
            clock.spoken += clock.lap()
            stage = "listening" if len(takes) == total else f"speaking: {len(takes)} of {total} candidates"
            yield Answer(asked=asked, takes=tuple(takes), stage=stage, share=0.8 * len(takes) / total, spoken=clock.spoken)
            clock.lap()
        first, ranking, further, rest = self.judges.in_order()
        takes = self._judged(takes, first, asked)
        clock.judged += clock.lap()
        pending = tuple(self.judges.short(name) for name in ranking + rest if self.judges.entries[name].main)
        answer = Answer(asked=asked, spoken=clock.spoken, judged=clock.judged, pending=pending)
        steps = [([name], [place]) for name in ranking for place in _in_turn(takes)] + [([], [])]
        steps += [(further, list(range(total)))] if further else []
        steps += [([name], [place]) for name in rest for place in _in_turn(takes)]
        for step, (names, places) in enumerate(steps):
            if not names:  # those that rank have all been heard
                takes.sort(key=lambda take: best_first(take.figures))
                answer = replace(answer, ranked=any(take.figures for take in takes))
                continue
            label = self.judges.entries[names[0]].settings.label
            stage, share = f"{label}: {step + 1} of {len(steps)}", 0.85 + 0.15 * step / len(steps)
            yield replace(answer, takes=tuple(takes), stage=stage, share=share)
            if not wanted():
                return
            judged = self._judged([takes[place] for place in places], names, asked)
            for place, take in zip(places, judged, strict=True):
                takes[place] = take
        yield replace(answer, takes=tuple(takes), share=1.0, pending=())

    def _portions(self, asked: Asked) -> Iterator[tuple[str, Sequence[int]]]:
        """What is spoken together: all of a system where it is quick, else one by one, the systems in turn."""
        pace = max((self._pace.get(system, PATIENCE) for system in asked.systems), default=0.0)
        if pace < PATIENCE or asked.count == 1:
            yield from ((system, range(asked.count)) for system in asked.systems)
        else:
            yield from ((system, [place]) for place in range(asked.count) for system in asked.systems)

    def _say(self, asked: Asked, system: str, places: Sequence[int]) -> list[Take]:
        if system not in self._synthesizers:
            raise ConfigError(f"system: expected one of {', '.join(self._synthesizers)}, found {system!r}")
        voice = asked.voice
        seeds = [asked.seed + place for place in places]
        lines = [
            Line(asked.text, seed=seed) if voice is None else Line(asked.text, voice.path, voice.text, seed) for seed in seeds
        ]
        with self._lock:
            start = time.perf_counter()
            spoken = self._synthesizers[system].say_all(lines, temperature=asked.temperature, top_p=asked.top_p)
            self._pace[system] = (time.perf_counter() - start) / (1 if len(lines) == 1 else 2)
        return [
            Take(
                system=system,
                seed=seed,
                candidate=CandidateAudio(
                    audio=one.audio if one.audio.numel() else None,
                    sample_rate=one.sample_rate,
                    finished=one.finished,
                    status=one.status,
                ),
            )
            for seed, one in zip(seeds, spoken, strict=True)
        ]

    def _judged(self, takes: Sequence[Take], names: Sequence[str], asked: Asked) -> list[Take]:
        clips = [clip_of(k, take.candidate, asked.text, asked.voice) for k, take in enumerate(takes)]
        found = self.judges.judge(clips, names) if names else [()] * len(takes)
        return [replace(take, figures=take.figures + figures) for take, figures in zip(takes, found, strict=True)]


def _in_turn(takes: Sequence[Take]) -> list[int]:
    """Places of candidates, the first of every system before the second ones: those are looked at."""
    return sorted(range(len(takes)), key=lambda k: sum(take.system == takes[k].system for take in takes[:k]))
