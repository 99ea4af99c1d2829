"""What the demo works with: voices, candidates as sound, what judges say of them, and preference pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from torch import Tensor

from lpo_tts.alignment import align
from lpo_tts.comparison.tally import whole
from lpo_tts.records import Judgement
from lpo_tts.report.words import spelled
from lpo_tts.scale import Scale


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A recording whose voice can be imitated; `text` is what is said in it, where that is known."""

    id: str
    label: str
    path: Path
    text: str = ""
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class CandidateAudio:
    """One candidate of a system as sound; `audio` None when nothing in it could be decoded."""

    audio: Tensor | None  # (num_samples,) float32
    sample_rate: int  # Hz
    finished: bool  # the model ended it
    status: str = "ok"

    @property
    def duration(self) -> float:
        """Seconds."""
        return 0.0 if self.audio is None else self.audio.numel() / self.sample_rate

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with it as a candidate, in words."""
        found = [] if self.finished else ["did not end by itself"]
        return (*found, *([] if self.status == "ok" else [self.status]))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that a judge says of a candidate.

    Attributes:
        name: it is shown under, such as "WER".
        scale: what its value means.
        judgement: with its detail.
        judge: who says it, in words.
        main: whether it stands among the first figures, and not in the table of all of them.
        advisory: a network's guess at a quality, which nothing may rest on.
    """

    name: str
    scale: Scale
    judgement: Judgement
    judge: str = ""
    main: bool = True
    advisory: bool = False

    @property
    def text(self) -> str:
        """The value with its unit, or the kind of thing it is, such as that of an ending."""
        value = self.judgement.value
        if value is None:
            return "–"
        if self.is_kind:
            return str(self.judgement.detail["kind"]).replace("_", " ")
        if self.scale.unit:
            return self.scale.text(value, 0 if self.scale.unit == "%" else 2)
        return f"{value:.0f}" if value == round(value) else self.scale.text(value)

    @property
    def is_kind(self) -> bool:
        """Whether the judge sorts candidates into kinds, so that a share of one candidate would say less."""
        return "kind" in self.judgement.detail and self.scale.unit == "%"

    @property
    def note(self) -> str:
        """What stands beside the value: the errors of a ratio, or why there is no value."""
        value, weight, detail = self.judgement.value, self.judgement.weight, self.judgement.detail
        if value is None:
            return str(detail.get("reason", "not judged"))
        if self.scale.is_ratio and weight:
            return f"{whole(value * weight):g} wrong of {whole(weight):g} {self.scale.counts}s"
        return ""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One candidate of a preference pair: its sound, and what the scores of the run say of it."""

    id: str
    candidate: CandidateAudio
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PairView:
    """One preference pair as it is listed."""

    id: str
    text: str
    voice: Voice | None
    chosen: str
    rejected: str
    margins: Mapping[str, float]
    split: str
    aspect: str = ""


def shown_name(name: str, scale: Scale) -> str:
    """A metric's own short name, where the name it has in the recipe says the same; else that one."""
    return scale.short if name.lower() in scale.short.lower() else name


def heard(figures: Sequence[Figure]) -> Markup:
    """HTML of the first hypothesis among figures, each error marked and written out; "" where no judge tells what it heard."""
    for figure in figures:
        detail = figure.judgement.detail
        if "hypothesis" in detail and "reference" in detail:
            return spelled(align(*(str(detail[name]).split() for name in ("reference", "hypothesis"))))
    return Markup()


def best_first(figures: Sequence[Figure]) -> tuple[float, ...]:
    """A key that sorts candidates by what the main judges say, the first judge first; what has no value comes last."""
    key = []
    for figure in figures:
        if figure.main and figure.scale.graded and not figure.advisory:
            value = figure.judgement.value if figure.judgement.value is not None else figure.scale.missing
            sign = -1.0 if figure.scale.higher_is_better else 1.0
            key.append(float("inf") if value is None else sign * value)
    return tuple(key)
