"""docs/extend/rule.md: its code runs, its recipe is read, its table of limits is that of the code."""

import dataclasses
import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from lpo_tts import recipe
from lpo_tts.rules.selection import Limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extend" / "rule.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def my_rules(monkeypatch):
    module = types.ModuleType("my_rules")
    monkeypatch.setitem(sys.modules, "my_rules", module)
    for code in blocks("python"):
        exec(code, module.__dict__)
    return module


def test_the_rule_keeps_the_contract_and_a_recipe_can_name_it(my_rules):
    (text,) = blocks("yaml")
    tree = yaml.safe_load((ROOT / "recipes" / "mini" / "mini.yaml").read_text())
    loaded = recipe.structure({**tree, **yaml.safe_load(text)})
    (limited,) = loaded.pair.rules
    assert limited.rule == my_rules.LongestWrong(min_error=0.3)
    assert (limited.min_gap, limited.max_length_ratio) == (0.15, 4.0)


def test_the_limits_are_those_of_the_code():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE, re.MULTILINE))
    defaults = dataclasses.asdict(Limits())
    assert rows == {name: "none" if value in (None, {}) else str(value).lower() for name, value in defaults.items()}
