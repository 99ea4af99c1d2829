"""The code on the pages of docs/extend runs as it stands there, and the recipes' lines name it."""

import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from lpo_tts import testing

PAGES = Path(__file__).parents[1] / "docs" / "extend"
RUN = ("codec", "recogniser", "speaker", "model")
ELSEWHERE = {"metric", "rule", "loss", "corpus"}  # run by tests/metrics, tests/rules, tests/losses and tests/test_extend.py


def blocks(page, kind):
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def own_names(tree):
    """Every `module:Class` in a tree."""
    if isinstance(tree, dict):
        yield from (value for key, value in tree.items() if key == "name" and ":" in str(value))
        yield from (name for value in tree.values() for name in own_names(value))
    elif isinstance(tree, list):
        yield from (name for value in tree for name in own_names(value))


@pytest.mark.parametrize("page", RUN)
def test_every_block_of_code_runs(page, monkeypatch):
    monkeypatch.chdir(PAGES.parents[1])
    place = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", place)  # where dataclasses and pickle look for what the page defines
    found = blocks(page, "python")
    assert len(found) >= 2, "the part itself, and its check"
    assert "check_" in found[-1]
    for block in found:
        exec(compile(block, page, "exec"), place.__dict__)


@pytest.mark.parametrize("page", RUN)
def test_the_recipes_lines_name_what_the_page_defines(page):
    code = "\n".join(blocks(page, "python"))
    names = [name for block in blocks(page, "yaml") for name in own_names(yaml.safe_load(block.replace(": ...", ": x")))]
    assert names
    for name in names:
        assert re.search(rf"^class {name.partition(':')[2]}\b", code, re.MULTILINE), name


def test_every_family_has_a_page_that_the_index_names():
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\((\w+)\.md\)", index))
    assert named == {*RUN, *ELSEWHERE}
    checks = re.findall(r"lpo_tts\.testing\.(check_\w+)", index)
    assert all(callable(getattr(testing, name)) for name in checks)
    assert len(set(checks)) == 7, "every family but the corpora has a check"
