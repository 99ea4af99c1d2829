"""The table of many runs for a terminal, as Markdown, LaTeX and JSON, and as a page with a forest plot per figure."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lpo_tts.comparison.blocks import Across, Block, Column, Gain, Row, plain
from lpo_tts.comparison.wording import (
    ROLE_NAMES,
    by_margin,
    caution,
    counted,
    decisive_p,
    difference_parts,
    has_interval,
    interval_parts,
    main_metric,
)
from lpo_tts.files import write_atomic, write_json
from lpo_tts.report.facts import p_text
from lpo_tts.report.forest import forest
from lpo_tts.report.latex import escaped
from lpo_tts.report.layout import SIGNS
from lpo_tts.report.templates import environment, style
from lpo_tts.report.text_tables import latex_table, markdown_table, terminal_table
from lpo_tts.statistics import Interval

FILES = ("html", "md", "tex", "json")
GAIN_HEAD = ("System", "Figure", "Value", "Difference", "Interval", "p", "Verdict")
OWN, PAIRED = "own", "paired"  # the two kinds of differences, as rows name them


def write(across: Across, folder: Path, name: str = "compare") -> list[Path]:
    """Writes <name>.html, .md, .tex and .json into a folder and returns their paths."""
    paths = [folder / f"{name}.{ending}" for ending in FILES]
    write_atomic(paths[0], page(across).encode())
    write_atomic(paths[1], markdown(across).encode())
    write_atomic(paths[2], latex(across).encode())
    write_json(paths[3], plain(across))
    return paths


def terminal(across: Across, width: int) -> Iterator[str]:
    """Lines for a terminal of so many columns."""
    for number, block in enumerate(across.blocks):
        yield from [""] if number else []
        yield about(block)
        yield ""
        yield from terminal_table(values_table(block), width)
        for kind in (OWN, PAIRED):
            rows = gains_table(block, kind)
            if len(rows) > 1:
                yield ""
                yield f"{gains_title(block, kind)}:"
                yield from terminal_table(rows, width)
        yield from ["", *summary(block)]
        yield from (f"Note: {note}" for note in block.notes)
    yield from (f"Note: {note}" for note in across.notes)
    yield from across.skipped


def markdown(across: Across) -> str:
    """As Markdown, with tables as GitHub shows them."""
    parts = [f"# {across.title or 'Comparison of runs'}"]
    for block in across.blocks:
        parts += [f"## {about(block)}", *summary(block), markdown_table(values_table(block))]
        for kind in (OWN, PAIRED):
            rows = gains_table(block, kind)
            if len(rows) > 1:
                parts += [f"### {gains_title(block, kind)}", markdown_table(rows)]
        parts += ["\n".join(f"- {note}" for note in block.notes)] if block.notes else []
    parts += ["\n".join(f"- {line}" for line in (*across.notes, *across.skipped))]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(across: Across) -> str:
    """One `table` per block, for the package booktabs; better than the own base in bold."""
    parts = ["% needs \\usepackage{booktabs}"]
    for number, block in enumerate(across.blocks, 1):
        bold = {
            (r, c)
            for r, row in enumerate(block.rows, 1)
            for c, column in enumerate(block.columns, 1)
            if column.key in row.own and verdict_of(row.own[column.key]) == "better"
        }
        body = latex_table(values_table(block), bold)
        told = " ".join([f"{about(block)}.", *block.notes])
        caption = f"\\caption{{{escaped(told)} In bold: better than the base of the same run.}}"
        label = f"\\label{{tab:compare-{number}}}"
        parts.append("\n".join(["\\begin{table}", "\\centering\\small", body, caption, label, "\\end{table}"]))
    return "\n\n".join(parts) + "\n"


def page(across: Across) -> str:
    """As one self-contained HTML page."""
    names: dict[str, Callable | Mapping | Sequence] = {
        "about": about,
        "caution": _caution,
        "difference_parts": difference_parts,
        "forest": forest,
        "gains": gains,
        "gains_title": gains_title,
        "heading": heading,
        "interval_parts": interval_parts,
        "kinds": (OWN, PAIRED),
        "p_of": p_of,
        "verdict_of": verdict_of,
        "ranks": ranks,
        "SIGNS": SIGNS,
        "summary": summary,
        "ROLE_NAMES": ROLE_NAMES,
    }
    title = across.title or "Comparison of runs"
    return environment(**names).get_template("across.html.jinja").render(across=across, title=title, style=style())


def about(block: Block) -> str:
    """What a block is made of: "120 prompts of the split test; ratios over the corpus; 95 % intervals"."""
    split = f" of the split {block.split}" if block.split else ""
    ratios = [column for column in block.columns if column.metric.is_ratio]
    ways = "; ratios over the corpus" if block.average.startswith("corpus") else "; ratios as means over utterances"
    ways += ", missing left out" if "evaluated" in block.average else ""
    ways = ways if ratios else ""
    return f"{counted(block.num_prompts, 'prompt')}{split}{ways}; {100 * block.confidence:g} % intervals"


def heading(column: Column) -> str:
    """Of a column: judge, part in the training, figure with its unit."""
    role = ROLE_NAMES[column.metric.role]
    unit = f" ({column.scale.unit})" if column.scale.unit else ""
    return f"{column.label}{f' ({role})' if role else ''}: {column.figure_label}{unit}"


def values_table(block: Block) -> list[list[str]]:
    """Rows of text, the head first: systems by figures with their intervals."""
    table = [["System", *map(heading, block.columns)]]
    for row, rank in zip(block.rows, ranks(block), strict=True):
        cells = [_value(row.values[one.key], one) if one.key in row.values else "" for one in block.columns]
        table.append([rank + row.label.text + (f" ({row.label.detail})" if row.also else ""), *cells])
    return table


def ranks(block: Block) -> list[str]:
    """Places of rows that are sorted, such as "1. "; empty where they are not, or a row has nothing to be sorted by."""
    if block.sorted_by is None:
        return [""] * len(block.rows)
    key = block.sorted_by
    return [f"{number}. " if row.values.get(key) is not None else "" for number, row in enumerate(block.rows, 1)]


def _value(value: Interval | None, column: Column) -> str:
    if value is None:
        return "–"
    low_high = interval_parts(value, column.scale)[1]
    return f"{column.scale.number(value.estimate)} {low_high if has_interval(value) else f'({low_high})'}"


def gains(block: Block, column: Column, kind: str) -> list[tuple[Row, Gain]]:
    """The rows of a column that have a difference of this kind."""
    found = [(row, getattr(row, kind).get(column.key)) for row in block.rows]
    return [(row, one) for row, one in found if one is not None]


def gains_title(block: Block, kind: str) -> str:
    """What the differences of a kind start from."""
    if kind == OWN:
        return "Each system less the base of its own run"
    return f"Each system less {block.against}, prompt by prompt"


def gains_table(block: Block, kind: str) -> list[list[str]]:
    """Rows of text, the head first: a line for each figure and system; figures without a difference are left out."""
    table: list[list[str]] = [list(GAIN_HEAD)]
    for column in block.columns:
        for row, one in gains(block, column, kind):
            estimate, ends = difference_parts(one.difference, column.scale)
            value = row.values.get(column.key)
            shown = "–" if value is None else column.scale.text(value.estimate)
            name = f"{column.label}: {column.figure_label}"
            table.append([row.label.text, name, shown, estimate, ends, p_of(one), verdict_of(one)])
    return table


def p_of(gain: Gain) -> str:
    """The p-value that the verdict rests on; one of TOST says so, and one without Holm's correction."""
    p = None if gain.test is None else decisive_p(gain.test)
    if gain.test is None or p is None:
        return "–"
    if by_margin(gain.test):
        return f"{p_text(p)} (TOST)"
    return p_text(p) if gain.test.holm_p is not None else f"{p_text(p)} (uncorrected)"


