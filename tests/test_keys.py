"""The keys of a recipe: the page in docs/ against the code, a meaning and a range for each key, and `lpo-tts keys`."""

from pathlib import Path

import pytest

from lpo_tts import keys
from lpo_tts.cli import main
from lpo_tts.errors import ConfigError
from lpo_tts.recipe import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "recipe.md"
SETTINGS = {name or "recipe": settings for name, settings in keys.sections().items()} | {
    f"{registry.family}/{name}": settings for registry in FAMILIES.values() for name, settings in keys.members(registry)
}


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == keys.page(), "write it again: python -m lpo_tts.keys > docs/recipe.md"


@pytest.mark.parametrize("where", SETTINGS)
def test_every_key_has_a_meaning_and_every_number_a_range(where):
    listed = list(keys.keys_of(SETTINGS[where]))
    assert [key.name for key in listed if not key.meaning] == []
    assert [key.name for key in listed if ("integer" in key.type or "number" in key.type) and not key.bounds] == []
    assert [
        key.meaning
        for key in listed
        if key.meaning.lower().startswith("see `") or not key.meaning.rstrip().endswith((".", "..."))
    ] == []


def test_a_section_is_listed_with_the_keys_inside_it(capsys):
    assert main(["keys", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("max_answer_tokens: integer or null, at least 1, default null")
    assert lines[at + 1].startswith("    Longest answer")
    assert "loss: a member of losses, default {name: lpo-ste}" in lines
    assert "lora.rank: integer, at least 1, default 16" in lines
    assert "segments: mapping of names to lists of integers, at least 0, default {}" in lines


def test_a_member_is_listed_with_what_it_inherits(capsys):
    assert main(["keys", "losses/simpo"]) == 0
    assert "beta: number, above 0, default" in capsys.readouterr().out
    inherited = {key.name: key for key in keys.keys_of(SETTINGS["losses/tdpo2"])}
    assert inherited["beta"].bounds == "above 0"
    assert keys.listing("losses/sft") == ["losses/sft has no keys."]


def test_without_a_section_the_keys_outside_of_sections_are_listed(capsys):
    assert main(["keys"]) == 0
    out = capsys.readouterr().out
    assert "out: path, required" in out
    assert "backbone: a member of backbones, required" in out
    assert "num_candidates" not in out


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("trian", "no section named 'trian'; did you mean train?"),
        ("nowhere", r"no section named 'nowhere' \(there are: about, prompts, sample"),
        ("loses/simpo", "no family named 'loses'; did you mean losses?"),
        ("losses/simpoo", "losses: no member named 'simpoo'; did you mean simpo"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(section, message, capsys):
    with pytest.raises(ConfigError, match=message):
        keys.listing(section)
    assert main(["keys", section]) == 2
    assert "no " in capsys.readouterr().err
