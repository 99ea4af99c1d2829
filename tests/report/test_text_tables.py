"""Tables of text: aligned, divided where they are too wide, escaped for Markdown and LaTeX."""

from lpo_tts.report.text_tables import latex_table, markdown_table, terminal_table

TABLE = [["System", "word error rate", "similarity"], ["base", "17.8", "0.61"], ["dpo_2", "9.4", "0.62"]]


def test_columns_are_aligned_below_their_heads():
    assert list(terminal_table(TABLE, 80)) == [
        "System  word error rate  similarity",
        "------  ---------------  ----------",
        "base    17.8             0.61",
        "dpo_2   9.4              0.62",
    ]


def test_what_is_too_wide_goes_on_below_with_the_names_repeated():
    lines = list(terminal_table(TABLE, 30))
    assert lines[0] == "System  word error rate"
    assert lines[4:6] == ["", "System  similarity"]
    assert lines[-1] == "dpo_2   0.62"
    assert max(map(len, lines)) <= 30


def test_long_heads_are_broken_and_stand_on_their_last_line():
    lines = list(terminal_table([["", "a held-out recogniser of words (%)"], ["x", "1"]], 80))
    assert [line.strip() for line in lines[:2]] == ["a held-out recogniser of", "words (%)"]


def test_markdown_keeps_bars_inside_cells():
    assert markdown_table([["a|b", "c"], ["1", "2"]]) == "| a\\|b | c |\n| --- | ---: |\n| 1 | 2 |"


def test_latex_is_escaped_and_bold_where_asked():
    lines = latex_table(TABLE, {(2, 1)}).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert r"  dpo\_2 & \textbf{9.4} & 0.62 \\" in lines
