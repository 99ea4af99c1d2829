"""The recipes to start from: what each says of its model, and the tables of docs/models.md."""

import re
from pathlib import Path

import pytest

from lpo_tts import codecs, recipe, starters
from lpo_tts.errors import ConfigError
from lpo_tts.members import describe
from lpo_tts.steps import STEPS, check

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""


@pytest.mark.parametrize("name", starters.names())
def test_every_recipe_says_what_people_want_to_know(name):
    about = recipe.load(starters.find(name)).about
    for key in ("caption", "licence", "sample_rate", "tokens_per_second", "gpu_sampling", "gpu_training", "verified"):
        assert getattr(about, key), f"{name}: about.{key}"
    codec = starters.read(name).codec
    rate = describe(codecs.REGISTRY, codec).about.get("sample_rate") if codec in codecs.REGISTRY else None
    assert rate is None or codec == "process" or about.sample_rate == rate, f"{name}: that of its codec"


@pytest.mark.parametrize("name", starters.names())
def test_the_settings_of_every_recipe_go_together(name):
    assert check.problems(recipe.load(starters.find(name)).run(), STEPS, ()) == []


def test_the_table_is_what_the_recipes_say():
    assert starters.with_table(TEXT) == TEXT, "write it again: python -m lpo_tts.starters docs/models.md"


def test_the_table_is_written_into_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# A\n{starters.BEGIN}\nold\n{starters.END}\nrest\n")
    starters.main([str(page)])
    assert page.read_text() == f"# A\n{starters.BEGIN}\n{starters.table()}\n{starters.END}\nrest\n"
    with pytest.raises(ConfigError, match="found no such pair"):
        starters.with_table(f"{starters.END}{starters.BEGIN}")


def test_the_memory_on_the_page_is_computed_by_its_formulas():
    rows = re.findall(r"^\| ([^|]+) \| `[^|]+` \| [^|]+ \| ([\d.]+) \| ([\d.]+) GB \| ([\d.]+) GB \|$", TEXT, re.MULTILINE)
    assert len(rows) == 2
    for name, billions, sampling, training in rows:
        size = float(billions)
        for found, factor in ((sampling, 2), (training, 16)):
            assert float(found) == pytest.approx(factor * size, abs=0.051), (name, found, factor)


def test_without_recipes_it_says_where_they_were_sought(tmp_path, monkeypatch):
    monkeypatch.setattr(starters, "INSTALLED", tmp_path / "a")
    monkeypatch.setattr(starters, "CHECKOUT", tmp_path / "b")
    with pytest.raises(ConfigError, match=r"no recipes in .*install lpo-tts again"):
        starters.names()
