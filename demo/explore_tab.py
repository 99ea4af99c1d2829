"""Tab "Explore": what the models learned from, how their training went, and the report."""

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from demo.clips import Clips
from demo.explore_view import pair_html, training_html
from demo.pair_views import Pairs
from demo.players import failure, hint, message
from demo.run_files import Pages
from demo.studio import PairView
from lpo_tts.errors import LpoTtsError

ALL = "all"
MAX_ROWS = 500  # ours: more rows make the table slow in the browser
MAX_SHOWN = 300  # ours: characters of a text in the table


def filtered(pairs: Sequence[PairView], metric: str | None, least: float, split: str) -> list[PairView]:
    """Pairs whose margin in `metric` is at least `least`, widest first."""
    kept = [one for one in pairs if one.margins.get(metric or "", 0.0) >= least and split in (ALL, one.split)]
    return sorted(kept, key=lambda one: -one.margins.get(metric or "", 0.0))


def metrics_of(pairs: Sequence[PairView]) -> list[str]:
    """Metrics the pairs have margins in."""
    return list(dict.fromkeys(name for pair in pairs for name in pair.margins))


class Explore:
    """The tab's handlers.

    Args:
        pairs: of the run.
        clips: where the page gets its sound.
    """

    def __init__(self, pairs: Pairs, clips: Clips) -> None:
        self.pairs, self.clips = pairs, clips

    def listed(self, system: str, metric: str | None, least: float, split: str) -> tuple[list[list[str]], str, str, int]:
        """Rows of the table, a line that counts them, the first pair, and its place."""
        try:
            pairs = self.pairs.of(system)
            kept = filtered(pairs, metric, least, split)[:MAX_ROWS]
            first = self._shown(system, kept, 0)
        except LpoTtsError as error:
            raise failure(error) from error
        names = metrics_of(pairs)
        rows = [
            [one.text[:MAX_SHOWN], *(self._margin(name, one.margins.get(name)) for name in names), one.split, one.id]
            for one in kept
        ]
        total = len(filtered(pairs, metric, least, split))
        cut = f", the first {MAX_ROWS} of them shown" if total > MAX_ROWS else ""
        return rows, hint(f"{total} of {len(pairs)} pairs{cut}, widest margin first. Choose a row, or go through them."), first, 0

    def at(self, place: int, system: str, metric: str | None, least: float, split: str) -> tuple[str, int]:
        """The pair at a place of the list, which begins anew beyond its end, and that place."""
        try:
            kept = filtered(self.pairs.of(system), metric, least, split)[:MAX_ROWS]
            place = place % len(kept) if kept else 0
            return self._shown(system, kept, place), place
        except LpoTtsError as error:
            raise failure(error) from error

    def chosen(self, pair_id: str, system: str, metric: str | None, least: float, split: str) -> tuple[str, int]:
        """The pair of an id, and its place in the list."""
        kept = filtered(self.pairs.of(system), metric, least, split)[:MAX_ROWS]
        place = next((k for k, one in enumerate(kept) if one.id == pair_id), 0)
        return self.at(place, system, metric, least, split)

    def _shown(self, system: str, kept: Sequence[PairView], place: int) -> str:
        if not kept:
            return hint("No pair is left; ask for a smaller margin.")
        pair = kept[place]
        return pair_html(self.pairs, pair, self.clips, system, f"Pair {place + 1} of {len(kept)}")

    def _margin(self, name: str, value: float | None) -> str:
        scale = self.pairs.scales.get(name)
        if value is None or scale is None:
            return "" if value is None else f"{value:.3f}"
        return scale.text(value, 0 if scale.unit == "%" else None, signed=True)

    def training(self, system: str) -> str:
        """Curves of a system's training, and the margins of its pairs."""
        try:
            return training_html(self.pairs, system)
        except LpoTtsError as error:
            raise failure(error) from error


def build(pairs: Pairs, clips: Clips, pages: Pages, page: gr.Blocks) -> None:
    """Lays the tab out."""
    explore = Explore(pairs, clips)
    with gr.Tabs():
        with gr.Tab("Pairs"):
            _pairs(explore, page)
        with gr.Tab("Training"):
            _training(explore, page)
        with gr.Tab("Report"):
            gr.HTML(report_html(pages))


def _pairs(explore: Explore, page: gr.Blocks) -> None:
    systems = explore.pairs.systems
    if not systems:
        gr.HTML(message("There are no preference pairs yet; `lpo-tts run RECIPE --until pair` makes them."))
        return
    pairs = explore.pairs.of(systems[0])
    names = metrics_of(pairs)
    first = next(iter(names), None)  # pairs of comparisons have no margins
    widest = max((one.margins.get(first or "", 0.0) for one in pairs), default=1.0)
    with gr.Row():
        system = gr.Dropdown(systems, value=systems[0], label="Pairs of", visible=len(systems) > 1)
        metric = gr.Dropdown(names, value=first, label="Margin in", visible=bool(names), min_width=120)
        least = gr.Slider(
            0.0,
            round(max(widest, 0.1), 2),
            step=0.01,
            value=0.0,
            label="At least",
            visible=bool(names),
            min_width=120,
            buttons=[],
        )
        split = gr.Radio([ALL, "train", "dev"], value=ALL, label="Split", min_width=160)
    count = gr.HTML()
    place = gr.State(0)
    rows = gr.Dataframe(
        headers=["text", *names, "split", "pair"],
        datatype="str",
        interactive=False,
        max_height=260,
        wrap=True,
        buttons=[],
        elem_id="pairs-table",
    )
    with gr.Row():
        previous = gr.Button("Previous pair", min_width=110)
        following = gr.Button("Next pair", min_width=110)
    shown = gr.HTML(elem_id="pair-shown")
    filters = [system, metric, least, split]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [page.load, system.change, metric.change, least.release, split.change],
        explore.listed,
        filters,
        [rows, count, shown, place],
        **quiet,
    )

    def step(by: int, place: int, *values: Any) -> tuple[str, int]:
        return explore.at(place + by, *values)

    def select(system: str, metric: str | None, least: float, split: str, event: gr.SelectData) -> tuple[str, int]:
        return explore.chosen(str(event.row_value[-1]), system, metric, least, split)

    previous.click(partial(step, -1), [place, *filters], [shown, place], **quiet)
    following.click(partial(step, 1), [place, *filters], [shown, place], **quiet)
    rows.select(select, filters, [shown, place], **quiet)


def _training(explore: Explore, page: gr.Blocks) -> None:
    systems = [name for name in explore.pairs.recipe.systems if explore.pairs.training(name)]
    if not systems:
        gr.HTML(message("No model was trained here yet; `lpo-tts run RECIPE` does."))
        return
    system = gr.Dropdown(systems, value=systems[0], label="Training of", visible=len(systems) > 1)
    curves = gr.HTML(elem_id="training-shown")
    gr.on(
        [page.load, system.change],
        explore.training,
        [system],
        [curves],
        show_progress="hidden",
        api_visibility="private",
    )


def report_html(pages: Pages) -> str:
    """The pages of the run: links, and the report in a frame that can do nothing to this page."""
    found = pages.found()
    if not found:
        return message("There is no report yet; `lpo-tts run RECIPE` makes it.")
    links = " · ".join(
        f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(title)}</a>' for title, address in found.items()
    )
    title, address = next(iter(found.items()))
    return (
        f'<p class="links">Open in a window of its own: {links}</p>'
        f'<iframe class="report" src="{escape(address)}" title="{escape(title)}" loading="lazy" '
        'sandbox="allow-scripts allow-popups"></iframe>'
    )
