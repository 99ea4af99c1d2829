"""Test sets that are drawn from a corpus: some texts of every speaker, each with another recording of the speaker as voice.

Every draw is by the hash of an id and the seed. So the same corpus gives the same prompts, whatever the order of its files.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep import libritts, vctk
from evaluation.test_sets.base import Dropped, Recording
from lpo_tts.bounds import at_least, check_settings, check_value
from lpo_tts.prompting.corpus import of_corpus, order_key
from lpo_tts.records import Prompt, Utterance


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What is drawn, of every speaker.

    Attributes:
        per_speaker: texts of a speaker at most.
        min_target, max_target: seconds of the recordings whose texts are asked for.
        min_voice, max_voice: seconds of the recordings that serve as voices.
        seed: another one draws others; published figures need the same.
    """

    per_speaker: int = 20
    min_target: float = 4.0
    max_target: float = 10.0
    min_voice: float = 3.0
    max_voice: float = 10.0
    seed: int = 0

    bounds = {"per_speaker": at_least(1), "min_target": at_least(0), "min_voice": at_least(0), "seed": at_least(0)}

    def __post_init__(self) -> None:
        check_settings(self, "")
        check_value("max_target", self.max_target, at_least(self.min_target))
        check_value("max_voice", self.max_voice, at_least(self.min_voice))

    def prompts(self, local: Path, measured: Mapping[str, Utterance]) -> Iterator[Prompt | Dropped]:
        """Texts of each speaker by the order of the seed; a voice never says the text, by letters and digits alone."""
        voices: dict[tuple[str, str, str | None], list[Utterance]] = defaultdict(list)
        targets: dict[str, list[Utterance]] = defaultdict(list)
        for one in measured.values():
            if self.min_voice <= one.duration <= self.max_voice:
                voices[one.speaker, one.language, one.split].append(one)
            if self.min_target <= one.duration <= self.max_target:
                targets[one.speaker].append(one)
        for speaker in sorted({one.speaker for one in measured.values()}):
            ordered = sorted(targets[speaker], key=lambda one: order_key(self.seed, one.id))
            drawn = ordered[: self.per_speaker]
            if not drawn:
                seconds = f"{self.min_target:g} to {self.max_target:g} s"
                yield Dropped(id=speaker, reason=f"speaker {speaker} has no recording of {seconds}", fault=False)
            for name, prompt in of_corpus(sorted(drawn, key=lambda one: one.id), voices, "test", self.seed):
                yield Dropped(id=name, reason=prompt, fault=False) if isinstance(prompt, str) else prompt


@dataclass(frozen=True, kw_only=True)
class LibriTTS(Draw):
    """A subset of LibriTTS or LibriTTS-R; see `data_prep.libritts`.

    Attributes:
        subset: such as test-clean.
    """

    subset: str = "test-clean"

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The transcripts of the subset."""
        return libritts.tables(local, [self.subset])

    def recordings(self, local: Path) -> Iterator[Recording | Dropped]:
        """Every utterance; of the tags, `gender` alone is kept."""
        for one in libritts.find(local, [self.subset]):
            yield one if isinstance(one, Dropped) else replace(one, split="test", tags=_gender(one))


@dataclass(frozen=True, kw_only=True)
class VCTK(Draw):
    """All speakers of VCTK; see `data_prep.vctk`.

    Attributes:
        microphone: mic1 or mic2.
        heard: recordings of a speaker that are looked at, drawn like the rest: the corpus has 400 of each.
    """

    microphone: vctk.Microphone = "mic2"
    heard: int = 60
    min_target: float = 2.0

    bounds = {"heard": at_least(2)}

    def tables(self, local: Path) -> Mapping[str, Sequence[Path]]:
        """The texts."""
        return vctk.tables(local)

    def recordings(self, local: Path) -> Iterator[Recording | Dropped]:
        """Some recordings of every speaker, speaker by speaker."""
        of_speaker: dict[str, list[Recording]] = defaultdict(list)
        for one in vctk.find(local, microphone=self.microphone):
            if isinstance(one, Dropped):
                yield one
            else:
                of_speaker[one.speaker].append(replace(one, split="test", tags=_gender(one)))
        for speaker in sorted(of_speaker):
            yield from sorted(of_speaker[speaker], key=lambda one: order_key(self.seed, one.id))[: self.heard]


def _gender(one: Recording) -> dict[str, str]:
    return {name: value for name, value in one.tags.items() if name == "gender"}
