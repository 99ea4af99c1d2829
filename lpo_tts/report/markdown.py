"""A report as Markdown, for issues, pull requests and model cards."""

import re
from collections.abc import Iterator

from lpo_tts.comparison.results import Report
from lpo_tts.report import layout
from lpo_tts.report.tables import Cell, Table, statistics_note, tables

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~!&$])")


def markdown(report: Report) -> str:
    """The whole text: verdict, tables, how it was made."""
    lines = [f"# {escaped(report.title or 'lpo-tts report')}", ""]
    words = layout.opening(report)
    for sentence in words.leads:
        lines += [f"**{escaped(sentence)}**", ""]
    for sentence in words.others:
        lines += [escaped(sentence), ""]
    for one in tables(report):
        lines += [*_table(one), ""]
    lines += [escaped(statistics_note(report, tests=bool(report.differences))), ""]
    versions = report.provenance.get("versions")
    if isinstance(versions, dict) and versions:
        lines += ["Versions: " + ", ".join(f"{escaped(str(k))} {escaped(str(v))}" for k, v in versions.items()) + ".", ""]
    return "\n".join(lines)


def _table(table: Table) -> Iterator[str]:
    yield f"**{escaped(table.caption)}**"
    yield ""
    yield "| " + " | ".join(escaped(head) for head in table.heads) + " |"
    yield "|" + "|".join([":--", *["--:"] * (len(table.heads) - 1)]) + "|"
    for row in table.rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    if table.notes:
        yield ""
        yield f"{escaped('; '.join(table.notes))}."


def _cell(cell: Cell) -> str:
    return f"{escaped(cell.text)} {cell.spread}".rstrip()  # brackets of numbers alone are no link


def escaped(text: str) -> str:
    """A text that no reader of Markdown takes for anything else; line ends become spaces."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
