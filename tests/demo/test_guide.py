"""The blocks on docs/listening.md: code runs, settings are taken, options exist, and its tables are what the code says."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demo.listening import schema
from demo.listening.design import Design, read_designs
from demo.listening.intake import take_in
from demo.listening.store import Store
from lpo_tts.recipe import STRUCTURER
from lpo_tts.steps.pair import PairSettings

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "listening.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def tables():
    """Rows of cells, table by table."""
    found = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()] for table in found]


def test_the_code_gives_the_numbers_of_its_table():
    (code,) = blocks("python")
    place = {}
    exec(compile(code, GUIDE.name, "exec"), place)
    (table,) = [table for table in tables() if "power of 80 %" in table[0][1]]
    shown = {(between, int(row[0].split()[0]) / 100): int(row[k]) for row in table[2:] for k, between in ((1, 0.15), (2, 0.25))}
    assert shown == place["needed"]


def test_the_file_of_tests_is_one(tmp_path):
    (tests, _) = blocks("yaml")
    (tmp_path / "tests.yaml").write_text(tests)
    assert [one.name for one in read_designs(tmp_path / "tests.yaml")] == ["words", "voice", "quality", "pairs"]


def test_the_settings_of_a_test_are_all_told_with_their_defaults():
    (table,) = [table for table in tables() if table[0][0] == "setting"]
    named = {name for row in table[2:] for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(Design.__dataclass_fields__) - {"name"}
    for row in table[2:]:
        name = row[0].strip("`")
        if name in ("trials_per_listener", "catch_share", "tie", "reveal", "seed"):
            assert str(getattr(Design("x"), name)).lower() == row[1]


def test_the_rule_is_one_that_a_recipe_takes():
    (_, rule) = blocks("yaml")
    settings = STRUCTURER.structure(yaml.safe_load(rule)["pair"], PairSettings)
    assert type(settings.rules[0].rule).__name__ == "Votes"


def test_the_old_vote_is_taken_in(tmp_path):
    (vote,) = blocks("json")
    (tmp_path / "votes.jsonl").write_text(json.dumps(json.loads(vote)) + "\n")
    with Store(tmp_path / "answers.sqlite") as store:
        assert take_in(tmp_path / "votes.jsonl", store) == 1
        assert store.tests() == {"blind": 1}


def test_what_is_stored_of_a_listener_is_told_table_by_table():
    (table,) = [table for table in tables() if table[0][0] == "table"]
    told = {row[0].strip("`") for row in table[2:]}
    assert told == set(re.findall(r"CREATE TABLE (\w+)", schema.TABLES)) - {"settings", "designs"}, "these two hold nobody"
    assert not re.search(r"address|agent|cookie|mail", schema.TABLES.split("addresses", 1)[0], re.IGNORECASE)


def commands():
    """Every `python -m demo...` on the page and in the Space's."""
    text = TEXT + (ROOT / "demo" / "README.md").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"python -m (demo\.\w+)([^`\n>]*)", text)))


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted({module for module, _ in commands()}))
def test_every_option_that_is_shown_exists(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    shown = {word for name, rest in commands() if name == module for word in shlex.split(rest) if word.startswith("--")}
    assert [one for one in shown if f"{one} " not in done.stdout and f"{one}\n" not in done.stdout] == []


def test_every_page_that_is_linked_is_there():
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", TEXT):
        assert (GUIDE.parent / target).exists(), target
