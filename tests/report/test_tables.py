"""Markdown and LaTeX: the numbers worked out by hand, and texts that break neither."""

from dataclasses import replace

import pytest

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.summary import summarise
from lpo_tts.report import latex, markdown
from lpo_tts.report.page import write_beside
from lpo_tts.report.tables import NUM_METRICS, Cell, short_names, systems, tables
from tests.report.pages import ROLES, SIMILARITY, WER, judged, small_report


@pytest.fixture
def report():
    return small_report()


def test_markdown_holds_the_tables_worked_out_by_hand(report):
    # base: 2 of 4 words deleted in most of 12 candidates; aligned: 1 of 4. SIM-o: 0.7 and 0.6.
    lines = markdown.markdown(replace(report, verdict="It is better.")).splitlines()
    assert lines[:4] == ["# Mini report", "", "**It is better.**", ""]
    assert "| System | WER A | SIM-o | WER B† | missing | length ratio |" in lines
    assert "| base | 50.00 % [43.75, 60.42] | 0.700 [0.675, 0.742] | 50.00 % [43.75, 60.42] | 0 of 12 | – |" in lines
    assert "| aligned | 25.00 % [14.58, 33.33] | 0.600 [0.558, 0.633] | 25.00 % [14.58, 33.33] | 0 of 12 | – |" in lines
    assert "| deletions per word | 50.00 % [43.75, 60.42] | 25.00 % [14.58, 33.33] |" in lines
    assert "| insertions per word | 0.00 % | 0.00 % |" in lines, "no interval of what is the same for all prompts"
    assert "| Judge | part in the training | recordings |" in lines
    assert "| WER, Judge | – | 1.23 % |" in lines
    assert "| WER, Trained | ranked the pairs | – |" in lines
    (difference,) = [line for line in lines if line.startswith("| aligned, WER A |")]
    assert difference.startswith("| aligned, WER A | 50.00 % | 25.00 % | −25.00 points [−37.50, −16.67] | ")
    (worse,) = [line for line in lines if line.startswith("| aligned, SIM-o |")]
    assert worse.startswith("| aligned, SIM-o | 0.700 | 0.600 | −0.100 [−0.150, −0.067] | ")
    # Of 6 prompts that all change the same way, 2 of 2^6 sign patterns are as extreme: p = 1 / 32.
    assert " | 0.031 | " in difference
    notes = "WER A: WER, Judge (held out); WER B†: WER, Trained (chose the pairs); "
    assert any(line.startswith(notes) for line in lines)
    assert "Versions: torch 2.13." in lines


def test_latex_holds_the_same_in_booktabs(report):
    text = latex.latex(report)
    assert r"base & 50.00 \% {\scriptsize [43.75, 60.42]} & 0.700 {\scriptsize [0.675, 0.742]} &" in text
    assert r"System & WER A & SIM-o & WER B$^\dagger$ & missing & length ratio \\" in text
    assert r"aligned, WER A & 50.00 \% & 25.00 \% & $-$25.00 points {\scriptsize [$-$37.50, $-$16.67]} &" in text
    for table in text.split(r"\begin{table}")[1:]:
        assert table.count(r"\toprule") == table.count(r"\midrule") == table.count(r"\bottomrule") == 1
        columns = table.partition(r"\begin{tabular}{")[2].partition("}")[0]
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {line.replace(r"\&", "").count(" & ") + 1 for line in rows} == {len(columns)}
    assert r"6 prompts $\times$ 2 seeds" in text


def test_texts_are_escaped_for_latex():
    assert latex.escaped('50% of_a & b #1 {x} $y$ ~ ^ \\ <>|"') == (
        r"50\% of\_a \& b \#1 \{x\} \$y\$ \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{}\textgreater{}"
        r"\textbar{}\textquotedbl{}"
    )
    assert latex.escaped("−1 – 2 × 3\n→ \x00é") == r"$-$1 -- 2 $\times$ 3 $\to$ é"


def test_texts_are_escaped_for_markdown():
    assert markdown.escaped("a|b *c* _d_ `e` [f](g) <h> #1\nnext \\") == (r"a\|b \*c\* \_d\_ \`e\` \[f\](g) \<h\> \#1 next \\")


def test_hostile_names_break_no_row(tmp_path):
    bad = "a|b\n& \\end{tabular} %"
    rows = [judged(system, f"p{k}", 1) for system in (bad, "b") for k in range(6)]
    report = summarise(rows, [MetricRole(name="wer", role="judge", label=bad, **WER)], bad, num_resamples=40)
    report = replace(report, title=f"{bad}\n\\input{{x}}", verdict=bad, note=bad)
    lines = latex.latex(report).splitlines()
    assert all(line.startswith("%") for line in lines if r"\input" in line)
    text = "\n".join(line for line in lines if not line.startswith("%"))
    assert text.count(r"\end{tabular}") == text.count(r"\begin{tabular}") == text.count(r"\toprule")
    for block in markdown.markdown(report).split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace(r"\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_judges_of_one_measure_are_told_apart_and_many_go_into_further_tables():
    names = short_names(ROLES)
    assert names == {"wer": "WER A", "sim": "SIM-o", "train": "WER B†"}
    roles = [MetricRole(name=f"m{k}", role="judge", label=f"M{k}", **SIMILARITY) for k in range(NUM_METRICS + 1)]
    assert short_names(roles)["m4"] == "SIM-o E"
    rows = []
    for k in range(6):
        one = judged("only", f"p{k}", 1)
        one.judgements.update({role.name: one.judgements["sim"] for role in roles})
        rows.append(one)
    found = list(systems(summarise(rows, roles, num_resamples=40)))
    assert [table.name for table in found] == ["systems", "systems-2"]
    assert [len(table.heads) for table in found] == [NUM_METRICS + 3, 2]


def test_one_system_of_few_prompts_has_no_differences_and_no_brackets():
    report = summarise([judged("only", "p", 1)], ROLES[:1], num_resamples=40)
    found = {table.name: table for table in tables(report)}
    assert "differences" not in found
    assert found["systems"].rows[0][1] == Cell("25.00 %")
    assert "[" not in markdown.markdown(report).replace("\\[", "")


def test_all_three_stand_beside_the_json(report, tmp_path):
    paths = write_beside(report, tmp_path / "report")
    assert [path.name for path in paths] == ["report.html", "report.md", "report.tex"]
    assert all(path.read_text(encoding="utf-8").strip() for path in paths)
