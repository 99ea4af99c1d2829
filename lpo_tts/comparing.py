"""The verbs compare and leaderboard: many reports as one table; reads report.json alone, no model and no audio."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lpo_tts.comparison.across import across
from lpo_tts.comparison.blocks import Across, plain
from lpo_tts.comparison.reports import Source, find, find_all, read
from lpo_tts.comparison.wording import counted
from lpo_tts.errors import ArtefactError
from lpo_tts.report import across as written


def compare(
    runs: Sequence[str],
    *,
    names: Sequence[str] = (),
    metrics: Sequence[str] = (),
    against: str | None = None,
    sort: str | None = None,
    out: str | None = None,
    form: str | None = None,
) -> Iterator[str]:
    """Lines of `lpo-tts compare`; with `out` the files are written, too.

    Args:
        runs: run folders, report folders or files.
        names: of the runs, in their order.
        metrics: the columns; none: all metrics.
        against: what differences between runs start from.
        sort: metric that rows are sorted by.
        out: folder for compare.html, .md, .tex and .json.
        form: "json", "markdown" or "latex" in place of tables for a terminal.
    """
    sources = [read(find(run)) for run in runs]
    found = across(sources, names=names, metrics=metrics, against=against, sort=sort)
    yield from _lines(found, out, form, "compare")


def leaderboard(
    folder: str, *, by: str | None = None, metrics: Sequence[str] = (), out: str | None = None, form: str | None = None
) -> Iterator[str]:
    """Lines of `lpo-tts leaderboard`: every report below a folder, the best system first; unreadable ones are told.

    Raises:
        ArtefactError: there is no report that can be read.
    """
    sources: list[Source] = []
    skipped: list[str] = []
    for path in find_all(folder):
        try:
            sources.append(read(path))
        except ArtefactError as error:
            skipped.append(f"skipped: {error}")
    if not sources:
        raise ArtefactError("\n".join([f"{folder}: no report below it that can be read", *skipped]))
    if skipped:
        skipped.append(f"{counted(len(skipped), 'report')} skipped, {len(sources)} read.")
    found = replace(
        across(sources, metrics=metrics, sort=by, best_first=True), skipped=tuple(skipped), title=f"Leaderboard of {folder}"
    )
    yield from _lines(found, out, form, "leaderboard")


def _lines(found: Across, out: str | None, form: str | None, name: str) -> Iterator[str]:
    if form == "json":
        yield json.dumps(plain(found), indent=2, ensure_ascii=False, allow_nan=False)
    elif form == "markdown":
        yield written.markdown(found).rstrip("\n")
    elif form == "latex":
        yield written.latex(found).rstrip("\n")
    else:
        yield from written.terminal(found, written.terminal_width())
    if out is not None:
        paths = written.write(found, Path(out), name)
        if form is None:
            yield f"written: {', '.join(map(str, paths))}"
