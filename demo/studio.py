"""What the listening app works with: voices, takes and verdicts, marked words, clips of equal loudness."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lpo_tts import audio
from lpo_tts.metrics.base import Judgement
from lpo_tts.report.alignment import align
from lpo_tts.report.listening import marked

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
class Take:
    """One answer of a system as sound; `audio` None when nothing in it could be decoded."""

    audio: Tensor | None  # (num_samples,) float32
    sample_rate: int  # Hz
    finished: bool  # ended by itself
    status: str = "ok"

    @property
    def duration(self) -> float:
        """Seconds."""
        return 0.0 if self.audio is None else self.audio.numel() / self.sample_rate


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the held-out judges said of a take; None = not judged, `notes` then say why."""

    wer: Judgement | None = None
    similarity: Judgement | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Side:
    """One answer of a preference pair: its sound, and what the scores of the run say of it."""

    id: str
    take: Take
    scores: dict[str, Judgement] = field(default_factory=dict)


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


class Session(Protocol):
    """One opened run, as the app sees it."""

    systems: tuple[str, ...]  # "base" first, then the aligned ones
    vocabulary: tuple[str, ...]  # the words the model knows; empty = any text

    def voices(self) -> list[Voice]:
        """Recordings of the run's prompts, one per speaker."""
        ...

    def synthesise(self, system: str, text: str, voice: Voice | None, temperature: float, seed: int) -> Take:
        """Raises ContractError for empty text or a word outside the vocabulary, ArtefactError for an unreadable voice."""
        ...

    def judge(self, take: Take, text: str, voice: Voice | None) -> Verdict:
        """By the judges that took no part in the training."""
        ...

    def pairs(self, system: str) -> list[PairView]:
        """Preference pairs a system learned from."""
        ...

    def sides(self, pair: PairView) -> tuple[Side, Side]:
        """Chosen and rejected answer of a pair."""
        ...


def loudness_db(wave: Tensor, sample_rate: int) -> float:
    """Root mean square in dB of full scale over the blocks that are not pauses; -inf for silence.

    Pauses are left out, so that an answer with a long silent tail is not made louder than its peer.
    """
    size = max(int(BLOCK * sample_rate), 1)
    blocks = [audio.rms_db(block) for block in wave.split(size)]
    loudest = max(blocks, default=float("-inf"))
    if loudest < SILENT_DB:
        return float("-inf")
    kept = [10 ** (level / 10) for level in blocks if level >= loudest + GATE_DB]
    return float(10 * torch.tensor(kept, dtype=torch.float64).mean().log10())


def match_loudness(takes: Sequence[Take]) -> list[Tensor | None]:
    """The takes' waveforms at one loudness: `TARGET_DB`, or as near as the peaks of all of them permit.

    Silence stays as it is, and a take without sound stays None.
    """
    levels = [float("-inf") if take.audio is None else loudness_db(take.audio, take.sample_rate) for take in takes]
    target = TARGET_DB
    for take, level in zip(takes, levels, strict=True):
        if take.audio is not None and level > float("-inf"):
            peak_db = 20 * float(take.audio.abs().max().log10())
            target = min(target, level + 20 * float(torch.tensor(PEAK).log10()) - peak_db)
    return [
        take.audio if take.audio is None or level == float("-inf") else take.audio * 10 ** ((target - level) / 20)
        for take, level in zip(takes, levels, strict=True)
    ]


def heard(judgement: Judgement | None) -> str:
    """HTML of the hypothesis in a WER judgement, wrong words marked and unheard words struck out."""
    if judgement is None or "hypothesis" not in judgement.detail:
        return ""
    reference, hypothesis = judgement.detail["reference"].split(), judgement.detail["hypothesis"].split()
    return marked([list(step) for step in align(reference, hypothesis)])


def numbers(wer: Judgement | None, similarity: Judgement | None, take: Take | None = None) -> list[str]:
    """What is shown under a clip, as HTML pieces."""
    shown = []
    if wer is not None and wer.value is not None:
        errors = sum(wer.detail[key] for key in ("substitutions", "deletions", "insertions"))
        shown.append(f"WER {wer.value:.0%} ({errors} wrong of {wer.detail['num_words']} words)")
    if similarity is not None and similarity.value is not None:
        shown.append(f"similarity {similarity.value:.2f}")
    if take is not None and take.audio is not None:
        shown.append(f"{take.duration:.2f} s")
    if take is not None and not take.finished:
        shown.append('<span class="flag">did not end by itself</span>')
    if take is not None and take.status != "ok":
        shown.append(f'<span class="flag">{escape(take.status)}</span>')
    return shown


def verdict_html(take: Take, verdict: Verdict) -> str:
    """What stands under a take: the words that were heard, the numbers, and what could not be judged."""
    words = heard(verdict.wer)
    notes = [f"{name}: {found.detail.get('reason', 'not judged')}" for name, found in _unjudged(verdict)] + list(verdict.notes)
    return card(words, numbers(verdict.wer, verdict.similarity, take), notes)


def _unjudged(verdict: Verdict) -> list[tuple[str, Judgement]]:
    named = (("WER", verdict.wer), ("similarity", verdict.similarity))
    return [(name, found) for name, found in named if found is not None and found.value is None]


def card(words: str, shown: Sequence[str], notes: Sequence[str] = ()) -> str:
    """HTML of one verdict; `words` and `shown` are HTML already, `notes` are plain text."""
    lines = [f'<div class="heard"><span class="soft">heard:</span> {words}</div>'] if words else []
    lines.append(f'<div class="numbers">{" · ".join(shown)}</div>')
    lines += [f'<div class="soft">{escape(note)}</div>' for note in notes]
    return f'<div class="verdict">{"".join(lines)}</div>'
