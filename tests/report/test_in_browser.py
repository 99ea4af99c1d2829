"""The page as a browser shows it: no faults of accessibility, filters and sorting, players, phone, dark mode, print."""

import itertools
import re
from dataclasses import replace

import pytest

from lpo_tts.comparison.candidates import MetricRole
from lpo_tts.comparison.results import PromptRow
from lpo_tts.comparison.summary import summarise
from lpo_tts.report.page import render
from tests.browser import DESKTOP, PHONE
from tests.report.pages import HOSTILE, WER, judged, small_report, write_tone
from tests.report.test_pairs import page as write_pairs

pytestmark = pytest.mark.slow

NUM_PROMPTS = 250
DURATION = """one => new Promise((done) => {
  one.onerror = () => done(one.error.message);
  one.onloadedmetadata = () => done(one.duration);
  if (one.readyState) done(one.duration); else one.load();
})"""  # seconds, or why there are none


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def page_path(folder):
    """A page with every section, 250 prompts and players."""
    write_tone(folder / "samples" / "a.wav", 1.5)
    for k in range(6):
        write_tone(folder / "samples" / f"p{k}#1.wav", 1.0)
    return render(full_report(), folder / "report.html")


def full_report():
    report = small_report()
    prompts = [
        PromptRow(
            prompt_id=f"p{k}",
            text=HOSTILE if k == 7 else f"text number {k} " + "word " * (k % 9),
            num_words=3 + k % 9,
            tags={"voice": "seen" if k % 2 else "held-out"},
            values={
                "base": {"wer": 0.5, "train": 0.5, "sim": 0.7},
                "aligned": {"wer": (k % 5) / 4, "train": 0.25, "sim": None if k == 3 else 0.6},
            },
            missing={"aligned": int(k == 11)},
        )
        for k in range(NUM_PROMPTS)
    ]
    return replace(report, prompts=tuple(prompts), verdict="aligned against base: better.", trained_judges={"train": "ranked"})


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_no_grave_faults_no_overflow_and_a_quiet_console(page_path, look, size, dark):
    seen = look(page_path, size=size, dark=dark)
    assert seen.overflow() == 0
    seen.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert seen.overflow() == 0
    assert seen.faults() == []
    assert seen.said == []
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == dark


def rows(seen):
    return seen.page.eval_on_selector_all("#prompt-table tbody th", "all => all.map(one => one.firstChild.textContent)")


def test_rows_come_in_portions_and_all_can_be_reached(page_path, look):
    seen = look(page_path)
    assert len(rows(seen)) == 100
    assert seen.page.inner_text("#prompt-status") == "250 of 250 prompts, the first 100 are drawn"
    seen.page.click("#prompt-more")
    assert len(rows(seen)) == 200
    seen.page.evaluate("document.getElementById('prompt-scroll').scrollTop = 1e6")
    seen.until("document.querySelectorAll('#prompt-table tbody tr').length === 250")
    assert not seen.page.is_visible("#prompt-more")
    assert HOSTILE in rows(seen)


def test_filters_narrow_and_reset_widens(page_path, look):
    page = look(page_path).page
    expected = {"better": 100, "worse": 100, "equal": 50}  # of 0, 25, 50, 75, 100 % against 50 %
    for word, count in expected.items():
        page.select_option("#filter-change", label=f"aligned {word}")
        assert page.inner_text("#prompt-status").startswith(f"{count} of 250 prompts")
    page.select_option("#filter-change", label="without audio")
    assert page.inner_text("#prompt-status") == "1 of 250 prompts"
    page.click("button[type=reset]")
    page.select_option("#filter-tag", label="voice: seen")
    assert page.inner_text("#prompt-status").startswith("125 of 250")
    page.fill("#filter-text", "number 13")
    assert page.inner_text("#prompt-status") == "6 of 250 prompts"  # 13, 131, 133, 135, 137, 139
    page.select_option("#filter-tag", label="any")
    page.fill("#filter-text", '<SCRIPT>alert("x')
    assert page.inner_text("#prompt-status") == "1 of 250 prompts"


def test_sorting_by_keyboard_says_its_direction(page_path, look):
    page = look(page_path).page
    head = page.locator("#prompt-table thead button", has_text="aligned").first
    head.focus()
    page.keyboard.press("Enter")
    values = "all => all.map(one => one.cells[3].textContent)"
    assert page.get_attribute("#prompt-table thead th:nth-child(4)", "aria-sort") == "descending"
    assert page.eval_on_selector_all("#prompt-table tbody tr", values)[:50] == ["100.00 %"] * 50
    page.keyboard.press("Enter")  # the focus stays on the same heading
    assert page.get_attribute("#prompt-table thead th:nth-child(4)", "aria-sort") == "ascending"
    assert page.eval_on_selector_all("#prompt-table tbody tr", values)[:50] == ["0.00 %"] * 50


