"""The page of many runs: every figure with its interval, names escaped, differences with words."""

from html.parser import HTMLParser

import pytest

from lpo_tts.comparison.across import across
from lpo_tts.comparison.reports import find, read
from lpo_tts.report import across as page_of
from tests.many_runs import BASE, BEST, GOOD, recipe, report, written

VOID = {"meta", "br", "line", "input", "link", "hr", "img"}


class Balanced(HTMLParser):
    """Fails on a tag that closes another one than was opened; keeps the text."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def found(tmp_path):
    systems = {"base": BASE, "aligned": GOOD}
    paths = [
        written(tmp_path / "a", report(systems, recipe=recipe("<dpo>"))),
        written(tmp_path / "b", report({"base": BASE, "aligned": BEST}, recipe=recipe("simpo"))),
        written(tmp_path / "c", report(systems, recipe=recipe("ipo"), prefix="q")),
    ]
    return across([read(find(path)) for path in paths])


def test_the_page_is_whole_and_says_everything(found):
    page = page_of.page(found)
    seen = Balanced()
    seen.feed(page)
    assert not seen.open
    text = " ".join(" ".join(seen.text).split())
    assert "<dpo>" in text
    assert "<dpo>" not in page, "escaped"
    assert "Each system less <dpo>, prompt by prompt" in text
    assert "c: 12 prompts, of which 0 are those of the first block" in text
    assert page.count('class="forest"') == 4, "two metrics in two blocks"
    assert page.count('class="name"') == 2 * 3 + 2 * 2


def test_a_forest_places_points_by_their_value(found):
    block = found.blocks[0]
    drawn = str(page_of.forest(block, block.columns[0]))
    # The axis goes from 0 to 60 %: the base stands at 37.5, the best one at 0.
    axis = [float(part.split("%")[0]) for part in drawn.split('style="left:')[1:]]
    assert (axis[0], axis[-1]) == (0.0, 100.0)
    assert drawn.count('class="point c0"') == 1, "the base is grey"
    assert drawn.count('class="point c1"') == 2
    assert 'class="point c1" vector-effect="non-scaling-stroke" x1="0.00" x2="0.00"' in drawn


def test_what_no_system_has_is_not_drawn(found):
    block = found.blocks[0]
    lacking = [page_of.Row(label=row.label, path=row.path, is_baseline=row.is_baseline) for row in block.rows]
    empty = page_of.Block(
        num_prompts=1, average="corpus", split=None, confidence=0.95, columns=block.columns, rows=tuple(lacking)
    )
    assert page_of.forest(empty, block.columns[0]) == ""
    assert page_of.summary(empty) == []
    assert page_of.page(page_of.Across(blocks=(empty,))).count('class="forest"') == 0


def test_uncorrected_p_values_say_so(found):
    block = found.blocks[0]
    (_, gain), *_ = page_of.gains(block, block.columns[1], "own")
    assert page_of.p_of(gain).endswith("(uncorrected)")


def test_markdown_and_latex_hold_each_block(found):
    text = page_of.markdown(found)
    assert text.count("\n## ") == 2
    assert "| simpo | 0.00 (no interval) |" in text
    tables = page_of.latex(found)
    assert tables.count(r"\begin{tabular}") == 2
    assert r"\textless{}dpo\textgreater{}" in tables
    assert r"\textbf{0.00 (no interval)}" in tables
