"""The page of many runs as a browser shows it: no faults of accessibility, nothing wider than a phone, plots in their place."""

import pytest

from lpo_tts.comparison.across import across
from lpo_tts.comparison.reports import find, read
from lpo_tts.report.across import write
from tests.browser import DESKTOP, PHONE, browser, look  # noqa: F401
from tests.many_runs import BASE, BEST, GOOD, recipe, report, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """Two blocks, a second judge, and a name that fits no phone."""
    folder = tmp_path_factory.mktemp("runs")
    systems = {"base": BASE, "aligned": GOOD}
    paths = [
        written(folder / "a", report(systems, recipe=recipe("dpo", beta=0.1))),
        written(folder / "b", report({"base": BASE, "aligned": BEST}, recipe=recipe("a_loss_of_ones_own:" + "Long" * 20))),
        written(folder / "c", report(systems, recipe=recipe("ipo"), judge="B")),
        written(folder / "d", report(systems, recipe=recipe("kto"), prefix="q")),
    ]
    return write(across([read(find(path)) for path in paths], sort="judge-wer"), folder / "out")[0]


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_no_grave_faults_no_overflow_and_a_quiet_console(page_path, look, size, dark):  # noqa: F811
    seen = look(page_path, size=size, dark=dark, scripts=True)
    assert seen.overflow() == 0
    assert seen.faults() == []
    assert seen.said == []


def test_plots_share_their_axis_and_stand_below_names_on_a_phone(page_path, look):  # noqa: F811
    boxes = """all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.top, box.width, box.bottom])"""
    for size in (DESKTOP, PHONE):
        seen = look(page_path, size=size)
        drawn = seen.page.eval_on_selector_all(".forest:first-of-type .drawn", boxes)
        names = seen.page.eval_on_selector_all(".forest:first-of-type .name", boxes)
        assert len({round(box[0]) for box in drawn[:3]}) == 1, "one left edge"
        assert len({round(box[2]) for box in drawn[:3]}) == 1, "one width"
        below = drawn[0][1] >= names[0][3] - 1
        assert below == (size == PHONE)
        assert min(box[2] for box in drawn) > 150
