"""What the tabs share: candidates as players' values, messages, and the look."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np
from torch import Tensor

from demo.studio import CandidateAudio, match_loudness
from lpo_tts import audio

# The system's own fonts: none is fetched.
THEME = gr.themes.Soft(primary_hue="teal", font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
CSS = """
.verdict { line-height: 1.6; min-height: 3.2rem; }
.verdict .heard { font-size: 1.1rem; }
.verdict .numbers { font-variant-numeric: tabular-nums; }
.soft, .hint { opacity: 0.75; }
.verdict .flag { font-weight: 600; color: #b45309; }
.verdict mark { background: #fde68a; color: #7c2d12; text-decoration: underline wavy; padding: 0 0.2em; border-radius: 0.2em; }
.verdict del { color: #dc2626; text-decoration-thickness: 2px; }
.say { font-size: 1.35rem; font-weight: 600; }
.reveal { display: flex; flex-wrap: wrap; gap: 2rem; }
.reveal > div { flex: 1 1 16rem; }
.message { border-left: 4px solid #b45309; padding-left: 0.8em; }
"""
LEGEND = "Marked: wrong or added words. Struck out: words that were not heard. The clips are brought to one loudness."

Player = tuple[int, np.ndarray] | None  # sample rate in Hz, (num_samples,) int16


def player(wave: Tensor | None, sample_rate: int) -> Player:
    """A player's value, in 16 bits: Gradio scales floats to full scale, which would undo the equal loudness."""
    if wave is None or not wave.numel():
        return None
    return sample_rate, (wave.clamp(-1, 1).numpy() * 32767).astype(np.int16)


def players(candidates: Sequence[CandidateAudio]) -> list[Player]:
    """Players' values of candidates, at one loudness."""
    return [player(wave, candidate.sample_rate) for wave, candidate in zip(match_loudness(candidates), candidates, strict=True)]


def recording(path: Path | None) -> Player:
    """A recording as it is; the path stays on this side, a file name could tell what it is."""
    return player(*audio.read(path)) if path is not None else None


def message(text: str) -> str:
    """A message that stays on the page; plain text in, HTML out."""
    return f'<div class="message">{escape(text)}</div>' if text else ""


def hint(text: str) -> str:
    """A line in the background; plain text in, HTML out."""
    return f'<div class="hint">{escape(text)}</div>'


def say(text: str) -> str:
    """What a clip should say; plain text in, HTML out."""
    return f'<div class="say">“{escape(text)}”</div>'


def failure(error: Exception) -> gr.Error:
    """What a handler raises for an expected error: the library's message, without a traceback in the log."""
    return gr.Error(escape(str(error)), duration=None, print_exception=False)
