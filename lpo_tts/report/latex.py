r"""A report as LaTeX tables (booktabs), each a `table` that a paper takes in with \input or by copying."""

import re
import unicodedata
from collections.abc import Iterator

from lpo_tts.comparison.results import Report
from lpo_tts.report.tables import Cell, Table, statistics_note, tables

# What LaTeX reads as a command, and signs that fonts of pdfLaTeX lack; other letters stand as they are (UTF-8).
_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "→": r"$\to$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "…": r"\dots{}",
    "\u00a0": "~",
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPES)))


def latex(report: Report) -> str:
    r"""All tables; needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks."""
    lines = [
        "% Made by lpo-tts from report.json. In the preamble: \\usepackage{booktabs} and \\usepackage[T1]{fontenc}",
        f"% {_comment(report.title)}",
        *([f"% {_comment(report.verdict)}"] if report.verdict else []),
        "",
    ]
    for one in tables(report):
        lines += [*_table(one, statistics_note(report, tests="p" in one.heads)), ""]
    return "\n".join(lines)


def _table(table: Table, note: str) -> Iterator[str]:
    notes = "; ".join(table.notes)
    caption = f"{table.caption}. {notes[:1].upper()}{notes[1:]}{'. ' if notes else ''}"
    if any(cell.spread for row in table.rows for cell in row):
        caption += note
    yield r"\begin{table}[t]"
    yield r"\centering\small"
    yield rf"\caption{{{escaped(caption.strip())}}}"
    yield rf"\label{{tab:{table.name}}}"
    yield rf"\begin{{tabular}}{{l{'r' * (len(table.heads) - 1)}}}"
    yield r"\toprule"
    yield " & ".join(escaped(head) for head in table.heads) + r" \\"
    yield r"\midrule"
    for row in table.rows:
        yield " & ".join(map(_cell, row)) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _cell(cell: Cell) -> str:
    return escaped(cell.text) + (rf" {{\scriptsize {escaped(cell.spread)}}}" if cell.spread else "")


def escaped(text: str) -> str:
    """A text that LaTeX prints as it is; control characters are left out, line ends become spaces."""
    plain = "".join(char for char in " ".join(text.split()) if unicodedata.category(char)[0] != "C")
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], plain)


def _comment(text: str) -> str:
    return " ".join(text.split())
