"""The command line of the comparison of checkpoints: what a user can mend ends with one line."""

import pytest

from evaluation import checkpoints
from lpo_tts.config import override
from lpo_tts.errors import ConfigError


@pytest.mark.parametrize("folder", ["2024", "a: b", "1e3", "größe 😀", 'say "a"', "null"])
def test_the_folder_is_taken_as_text_whatever_it_looks_like(monkeypatch, capsys, folder):
    seen = []

    def load(path, overrides):
        seen.append(override({}, overrides[-1])["out"])
        raise ConfigError("enough")

    monkeypatch.setattr(checkpoints.recipes, "load", load)
    assert checkpoints.main(["recipe.yaml", "--model", "a=x", "--model", "b=y", "--out", folder]) == 2
    assert seen == [folder]
    assert capsys.readouterr().err == "checkpoints: enough\n"


def test_a_judge_that_ranked_the_pairs_is_no_judge_of_checkpoints_either(monkeypatch, capsys):
    def refuse(recipe):
        raise ConfigError("it also ranks the pairs")

    monkeypatch.setattr(checkpoints.check, "check_judges", refuse)
    with pytest.raises(ConfigError, match="also ranks the pairs"):
        checkpoints.compare_checkpoints(object(), {"a": "x", "b": "y"})


def test_an_interrupted_comparison_says_so_in_one_line(monkeypatch, capsys):
    def stop(path, overrides):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.recipes, "load", stop)
    assert checkpoints.main(["recipe.yaml", "--out", "x"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1
