"""The results in a real browser: the page by itself, and the tab within Gradio, with its choice, refresh and downloads."""

import json
import threading
from contextlib import contextmanager

import pytest

from lpo_tts.files import read_rows
from lpo_tts.records import Comparison
from tests.browser import DESKTOP, EVERY, PHONE, browser, look
from tests.demo.listening.answers import answered, votes

__all__ = ["browser", "look"]
pytestmark = pytest.mark.slow


def many():
    """A/B of two and of three systems, a careless listener, and MUSHRA."""
    sides = {"names": ("aligned", "reference", "reference", "base"), "damages": ("", "", "lowpass-3500", ""), "mode": "mushra"}
    rated = [
        answered({"A": 60 + 2 * n + k, "B": 96, "C": 20 + k, "D": 45 + n}, reference="reference", test="rated", listener=f"m{n}",
                 item=f"p{k}", **sides)
        for n in range(6) for k in range(6)
    ]  # fmt: skip
    careless = [answered("A", listener="zoe with a name that is quite long", item=f"p{k}") for k in range(12)]
    three = votes(8, 20, 0.7, systems=("base", "lpo", "dpo"), test="three")
    pairs = [
        answered("AB"[k % 2], listener=name, names=(f"p{k}#0", f"p{k}#1"), source="candidates", item=f"p{k}", test="pairs")
        for name in ("ann", "ben") for k in range(6)
    ]  # fmt: skip
    return [*votes(16, 20, 0.8), *careless, *three, *rated, *pairs]


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_fits_and_is_accessible(look, tmp_path, size):
    from demo.listening.results import results_of
    from demo.results_view import page_html

    (tmp_path / "page.html").write_text(page_html(results_of(many())), encoding="utf-8")
    seen = look(tmp_path / "page.html", size=size)
    for details in seen.page.query_selector_all("details"):
        details.evaluate("one => one.open = true")
    assert seen.faults(EVERY) == []
    assert seen.overflow() == 0
    assert seen.said == []


@contextmanager
def served(store):
    """The tab on a page of its own, on a free port."""
    gr = pytest.importorskip("gradio", reason="the page needs Gradio: pip install lpo-tts[demo]")
    import uvicorn
    from fastapi import FastAPI

    from demo.listening.sittings import Sittings
    from demo.results_tab import build
    from demo.serving import bound

    with gr.Blocks(analytics_enabled=False) as blocks:
        build(Sittings([], store), blocks, ("base", "aligned"))
    app = gr.mount_gradio_app(FastAPI(), blocks, path="/", ssr_mode=False)
    sock = bound("127.0.0.1", None)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()


def download(page, name, path):
    with page.expect_download() as waited:
        page.get_by_text(name).click()
    waited.value.save_as(path)
    return path


def test_the_tab_shows_refreshes_and_gives_files(look, tmp_path):
    pytest.importorskip("pyloudnorm", reason="loudness needs pyloudnorm: pip install lpo-tts[demo]")
    from demo.listening.store import Store

    with Store(tmp_path / "answers.sqlite") as store, served(store) as address:
        page = look(address).page
        page.get_by_text("Nobody has answered anything yet.").wait_for()
        store.take_in(many())
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("STOP (decided): aligned is preferred").first.wait_for()
        assert page.get_by_text("1 flagged and left out").count() == 1
        assert "zoe" in download(page, "Answers (CSV)", tmp_path / "answers.csv").read_text(encoding="utf-8")
        numbers = json.loads(download(page, "Results (JSON)", tmp_path / "results.json").read_text(encoding="utf-8"))
        assert [one["test"] for one in numbers["results"]] == ["words", "three", "rated", "pairs"]
        page.get_by_label("Test").click()
        page.get_by_role("option", name="pairs (ab, words)").click()
        page.get_by_text("12 votes on 6 pairs of candidates").wait_for()
        rows = read_rows(download(page, "Votes for", tmp_path / "votes.jsonl"), Comparison)
        assert {row.judge for row in rows} == {"ann", "ben"}
