"""What the tabs share: messages, and clips as HTML: a player, a picture, the words that were heard, figures."""

from collections.abc import Iterable, Sequence
from html import escape

import gradio as gr
import numpy as np
from markupsafe import Markup
from torch import Tensor

from demo.clips import Clip, Clips
from demo.studio import CandidateAudio, Figure, heard
from lpo_tts.report.spectrogram import Sound, pictures

PLAY = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path class="to-play" d="M8 5v14l11-7z"/>'
    '<path class="to-pause" d="M7 5h4v14H7zm6 0h4v14h-4z"/></svg>'
)
LONGEST_DRAWN = 60.0  # seconds; the picture of a longer clip takes too long and shows too little


def message(text: str) -> str:
    """A message that stays on the page; plain text in, HTML out."""
    return f'<div class="message" role="alert">{escape(text)}</div>' if text else ""


def hint(text: str) -> str:
    """A line in the background; plain text in, HTML out."""
    return f'<div class="hint">{escape(text)}</div>'


def say(text: str) -> str:
    """What a clip should say; plain text in, HTML out."""
    return f'<p class="say">{escape(text)}</p>'


def failure(error: Exception) -> gr.Error:
    """What a handler raises for an expected error: the library's message, without a traceback in the log."""
    return gr.Error(escape(str(error)), duration=None, print_exception=False)


def drawn(waves: Sequence[tuple[Tensor | None, int]], names: Sequence[str]) -> list[Markup]:
    """Pictures of clips that share time axis and scale; "" for what has no sound, or too much of it."""
    sounds = [
        None
        if wave is None or not wave.numel() or wave.numel() > LONGEST_DRAWN * rate
        else Sound(wave.float().numpy().astype(np.float32), rate)
        for wave, rate in waves
    ]
    return pictures(sounds, list(names))


def player(clip: Clip, name: str, file: str, picture: str = "") -> str:
    """A clip to be played, searched and saved.

    Args:
        clip: what is played.
        name: what it is, for whoever cannot see where it stands; plain text.
        file: name of the file when it is saved, without its ending.
        picture: waveform and spectrogram, HTML.
    """
    end = f"{clip.seconds:.2f}"
    shown = escape(name)
    return (
        f'<div class="clip" data-src="{clip.played}" data-key="{clip.token}" data-seconds="{clip.seconds:.3f}">'
        f'<div class="deck"><button type="button" class="play" aria-label="Play {shown}">{PLAY}</button>'
        f'<input type="range" min="0" max="{end}" step="0.01" value="0" aria-label="Position in {shown}">'
        f'<span class="time"><span class="now">0.00</span><span class="of"> / {end} s</span></span>'
        f'<a class="save" href="{clip.saved}" download="{escape(file)}.wav" aria-label="Download {shown}">WAV</a></div>'
        f"{picture}</div>"
    )


def sound(clips: Clips, candidate: CandidateAudio, name: str, file: str, picture: str = "") -> str:
    """The player of a candidate; a line that says so where it has no sound."""
    if candidate.audio is None or not candidate.audio.numel():
        return hint("Nothing in this candidate can be decoded: there is no sound.")
    return player(clips.add(candidate.audio, candidate.sample_rate), name, file, picture)


def words(figures: Sequence[Figure]) -> str:
    """What the first recogniser heard, HTML; "" where none has."""
    found = heard(figures)
    return f'<p class="heard"><span class="label">Heard</span> {found}</p>' if found else ""


def tiles(figures: Sequence[Figure], more: Iterable[tuple[str, str]] = (), pending: Iterable[str] = ()) -> str:
    """Figures to be read at a glance.

    Args:
        figures: with a name of their own each.
        more: names and values of further ones.
        pending: names of figures that are still to come.
    """
    cells = [
        _tile(one.name, one.text, f"advisory{', ' if one.note else ''}{one.note}" if one.advisory else one.note)
        for one in figures
    ]
    cells += [_tile(name, value) for name, value in more]
    cells += [_tile(name, "listening …", kind="pending") for name in pending if name not in {one.name for one in figures}]
    return f'<dl class="tiles">{"".join(cells)}</dl>' if cells else ""


def _tile(name: str, value: str, note: str = "", kind: str = "") -> str:
    below = f"<small>{escape(note)}</small>" if note else ""
    return f'<div class="{kind}"><dt>{escape(name)}</dt><dd>{escape(value)}{below}</dd></div>'


def table(figures: Sequence[Figure], key: str, label: str) -> str:
    """All figures with who says them, folded; "" where there are none.

    Args:
        figures: the rows.
        key: by which the page remembers that it was unfolded.
        label: whose figures, for readers who cannot see where the table stands.
    """
    if not figures:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(one.name)}{"<small>advisory</small>" if one.advisory else ""}</th>'
        f"<td>{escape(one.text)}</td><td>{escape(one.note)}</td><td>{escape(one.judge)}</td></tr>"
        for one in figures
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Figure", "Value", "Note", "Judge"))
    return (
        f'<details data-key="{escape(key)}"><summary>All figures</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="All figures of {escape(label)}"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )
