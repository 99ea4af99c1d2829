"""Tab "Pairs": what the model learned from, chosen and rejected candidates side by side."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

from demo.players import LEGEND, Player, failure, hint, message, players, recording, say
from demo.run_folder import RunSession
from demo.studio import PairView, Side, card, heard, numbers
from lpo_tts.errors import LpoTtsError

ALL = "all"
MAX_ROWS = 500  # ours: more rows make the table slow in the browser


def filtered(pairs: Sequence[PairView], metric: str | None, least: float, split: str) -> list[PairView]:
    """Pairs whose margin in `metric` is at least `least`, widest first."""
    kept = [one for one in pairs if one.margins.get(metric or "", 0.0) >= least and split in (ALL, one.split)]
    return sorted(kept, key=lambda one: -one.margins.get(metric or "", 0.0))


def table(session: RunSession, system: str, metric: str | None, least: float, split: str) -> tuple[list[list[Any]], str]:
    """Rows to show, and a line that counts them."""
    try:
        pairs = session.pairs(system)
    except LpoTtsError as error:
        raise failure(error) from error
    kept = filtered(pairs, metric, least, split)
    names = metrics_of(pairs)
    rows = [[one.id, one.text, one.split, *(_number(one.margins.get(name)) for name in names)] for one in kept[:MAX_ROWS]]
    cut = f", the first {MAX_ROWS} of them shown" if len(kept) > MAX_ROWS else ""
    return rows, hint(f"{len(kept)} of {len(pairs)} pairs{cut}. Choose a row to listen.")


def metrics_of(pairs: Sequence[PairView]) -> list[str]:
    """Metrics the pairs have margins in."""
    return list(dict.fromkeys(name for pair in pairs for name in pair.margins))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def listen(session: RunSession, system: str, pair_id: str) -> tuple[str, Player, Player, Player, str, str]:
    """Text, voice, chosen and rejected player, chosen and rejected verdict of one pair."""
    try:
        pair = next(one for one in session.pairs(system) if one.id == pair_id)
        sides = session.sides(pair)
        voice = recording(pair.voice.path) if pair.voice is not None else None
    except LpoTtsError as error:
        raise failure(error) from error
    sound = players([side.candidate for side in sides])
    return say(pair.text), voice, sound[0], sound[1], side_html(sides[0]), side_html(sides[1])


def side_html(side: Side) -> str:
    """The words the ranking recogniser heard, and every score of this candidate."""
    return card(heard(side.verdict), numbers(side.verdict, side.candidate), [side.id])


def build(session: RunSession, page: gr.Blocks) -> None:
    """Lays the tab out."""
    systems = [name for name in session.recipe.systems if session.pairs(name)]
    if not systems:
        gr.HTML(message("This run has no preference pairs yet; `lpo-tts run RECIPE --until pair` makes them."))
        return
    pairs = session.pairs(systems[0])
    names = metrics_of(pairs)
    first = next(iter(names), None)  # pairs of comparisons have no margins
    widest = max((one.margins.get(first or "", 0.0) for one in pairs), default=1.0)
    with gr.Row():
        system = gr.Dropdown(systems, value=systems[0], label="Pairs of", visible=len(systems) > 1)
        metric = gr.Dropdown(names, value=first, label="Margin in", visible=bool(names))
        least = gr.Slider(0.0, round(max(widest, 0.1), 2), value=0.0, step=0.01, label="At least", visible=bool(names))
        split = gr.Radio([ALL, "train", "dev"], value=ALL, label="Split")
    count = gr.HTML()
    rows = gr.Dataframe(
        headers=["pair", "text", "split", *(f"margin in {name}" for name in names)],
        datatype="str",
        interactive=False,
        max_height=320,
        wrap=True,
        buttons=[],
    )
    text = gr.HTML()
    with gr.Row():  # each verdict under its player, on a narrow screen too
        with gr.Column(min_width=240):
            voice = gr.Audio(label="The voice to imitate", interactive=False, buttons=[])
        with gr.Column(min_width=240):
            chosen, chosen_verdict = gr.Audio(label="Chosen", interactive=False, buttons=[]), gr.HTML()
        with gr.Column(min_width=240):
            rejected, rejected_verdict = gr.Audio(label="Rejected", interactive=False, buttons=[]), gr.HTML()
    gr.HTML(hint(f"{LEGEND} Heard by the recogniser that ranked the candidates."))
    gr.on(
        [page.load, system.change, metric.change, least.release, split.change],
        partial(table, session),
        [system, metric, least, split],
        [rows, count],
        show_progress="hidden",
        api_visibility="private",
    )

    def select(chosen_system: str, event: gr.SelectData) -> tuple[str, Player, Player, Player, str, str]:
        return listen(session, chosen_system, event.row_value[0])

    outputs = [text, voice, chosen, rejected, chosen_verdict, rejected_verdict]
    rows.select(select, [system], outputs, show_progress_on=[chosen, rejected], api_visibility="private")
