"""evaluation/checkpoints.py: two checkpoints of one recipe, spoken and judged."""

import json

from evaluation import checkpoints


def test_two_checkpoints_are_compared_and_the_same_ones_do_not_differ(tiny, tmp_path, capsys):
    model = str(tiny / "model")
    arguments = [str(tiny / "recipe.yaml"), "--model", f"old={model}", "--model", f"new={model}", "--out", str(tmp_path / "out")]
    assert checkpoints.main(arguments) == 0
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert report["systems"] == ["old", "new"]
    assert all(row["difference"]["estimate"] == 0 for row in report["differences"])
    assert "report.html" in capsys.readouterr().out


def test_fewer_than_two_or_a_name_twice_is_refused(tiny, tmp_path, capsys):
    base = [str(tiny / "recipe.yaml"), "--out", str(tmp_path)]
    assert checkpoints.main([*base, "--model", "a=x"]) == 2
    assert "at least two checkpoints" in capsys.readouterr().err
    assert checkpoints.main([*base, "--model", "a=x", "--model", "a=y"]) == 2
    assert "is taken" in capsys.readouterr().err
    assert checkpoints.main([*base, "--model", "x", "--model", "a=y"]) == 2
    assert "expected name=checkpoint" in capsys.readouterr().err
