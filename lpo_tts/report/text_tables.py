"""Tables of text for a terminal, Markdown and LaTeX; a table is a list of rows, the head first."""

from collections.abc import Collection, Iterator, Sequence

from lpo_tts.report.latex import escaped

Table = Sequence[Sequence[str]]
GAP = "  "
HEAD_WIDTH = 24  # a longer head is broken into lines


def terminal_table(table: Table, width: int) -> Iterator[str]:
    """Aligned columns; where they do not fit into the width the table goes on below, its first column repeated."""
    wrapped = [_wrapped(cell, HEAD_WIDTH) for cell in table[0]]
    height = max(map(len, wrapped))
    padded = [[""] * (height - len(lines)) + lines for lines in wrapped]  # heads stand on their last line
    heads = [[lines[k] for lines in padded] for k in range(height)]
    rows = [*heads, *map(list, table[1:])]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for number, columns in enumerate(_fitting(widths, width)):
        if number:
            yield ""
        for place, row in enumerate(rows):
            yield GAP.join(f"{row[k]:<{widths[k]}}" for k in columns).rstrip()
            if place == height - 1:
                yield GAP.join("-" * widths[k] for k in columns)


def _wrapped(text: str, width: int) -> list[str]:
    """A text broken at spaces into lines of about that width; a longer word stays whole."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _fitting(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Columns by tables that fit; each begins with the first column and has at least one more."""
    taken: list[int] = []
    for k in range(1, len(widths)):
        needed = sum(widths[c] + len(GAP) for c in (0, *taken)) + widths[k]
        if taken and needed > width:
            yield [0, *taken]
            taken = []
        taken.append(k)
    yield [0, *taken]


def markdown_table(table: Table) -> str:
    """As GitHub shows it; numbers are aligned to the right."""
    lines = [[_cell(cell) for cell in row] for row in table]
    lines.insert(1, ["---", *["---:"] * (len(table[0]) - 1)])
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def latex_table(table: Table, bold: Collection[tuple[int, int]] = ()) -> str:
    """A `tabular` for booktabs; `bold` holds (row, column), the head being row 0."""
    lines = []
    for r, row in enumerate(table):
        cells = [escaped(cell) for cell in row]
        cells = [f"\\textbf{{{cell}}}" if (r, c) in bold else cell for c, cell in enumerate(cells)]
        lines.append("  " + " & ".join(cells) + r" \\")
    columns = "l" + "r" * (len(table[0]) - 1)
    parts = [f"\\begin{{tabular}}{{{columns}}}", "  \\toprule", lines[0], "  \\midrule", *lines[1:], "  \\bottomrule"]
    return "\n".join([*parts, "\\end{tabular}"])
