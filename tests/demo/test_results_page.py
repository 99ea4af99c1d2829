"""docs/listening-results.md: its recipe is one, its commands have these options, and its table is what the command prints."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from lpo_tts.recipe import STRUCTURER
from lpo_tts.steps.pair import PairSettings

PAGE = (Path(__file__).parents[2] / "docs" / "listening-results.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_recipe_is_one():
    (block,) = blocks("yaml")
    settings = STRUCTURER.structure(yaml.safe_load(block)["pair"], PairSettings)
    assert (settings.rules[0].rule.min_votes, settings.rules[0].pairs_per_prompt) == (2, 2)


def test_the_commands_have_these_options(tmp_path, capsys):
    from demo import results

    found = [shlex.split(block) for block in blocks("bash")]
    assert len(found) == 2
    for program, *arguments in found:
        assert program == "python"
        assert arguments[:2] == ["-m", "demo.results"]
        assert results.main([str(tmp_path / "none.sqlite"), *arguments[3:]]) == 2
        assert "no such file" in capsys.readouterr().err


def test_every_flag_is_explained():
    from demo.listening import checks

    for flag in (checks.ONE_SIDE, checks.ONE_RATING, checks.TOO_FAST, checks.FAILED, checks.HIDDEN):
        assert f"| {flag} |" in PAGE


@pytest.mark.slow
def test_the_table_is_what_the_command_prints(capsys):
    from demo import plan

    assert plan.main([]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head in PAGE
    assert len(rows) == 5
    for row in rows:
        printed = next(line for line in PAGE.splitlines() if line.startswith(row[:7]))
        numbers = ([float(cell) for cell in re.findall(r"\d+", line)] for line in (printed, row))
        # Other versions of numpy may draw other numbers.
        assert next(numbers) == pytest.approx(next(numbers), rel=0.15, abs=4)
