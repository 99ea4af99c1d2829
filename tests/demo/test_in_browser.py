"""The demo in a real browser: Speak from start to end, Explore, faults of accessibility, and a phone."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo.serving import bound
from tests.browser import EVERY, PHONE, browser, look, microphone

__all__ = ["browser", "look", "microphone"]
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

ANSWERED = "document.querySelectorAll('#speak-answer .tiles').length > 0 && !document.querySelector('#speak-status progress')"
HEARD = "#speak-answer .heard"
NAME = "demo.test"  # by which the server can be asked too, as by another machine; no browser takes it for its own


@pytest.fixture(scope="module")
def address(tiny_run):
    """A demo of its own on a copy of the small run, beside it, as the recordings are relative to it."""
    run = tiny_run.with_name("browsed")
    shutil.copytree(tiny_run, run)
    (run / "report").mkdir()
    (run / "report" / "report.html").write_text("<title>report</title><h1>The report</h1>")
    rows = ('{"step": 1, "loss": 2.0, "log_ratios/chosen": 0.1}', '{"step": 2, "loss": 1.0, "log_ratios/chosen": 0.2}')
    (run / "run" / "metrics.jsonl").write_text("\n".join(rows))
    with bound("127.0.0.1", None) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "demo.app", "--run", str(run), "--port", str(port), "--address", f"http://{NAME}:{port}"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, "the server ended"
                time.sleep(0.1)
        try:
            yield url
        finally:
            server.kill()


@pytest.fixture
def opened(address, look):
    """A function that opens the demo, ready for a listener; arguments as of `look`."""

    def go(**options):
        return ready(look(address, **options))

    return go


def ready(seen):
    seen.until("document.querySelector('#speak-button') !== null", 120)
    seen.page.wait_for_timeout(1500)  # the button stands there before Gradio listens to it
    return seen


def speak(seen, seed=3):  # with this one both models, which are random, say something
    seen.page.get_by_label("Seed", exact=True).fill(str(seed))
    seen.page.keyboard.press("Tab")
    seen.page.click("#speak-button")
    seen.until(ANSWERED, 120)
    return seen


def tab(seen, name):
    seen.page.get_by_role("tab", name=name, exact=True).click()


def test_a_sentence_is_spoken_by_both_models_and_can_be_heard(opened):
    seen = opened()
    page = seen.page
    page.fill("#speak-text textarea", "gate one")
    speak(seen)
    assert page.locator("#speak-answer .system").count() == 2
    assert page.locator("#speak-answer svg.sound").count() == 2
    assert "2 candidates: spoken in" in page.inner_text("#speak-status")
    assert all("Heard" in one for one in page.locator(HEARD).all_inner_texts())
    assert "of 2 words" in page.locator("#speak-answer .tiles").first.inner_text()

    play = page.locator("#speak-answer .play").first
    assert play.get_attribute("aria-label") == "Play base, seed 3"
    page.evaluate(
        "() => { const own = Audio.prototype.play;"
        " Audio.prototype.play = function () { window.sound = this; return own.call(this); }; }"
    )
    play.click()
    seen.until("window.sound && window.sound.ended", 20)
    seen.until("document.querySelector('#speak-answer .clip').classList.contains('started')")
    assert play.get_attribute("aria-label") == "Play base, seed 3"

    with page.expect_download() as saved:
        page.locator("#speak-answer .save").nth(1).click()
    assert saved.value.suggested_filename == "aligned-seed3.wav"
    assert Path(saved.value.path()).read_bytes()[:4] == b"RIFF"
    assert seen.said == []


def test_the_keyboard_alone_speaks_plays_and_searches(opened):
    seen = opened()
    page = seen.page
    page.get_by_label("Seed", exact=True).fill("3")
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)  # Gradio may still be telling its server of the seed
    page.focus("#speak-text textarea")
    page.keyboard.press("Enter")
    seen.until(ANSWERED, 120)
    page.focus("#speak-answer .clip input")
    page.keyboard.press("End")
    seen.until("document.querySelector('#speak-answer .now').textContent !== '0.00'")
    page.keyboard.press("Home")
    seen.until("document.querySelector('#speak-answer .now').textContent === '0.00'")
    page.focus("#speak-answer .play")
    page.keyboard.press("Space")
    seen.until("document.querySelector('#speak-answer .now').textContent !== '0.00'")


def test_several_candidates_are_ranked_and_the_seed_is_kept(opened):
    seen = opened()
    page = seen.page
    page.get_by_label("number input for Candidates").fill("3")
    page.keyboard.press("Tab")
    speak(seen)
    assert page.locator("#speak-answer .take").count() == 6
    assert page.locator("#speak-answer .badge").count() == 2
    first = page.inner_text("#speak-answer .sides")
    speak(seen)
    assert page.inner_text("#speak-answer .sides") == first
    page.get_by_role("button", name="New seed").click()
    page.wait_for_timeout(1000)
    assert page.get_by_label("Seed", exact=True).input_value() != "3"


def test_what_is_wrong_is_said_and_markup_stays_text(opened):
    seen = opened()
    page = seen.page
    speak(seen)
    page.fill("#speak-text textarea", "<img src=x onerror=window.bad=1>")
    page.click("#speak-button")
    seen.until("document.querySelector('#speak-status [role=alert]') !== null", 30)
    assert "is not in the vocabulary" in page.inner_text("#speak-status")
    assert "<img" in page.inner_text("#speak-status")
    assert page.evaluate("window.bad === undefined")
    assert page.locator("#speak-answer .system").count() == 2  # the last answer stays


def test_a_recording_can_be_uploaded_as_a_voice(opened, tmp_path):
    import torch

    from lpo_tts import audio

    audio.write(tmp_path / "mine.wav", 0.1 * torch.sin(torch.arange(24000) * 0.1), 24000)
    seen = opened()
    page = seen.page
    page.get_by_role("button", name=re.compile("Another voice")).click()
    page.set_input_files("input[type=file]", str(tmp_path / "mine.wav"))
    page.wait_for_selector("text=mine.wav", timeout=20_000, state="attached")
    seen.page.wait_for_timeout(500)
    speak(seen)
    assert page.locator("#speak-answer .system").count() == 2


def recorder(seen):
    """Unfolds the recorder of the page and chooses the microphone."""
    seen.page.get_by_role("button", name=re.compile("Another voice")).click()
    seen.page.get_by_label("Record audio").click()
    return seen.page.locator("#recording .record-button")


def test_a_voice_can_be_recorded(address, microphone, tmp_path):
    import torch

    from lpo_tts import audio

    audio.write(tmp_path / "said.wav", 0.3 * torch.sin(torch.arange(48000) * 0.05), 48000)
    seen = ready(microphone(address, tmp_path / "said.wav"))
    page = seen.page
    recorder(seen).click()
    page.wait_for_timeout(1500)
    assert seen.faults(EVERY) == []
    page.locator("#recording .stop-button").click()
    page.get_by_label("Download", exact=True).wait_for()
    assert seen.faults(EVERY) == []
    speak(seen)
    assert "Voice: your recording." in page.inner_text("#speak-status")
    assert page.locator("#speak-answer .system").count() == 2
    assert page.locator("#microphone-trouble").is_hidden()
    with page.expect_download() as saved:
        page.get_by_label("Download", exact=True).click()
    wave, rate = audio.read(saved.value.path())
    assert 1 < wave.numel() / rate < 15
    assert wave.abs().max() > 0.05  # what the microphone heard, and no silence
    assert seen.said == []


def test_what_keeps_the_microphone_shut_is_said(address, microphone):
    refused = ready(microphone(address))
    recorder(refused).click()
    refused.page.get_by_text("The browser does not let this page use the microphone.").wait_for()
    port = address.rstrip("/").rsplit(":", 1)[1]
    elsewhere = ready(microphone(f"http://{NAME}:{port}/", None, f"--host-resolver-rules=MAP {NAME} 127.0.0.1"))
    assert elsewhere.page.evaluate("isSecureContext") is False
    recorder(elsewhere)
    elsewhere.page.get_by_text("pages of https and of its own machine alone").wait_for()


def test_pairs_training_and_report_are_there_to_explore(opened):
    seen = opened()
    page = seen.page
    tab(seen, "Explore")
    seen.until("document.querySelectorAll('#pair-shown .clip').length === 3", 30)
    first = page.inner_text("#pair-shown .which")
    assert "Pair 1 of" in first
    assert "Why this pair" in page.inner_text("#pair-shown")
    page.get_by_role("button", name="Next pair").click()
    seen.until("document.querySelector('#pair-shown .which').textContent.startsWith('Pair 2')", 30)
    page.locator("#pairs-table [role=gridcell]").first.click()
    seen.until("document.querySelector('#pair-shown .which').textContent.startsWith('Pair 1')", 30)
    assert seen.faults(EVERY) == []
    tab(seen, "Training")
    seen.until("document.querySelectorAll('.plots svg').length >= 2", 30)
    assert seen.faults(EVERY) == []
    tab(seen, "Report")
    seen.until("document.querySelector('iframe.report') !== null", 30)
    frame = page.frame_locator("iframe.report")
    assert frame.locator("h1").inner_text() == "The report"
    inside = next(one for one in page.frames if "run-files" in one.url)
    assert inside.evaluate("origin") == "null"  # a sandbox: it can neither read this page nor act for a listener


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_nothing_hinders_a_reader_and_nothing_overflows(opened, dark, size):
    seen = speak(opened(size=size, dark=dark))
    assert seen.page.evaluate("document.body.classList.contains('dark')") == dark
    seen.page.locator("#speak-answer summary").first.click()
    assert seen.faults(EVERY) == []
    assert seen.overflow() <= 0
    wide = (
        "(all) => all.filter((one) => one.getBoundingClientRect().right > one.closest('.system').getBoundingClientRect().right)"
    )
    wide += ".map((one) => one.outerHTML)"
    assert seen.page.eval_on_selector_all("#speak-answer .deck *, #speak-answer .tiles *", wide) == []
    tab(seen, "Listen")
    seen.page.get_by_role("button", name="Invite listeners").click()
    seen.page.get_by_text("/listen/?test=words").first.wait_for()
    assert seen.faults(EVERY) == []
    assert seen.overflow() <= 0
    tab(seen, "Results")
    seen.page.get_by_text("Nobody has answered anything yet.").wait_for()
    assert seen.faults(EVERY) == []
    tab(seen, "Explore")
    seen.until("document.querySelectorAll('#pair-shown .clip').length === 3", 30)
    assert seen.faults(EVERY) == []
    assert seen.overflow() <= 0
    assert seen.said == []