def test_what_has_no_value_stands_last_both_ways(page_path, look):
    page = look(page_path).page
    page.select_option("#filter-metric", label="SIM-o")
    for _ in range(2):
        page.locator("#prompt-table thead button", has_text="aligned").first.click()
        page.click("#prompt-more")
        page.click("#prompt-more")
        assert page.inner_text("#prompt-table tbody tr:last-child td:nth-child(4)") == "–"


def test_embedded_players_play_one_at_a_time(page_path, look):
    seen = look(page_path)
    page = seen.page
    found = page.eval_on_selector_all("audio", f"all => Promise.all(all.map({DURATION}))")
    assert len(found) == sum(len(one.sides) for one in full_report().examples.rows)
    assert {round(one, 2) for one in found} == {1.5, 1.0}
    page.evaluate("document.querySelectorAll('audio').forEach(one => { one.muted = true; })")
    playing = "[...document.querySelectorAll('audio')].map(one => !one.paused)"
    for k in (0, 1):
        page.evaluate(f"document.querySelectorAll('audio')[{k}].play()")
        seen.until(f"(() => {{ const all = {playing}; return all[{k}] && all.filter(Boolean).length === 1; }})()")


def test_players_beside_the_page_find_their_files(folder, page_path, look):
    seen = look(render(full_report(), folder / "linked.html", embed=False))
    page = seen.page
    assert round(page.eval_on_selector("audio[src*='%23']", DURATION), 2) == 1.0
    assert seen.said == []


def test_a_script_in_a_text_does_not_run(folder, page_path, look):
    attack = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
    report = full_report()
    prompts = (replace(report.prompts[0], text=attack, prompt_id=attack), *report.prompts[1:])
    seen = look(render(replace(report, prompts=prompts, verdict=attack, title="Safe"), folder / "attack.html"))
    assert seen.page.title() == "Safe"
    assert attack.replace("  ", " ") in rows(seen)
    assert seen.page.evaluate("document.querySelectorAll('img').length") == 0
    other = "Object.assign(document.createElement('script'), {textContent: 'document.title = 1'})"
    seen.page.evaluate(f"document.body.append({other})")
    assert seen.page.title() == "Safe"  # the policy of the page lets no other script run
    assert any("Content Security Policy" in one for one in seen.said)


def test_without_scripts_the_essentials_stand(page_path, look):
    seen = look(page_path, scripts=False)
    assert seen.page.locator("#prompt-table tbody tr").count() == 20
    assert not seen.page.is_visible("#filters")
    assert "20 of 250 prompts, by WER, Judge: those with most to see first" in seen.page.inner_text("#prompt-status")
    assert seen.page.locator("audio").count() > 0


def test_print_opens_what_is_folded_and_hides_players(page_path, look):
    page = look(page_path, dark=True).page
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.is_visible("nav")
    assert not page.is_visible("audio >> nth=0")
    folded = page.locator("details:not([open]) table").first
    assert folded.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0
    assert len(page.pdf(format="A4")) > 10_000


def test_headings_come_in_order(page_path, look):
    levels = look(page_path).page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    assert levels.count(2) >= 8


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_of_the_pairs_has_no_grave_faults(tmp_path, look, size):
    write_pairs(tmp_path)
    seen = look(tmp_path / "pairs.html", size=size)
    assert seen.overflow() == 0
    assert seen.faults() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_long_names_and_many_systems_stay_within_the_page(tmp_path, look, size):
    label = "a_judge_whose_name_has_no_space_at_which_it_could_be_broken_whisper_large_v3_turbo"
    rows = [
        judged(f"system-{k}_{'x' * 6 * k}", f"p{n}", k % 3, text="日本語" * 40 + " b c d") for k in range(8) for n in range(6)
    ]
    roles = [MetricRole(name="wer", role="judge", label=label, **WER)]
    report = replace(summarise(rows, roles, num_resamples=40, num_examples=2), title="T" * 100, prompts=full_report().prompts[:3])
    seen = look(render(report, tmp_path / "report.html"), size=size)
    assert seen.overflow() == 0
    assert seen.faults() == []


def test_a_link_to_an_example_that_is_folded_unfolds_it(tmp_path, look):
    rows = [judged(system, f"p{n}", errors) for system, errors in {"base": 2, "one": 1, "two": 3}.items() for n in range(6)]
    report = summarise(rows, [MetricRole(name="wer", role="judge", label="J", **WER)], "base", num_resamples=1000, num_examples=1)
    seen = look(render(report, tmp_path / "report.html"))
    assert not seen.page.is_visible("#example-2")
    seen.page.evaluate("location.hash = '#example-2'")
    seen.page.wait_for_selector("#example-2", state="visible")
    assert seen.said == []
