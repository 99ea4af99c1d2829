"""A preference pair and a training as HTML; every text and name in it is escaped."""

from html import escape

from demo.clips import Clips
from demo.pair_views import Pairs
from demo.players import drawn, hint, player, say, sound, tiles, words
from demo.studio import PairView, Side
from lpo_tts import audio
from lpo_tts.errors import ArtefactError
from lpo_tts.report.figures import Figure, curves, margins
from lpo_tts.report.words import legend
from lpo_tts.steps.history import pair_summary


def pair_html(pairs: Pairs, pair: PairView, clips: Clips, system: str, title: str) -> str:
    """One pair: the text, why one candidate was chosen and the other rejected, both to be heard, and the voice.

    Args:
        pairs: of the run.
        pair: what is shown.
        clips: where the page gets its sound.
        system: whose pair it is.
        title: its place in the list.
    """
    sides = pairs.sides(pair)
    pictures = drawn([(side.candidate.audio, side.candidate.sample_rate) for side in sides], ["chosen", "rejected"])
    columns = "".join(
        _side(role, side, picture, clips) for role, side, picture in zip(("chosen", "rejected"), sides, pictures, strict=True)
    )
    why = "".join(f"<li>{escape(line)}</li>" for line in [*pairs.why(pair), *pairs.rules(system)])
    return (
        f'<p class="which">{escape(title)} · <code>{escape(pair.id)}</code> · split {escape(pair.split)}</p>{say(pair.text)}'
        f'<div class="sides">{columns}</div><h2>Why this pair</h2><ul class="why">{why}</ul>{_voice(pair, clips)}'
        f'<div class="hint legend">{legend()}</div>{hint("Heard by the recogniser that ranked the candidates.")}'
    )


def _side(role: str, side: Side, picture: str, clips: Clips) -> str:
    candidate = side.candidate
    mark = {"chosen": "✓ Chosen", "rejected": "✗ Rejected"}[role]
    length = [("length", f"{candidate.duration:.2f} s")] if candidate.audio is not None else []
    faults = "".join(f'<span class="flag">{escape(fault)}</span> ' for fault in candidate.faults)
    return (
        f'<article class="take {role}" aria-label="{role} candidate"><h2 class="role">{mark}</h2>'
        f"{sound(clips, candidate, f'the {role} candidate', role, picture)}{f'<p>{faults}</p>' if faults else ''}"
        f'{words(side.figures)}{tiles(side.figures, length)}<p class="which"><code>{escape(side.id)}</code></p></article>'
    )


def _voice(pair: PairView, clips: Clips) -> str:
    if pair.voice is None:
        return ""
    try:
        wave, rate = audio.read(pair.voice.path)
    except ArtefactError as error:
        return hint(str(error))
    return f"<h2>The voice to imitate: {escape(pair.voice.label)}</h2>{player(clips.add(wave, rate), 'the voice', 'voice')}"


def training_html(pairs: Pairs, system: str) -> str:
    """Curves of a training, and by how much the chosen candidates of its pairs are better."""
    rows = pairs.training(system)
    loss = pairs.recipe.systems[system].train.loss
    name = type(loss).__module__.rsplit(".", 1)[-1]
    head = f"{system}: loss {name}, {len(rows)} rows logged. Log-ratios compare the trained model with the frozen one."
    drawn_curves = "".join(_figure(one) for one in curves(rows))
    summary = "".join(_figure(one) for one in margins(pair_summary(pairs.recipe.folder(system))))
    parts = [hint(head), f'<div class="plots">{drawn_curves}</div>']
    if summary:
        parts.append(f'<h2>Margins of the pairs</h2><div class="plots">{summary}</div>')
    return "".join(parts)


def _figure(figure: Figure) -> str:
    scrolled = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(figure.caption)}">{figure.svg}</div>'
    return f"<figure>{scrolled}<figcaption>{escape(figure.caption)}</figcaption></figure>"
