"""The table of verbs: every module in it offers the same two functions."""

import inspect
from pathlib import Path

import pytest

from lpo_tts import cli, recipe
from lpo_tts.steps import STEPS, VERBS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_says_what_it_makes_and_does_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # the mini recipe names its checkpoints from there
    verb = VERBS[name].load()
    assert list(inspect.signature(verb.plans).parameters) == ["run"]
    given = inspect.signature(verb.execute).parameters
    assert list(given) == ["run", *VERBS[name].options]
    lacking = [option for option in VERBS[name].options if given[option].default is inspect.Parameter.empty]
    assert len(lacking) == len(VERBS[name].needs)
    run = recipe.load("recipes/mini/mini.yaml", [f"out={tmp_path / 'out'}"]).run()
    plans = verb.plans(run)
    assert bool(plans) == VERBS[name].makes
    assert {plan.verb for plan in plans} <= {name, "targets"}
    assert len({plan.path for plan in plans}) == len(plans)
    assert not (tmp_path / "out").exists()


def test_steps_are_sections_of_a_recipe_and_verbs_of_the_command():
    assert set(STEPS) <= set(recipe.Recipe.__dataclass_fields__)
    for name in VERBS:
        needed = [word for flag in VERBS[name].needs for word in (flag, "x")]
        options = cli.parser().parse_args([name, "RECIPE", "train.epochs=2", *needed])
        assert (options.verb, options.overrides) == (name, ["train.epochs=2"])
        assert all(hasattr(options, one) for one in VERBS[name].options)