def verdict_of(gain: Gain) -> str:
    """What the difference shows, in a word or two."""
    return "–" if gain.test is None else gain.test.verdict


def summary(block: Block) -> list[str]:
    """What the figure that the headline speaks of shows, in a sentence or two that can be quoted."""
    metric = main_metric([column.metric for column in block.columns if column.main])
    column = next((one for one in block.columns if one.main and metric is not None and one.metric.name == metric.name), None)
    if column is None:
        return []
    values = [(row, row.values.get(column.key)) for row in block.rows]
    ranked = [(row, value) for row, value in values if value is not None]
    if not ranked:
        return []
    sign = -1 if column.scale.higher_is_better else 1
    best, value = min(ranked, key=lambda one: sign * one[1].estimate)
    estimate, ends = interval_parts(value, column.scale)
    lines = [f"Best in {column.figure_label} by {column.label}: {best.label.text}, {estimate} {ends}.{_caution(value)}"]
    for kind in (OWN, PAIRED):
        told: dict[str, list[str]] = {}
        for row, one in gains(block, column, kind):
            told.setdefault(verdict_of(one), []).append(row.label.text)
        told.pop("–", None)
        against = "the base of its run" if kind == OWN else str(block.against)
        if told:
            parts = [f"{verdict}: {', '.join(names)}" for verdict, names in told.items()]
            lines.append(f"Against {against}: {'; '.join(parts)}.")
    return lines


def _caution(value: Interval) -> str:
    found = caution(value)
    return f" {found}" if found else ""


def terminal_width() -> int:
    """Columns to print into; a pipe or file gets as many as the table needs."""
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 100_000
