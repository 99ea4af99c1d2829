"""Tab "Results": what listeners said, when to stop, and the answers as files."""

import shutil
import tempfile
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.listening import export
from demo.listening.results import Result, results_of
from demo.listening.sittings import Sittings
from demo.players import failure
from demo.results_view import result_html
from lpo_tts.errors import LpoTtsError

KEPT = 16  # ours: folders of files to download; Gradio has copies of its own as soon as a button shows them
EMPTY = (
    '<div class="empty"><p>Nobody has answered anything yet.</p><p>The tab <b>Listen</b> has the addresses for listeners. '
    "Their answers are here as soon as they give them: press <b>Refresh</b>.</p></div>"
)


class Results:
    """The tab's handlers.

    Args:
        sittings: the tests and the store of their answers.
        order: systems in the order they are named; a share is that of the later one.
    """

    def __init__(self, sittings: Sittings, order: Sequence[str] = ()) -> None:
        self.sittings, self.order = sittings, tuple(order)
        self._folder = tempfile.TemporaryDirectory(prefix="lpo-tts-results-")  # goes with this object
        self._written: deque[Path] = deque()

    def all(self) -> list[Result]:
        """The results at present."""
        store = self.sittings.store
        return results_of(store.answers(), store.dues(), order=self.order)

    def names(self) -> list[str]:
        """Tests with answers, as they are chosen by."""
        return [_name(one) for one in self.all()]

    def show(self, chosen: str | None, everybody: bool) -> tuple[Any, Any, str, Any, Any, Any]:
        """Values of the choice, the box for flagged listeners, the page, and the three downloads."""
        try:
            results = self.all()
            names = [_name(one) for one in results]
            if not results:
                hidden = gr.update(visible=False)
                return gr.update(choices=[], value=None, visible=False), hidden, EMPTY, hidden, hidden, hidden
            chosen = chosen if chosen in names else names[0]
            result = results[names.index(chosen)]
            codes = self.sittings.store.codes().get(result.test, {})
            page = result_html(result, everybody=everybody, codes=codes)
            files = self._files(results, result, everybody)
        except LpoTtsError as error:
            raise failure(error) from error
        buttons = [gr.update(value=path and str(path), visible=path is not None) for path in files]
        return gr.update(choices=names, value=chosen, visible=True), gr.update(visible=True), page, *buttons

    def _files(self, results: Sequence[Result], result: Result, everybody: bool) -> tuple[Path, Path, Path | None]:
        """All answers as CSV, all results as JSON, and of votes on candidates the table for `rule: votes`."""
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))  # of its own: another window may be reading an older one
        self._written.append(folder)
        if len(self._written) > KEPT:
            shutil.rmtree(self._written.popleft(), ignore_errors=True)
        answers, codes = self.sittings.store.answers(), self.sittings.store.codes()
        table, numbers, votes = folder / "answers.csv", folder / "results.json", None
        table.write_text(export.csv_text(answers, {one.test: one.checks for one in results}, codes), encoding="utf-8", newline="")
        numbers.write_text(export.json_text(results), encoding="utf-8")
        if result.main.candidates is not None:
            votes = folder / export.VOTES
            without = () if everybody or result.attentive is None else result.flagged
            export.write_votes(votes, export.comparisons(answers, result.test, without))
        return table, numbers, votes


def _name(result: Result) -> str:
    return f"{result.test} ({result.mode}, {result.question})"


def build(sittings: Sittings, page: gr.Blocks, order: Sequence[str] = ()) -> None:
    """Lays the tab out.

    Args:
        sittings: the tests and the store of their answers.
        page: that the tab is on.
        order: systems in the order they are named.
    """
    results = Results(sittings, order)
    with gr.Row():
        chosen = gr.Dropdown([], label="Test", scale=3, min_width=240, visible=False)
        again = gr.Button("Refresh", scale=0, min_width=120, elem_classes="bottom")
    everybody = gr.Checkbox(label="Keep flagged listeners", value=False, container=False, visible=False)
    shown = gr.HTML(EMPTY)
    with gr.Row():
        table = gr.DownloadButton("Answers (CSV)", visible=False)
        numbers = gr.DownloadButton("Results (JSON)", visible=False)
        votes = gr.DownloadButton("Votes for `rule: votes` (JSONL)", visible=False)
    gr.on(
        [page.load, again.click, chosen.input, everybody.input],
        partial(Results.show, results),
        [chosen, everybody],
        [chosen, everybody, shown, table, numbers, votes],
        show_progress="hidden",
        api_visibility="private",
    )
