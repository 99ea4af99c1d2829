"""What the listening app works with: voices, candidates and verdicts, marked words, clips of equal loudness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.alignment import align
from lpo_tts.comparison.tally import whole
from lpo_tts.records import Judgement
from lpo_tts.report.words import marked
from lpo_tts.scale import Scale

TARGET_DB = -23.0  # ours: after EBU R 128's -23 LUFS, here as gated rms without its weighting
PEAK = 0.98  # ours: a little below full scale, so that 16-bit rounding cannot clip
BLOCK = 0.1  # seconds; blocks far below the loudest one are pauses and do not count
GATE_DB = -20.0
SILENT_DB = -80.0


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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What judges said of a candidate: judgements by the name they are shown under, each with its scale, and notes."""

    judged: Mapping[str, tuple[Scale, Judgement]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Side:
    """One candidate of a preference pair: its sound, and what the scores of the run say of it."""

    id: str
    candidate: CandidateAudio
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class PairView:
    """One preference pair as it is listed."""

    id: str
    text: str
    voice: Voice | None
    chosen: str
    rejected: str
    margins: dict[str, float]
    split: str


def loudness_db(wave: Tensor, sample_rate: int) -> float:
    """Root mean square in dB of full scale over the blocks that are not pauses; -inf for silence.

    Pauses are left out, so that a candidate with a long silent tail is not made louder than its peer.
    """
    size = max(int(BLOCK * sample_rate), 1)
    blocks = [audio.rms_db(block) for block in wave.split(size)]
    loudest = max(blocks, default=float("-inf"))
    if loudest < SILENT_DB:
        return float("-inf")
    kept = [10 ** (level / 10) for level in blocks if level >= loudest + GATE_DB]
    return float(10 * torch.tensor(kept, dtype=torch.float64).mean().log10())


def match_loudness(candidates: Sequence[CandidateAudio]) -> list[Tensor | None]:
    """The candidates' waveforms at one loudness: `TARGET_DB`, or as near as the peaks of all of them permit.

    Silence stays as it is, and a candidate without sound stays None.
    """
    levels = [
        float("-inf") if candidate.audio is None else loudness_db(candidate.audio, candidate.sample_rate)
        for candidate in candidates
    ]
    target = TARGET_DB
    for candidate, level in zip(candidates, levels, strict=True):
        if candidate.audio is not None and level > float("-inf"):
            peak_db = 20 * float(candidate.audio.abs().max().log10())
            target = min(target, level + 20 * float(torch.tensor(PEAK).log10()) - peak_db)
    return [
        candidate.audio if candidate.audio is None or level == float("-inf") else candidate.audio * 10 ** ((target - level) / 20)
        for candidate, level in zip(candidates, levels, strict=True)
    ]


def shown_name(name: str, scale: Scale) -> str:
    """A metric's own short name, where the name it has in the recipe says the same; else that one."""
    return scale.short if name.lower() in scale.short.lower() else name


def heard(verdict: Verdict) -> str:
    """HTML of the first hypothesis in a verdict, wrong words marked and unheard words struck out."""
    for _, judgement in verdict.judged.values():
        if "hypothesis" in judgement.detail:
            words = [str(judgement.detail[name]).split() for name in ("reference", "hypothesis")]
            return marked(align(*words))
    return ""


def numbers(verdict: Verdict, candidate: CandidateAudio | None = None) -> list[str]:
    """What is shown under a clip, as HTML pieces."""
    shown = [escape(_number(name, *judged)) for name, judged in verdict.judged.items() if judged[1].value is not None]
    if candidate is not None and candidate.audio is not None:
        shown.append(f"{candidate.duration:.2f} s")
    if candidate is not None and not candidate.finished:
        shown.append('<span class="flag">did not end</span>')
    if candidate is not None and candidate.status != "ok":
        shown.append(f'<span class="flag">{escape(candidate.status)}</span>')
    return shown


def _number(name: str, scale: Scale, judgement: Judgement) -> str:
    if scale.is_ratio and judgement.value is not None and judgement.weight:
        errors, weight = whole(judgement.value * judgement.weight), whole(judgement.weight)
        return f"{name} {scale.text(judgement.value, 0)} ({errors:g} wrong of {weight:g} {scale.counts}s)"
    return f"{name} {scale.text(judgement.value)}"


def verdict_html(candidate: CandidateAudio, verdict: Verdict) -> str:
    """What stands under a candidate: the words that were heard, the numbers, and what could not be judged."""
    reasons = [
        f"{name}: {found.detail.get('reason', 'not judged')}"
        for name, (_, found) in verdict.judged.items()
        if found.value is None
    ]
    return card(heard(verdict), numbers(verdict, candidate), [*reasons, *verdict.notes])


def card(words: str, shown: Sequence[str], notes: Sequence[str] = ()) -> str:
    """HTML of one verdict; `words` and `shown` are HTML already, `notes` are plain text."""
    lines = [f'<div class="heard"><span class="soft">heard:</span> {words}</div>'] if words else []
    lines.append(f'<div class="numbers">{" · ".join(shown)}</div>')
    lines += [f'<div class="soft">{escape(note)}</div>' for note in notes]
    return f'<div class="verdict">{"".join(lines)}</div>'
