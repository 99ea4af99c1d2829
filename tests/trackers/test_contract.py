"""The contract of trackers, over every member and over the one that the page shows."""

import re
import types
from pathlib import Path

import pytest

from lpo_tts.testing import check_tracker
from lpo_tts.trackers.names import made

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    check_tracker(made("tensorboard"), tmp_path)


@pytest.mark.slow
def test_wandb(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.teardown()
    check_tracker(made("wandb"), tmp_path)


@pytest.fixture
def lines(monkeypatch):
    """The class of the page."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    place = types.ModuleType("lines_of_the_page")
    monkeypatch.setitem(__import__("sys").modules, "lines_of_the_page", place)
    exec(compile(code, str(PAGE), "exec"), place.__dict__)
    return place.Lines


def test_the_pages_own_tracker(lines, tmp_path):
    check_tracker(lines(), tmp_path)
    assert '"system": "aligned"' in (tmp_path / "figures.jsonl").read_text()


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        ("send", lambda *_: None, "expected words that say where it is, found None"),
        ("training", lambda *_: __import__("contextlib").nullcontext([]), "expected callbacks for a trainer at step 0"),
    ],
)
def test_a_broken_promise_is_named(lines, tmp_path, monkeypatch, method, wrong, message):
    monkeypatch.setattr(lines, method, wrong)
    with pytest.raises(AssertionError, match=message):
        check_tracker(lines(), tmp_path)
