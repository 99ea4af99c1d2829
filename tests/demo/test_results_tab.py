"""The tab "Results": what its handlers return, from no answer on, and that nothing a listener typed becomes markup."""

import json
from pathlib import Path

import pytest

from lpo_tts.files import read_rows
from lpo_tts.records import Comparison
from tests.demo.listening.answers import answered, votes

pytest.importorskip("gradio", reason="the page needs Gradio: pip install lpo-tts[demo]")


@pytest.fixture
def handlers(tmp_path):
    from demo.listening.sittings import Sittings
    from demo.listening.store import Store
    from demo.results_tab import Results

    with Store(tmp_path / "answers.sqlite") as store:
        yield Results(Sittings([], store), ("base", "aligned"))


def test_before_the_first_answer(handlers):
    chosen, everybody, page, *buttons = handlers.show(None, False)
    assert chosen["choices"] == []
    assert chosen["visible"] is everybody["visible"] is False
    assert "Nobody has answered anything yet" in page
    assert not any(button["visible"] for button in buttons)


def test_a_test_is_shown_with_its_files(handlers):
    handlers.sittings.store.take_in(votes(6, 12, 0.8, seed=3) + [answered(2, mode="cmos", test="scores")])
    chosen, everybody, page, table, numbers, for_training = handlers.show(None, False)
    assert chosen["choices"] == ["words (ab, words)", "scores (cmos, words)"]
    assert chosen["value"] == "words (ab, words)"
    assert chosen["visible"] is everybody["visible"] is True
    assert "aligned is preferred to base in" in page
    assert page.count("<svg") == 3
    assert Path(table["value"]).read_text().count("\n") == 1 + 6 * 12 + 1
    assert [one["test"] for one in json.loads(Path(numbers["value"]).read_text())["results"]] == ["words", "scores"]
    assert [button["visible"] for button in (table, numbers, for_training)] == [True, True, False]
    assert handlers.show("scores (cmos, words)", False)[0]["value"] == "scores (cmos, words)"
    assert handlers.show("gone", False)[0]["value"] == "words (ab, words)"


def test_votes_on_candidates_can_be_downloaded_with_and_without_flagged_listeners(handlers):
    pair = {"source": "candidates", "test": "pairs"}
    rows = [answered("AB"[k % 2], listener="ann", item=f"p{k}", names=(f"p{k}#0", f"p{k}#1"), **pair) for k in range(4)]
    rows += [answered("A", listener="ben", item=f"p{k}", names=(f"p{k}#0", f"p{k}#1"), **pair) for k in range(9)]
    handlers.sittings.store.take_in(rows)
    assert len(read_rows(Path(handlers.show(None, False)[-1]["value"]), Comparison)) == 4
    assert len(read_rows(Path(handlers.show(None, True)[-1]["value"]), Comparison)) == 13


def test_names_are_escaped_everywhere(handlers):
    name = '<img src=x onerror="alert(1)">'
    careless = [answered("A", listener=name, item=f"p{k}", names=("base", "<script>x</script>")) for k in range(12)]
    handlers.sittings.store.take_in(careless)
    _, _, page, *_ = handlers.show(None, False)
    assert "<img" not in page
    assert "<script" not in page
    assert "&lt;img" in page


def test_old_files_are_cleared_away(handlers):
    handlers.sittings.store.take_in([answered("A")])
    first = Path(handlers.show(None, False)[3]["value"])
    for _ in range(20):
        last = Path(handlers.show(None, False)[3]["value"])
    assert not first.exists()
    assert last.exists()
