"""docs/evaluation.md: its commands run one after the other, its code prints its table, and it names what the code has."""

import importlib
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from lpo_tts.comparison.figures import FIGURES
from lpo_tts.comparison.results import Verdict

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands():
    """Every command of the page."""
    return [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "evaluation").symlink_to(ROOT / "evaluation")
    for command in commands():
        python, option, module, *arguments = shlex.split(command)
        assert (python, option) == ("python", "-m")
        assert importlib.import_module(module).main(arguments) == 0, command
    assert "promised verdicts are right" in capsys.readouterr().err
    assert {"report.html", "report.json"} <= {path.name for path in (tmp_path / "build" / "degraded" / "report").iterdir()}


def test_the_code_of_the_page_prints_its_table(capsys):
    for block in blocks("python"):
        exec(compile(block, "evaluation.md", "exec"), {})
        printed = capsys.readouterr().out
        assert printed
        assert printed in PAGE


def test_every_figure_and_every_verdict_is_explained():
    for name in FIGURES:
        assert f"`{name}`" in PAGE, name
    table = PAGE.partition("| verdict | means |")[2].partition("\n\n")[0]
    for word in get_args(Verdict):
        assert word in table, word
