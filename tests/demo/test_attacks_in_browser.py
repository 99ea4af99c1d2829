"""A hostile run, and the login, as a browser sees them: no script of the run runs, and nothing is fetched from elsewhere."""

import json
import shutil
import warnings
from urllib.parse import urlsplit

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("gradio", reason="the demo needs Gradio: pip install lpo-tts[demo]")
pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")

from demo.login import Login, hashed
from tests.browser import DESKTOP, PHONE, browser, look  # noqa: F401
from tests.demo.whole import served

pytestmark = pytest.mark.slow
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
PASSWORD = "correct horse battery"
FRAMES = "[...document.querySelectorAll('iframe')].map((one) => { try { return one.contentWindow.pwned } catch { return 0 } })"


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A run whose texts, speakers and systems' captions are pieces of HTML."""
    whole = tmp_path_factory.mktemp("evil") / "whole"
    shutil.copytree(tiny_run.parent, whole)
    folder = whole / tiny_run.name
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    for row in rows:
        row["text"] = f"{EVIL} {row['text']}"
        row["voice"]["speaker"] = f"{EVIL}{row['voice']['speaker']}"
        row["voice"]["tags"] = {"mood": EVIL}
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path,) = folder.glob("recipe.*.json")
    tree = json.loads(path.read_text())
    tree["about"]["caption"] = EVIL
    path.write_text(json.dumps(tree))
    return folder


def test_no_script_of_a_run_runs_on_any_tab_or_in_the_test(run, tmp_path, look):  # noqa: F811
    with served(run, tmp_path / "answers.sqlite") as (address, _):
        seen = look(address)
        page = seen.page
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        seen.until("document.querySelectorAll('[role=tab]').length >= 4", 60)
        names = page.eval_on_selector_all("[role=tab]", "all => all.map((one) => one.innerText.trim())")
        for name in ("Speak", "Listen", "Results", "Explore"):
            assert name in names
            page.get_by_role("tab", name=name, exact=True).first.click()
            page.wait_for_timeout(1500)
            assert page.evaluate("window.pwned") is None, name
            assert not any(page.evaluate(FRAMES)), name
        assert {urlsplit(url).netloc for url in asked if url.startswith("http")} <= {urlsplit(address).netloc}
        assert [line for line in seen.said if "Content Security Policy" in line or "Refused to" in line] == []

        test = look(f"{address}listen/?name={EVIL}")
        test.until("document.querySelector('form') !== null", 30)
        assert EVIL in test.page.input_value("#name")
        test.page.fill("#name", "ann")
        test.page.click("[type=submit]")
        test.until("document.querySelector('main.trial') !== null", 30)
        assert EVIL in test.page.inner_text("main.trial")
        assert test.page.evaluate("window.pwned") is None


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (PHONE, True)])
def test_the_login_page_lets_in_who_knows_the_password(run, tmp_path, look, size, dark):  # noqa: F811
    with served(run, tmp_path / "answers.sqlite", Login({"ann": hashed(PASSWORD)})) as (address, app):
        seen = look(address, size=size, dark=dark)
        page = seen.page
        assert page.url == f"{address}login"
        assert seen.faults() == []
        assert seen.overflow() == 0
        page.screenshot(path=tmp_path / "login.png")
        page.keyboard.type("ann")  # the first field has the focus
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        assert seen.faults() == []
        page.fill("#user", "ann")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=tab]", timeout=60_000)
        assert page.url == address

        guest = look(f"{address}listen/?test=words&invitation={app.state.rules.invitation}")
        guest.until("document.querySelector('form') !== null", 30)
        guest.page.click("[type=submit]")
        guest.until("document.querySelector('main.trial') !== null", 30)
        back = guest.page.get_attribute("#link", "href")
        assert guest.page.goto(address).url == f"{address}login"
        elsewhere = look(back)
        elsewhere.until("document.querySelector('form') !== null", 30)
        assert "You listen as" in elsewhere.page.inner_text("main")
        page.click("text=Log out")
        page.wait_for_selector("#password")
        assert page.goto(address).url == f"{address}login"
        stranger = look(f"{address}listen/")
        assert "by invitation" in stranger.page.inner_text("main")
