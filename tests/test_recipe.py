"""Recipes: every one in the repository parses; what is wrong in one is named."""

from pathlib import Path

import pytest

from lpo_tts import cli, recipe
from lpo_tts.config import read_yaml
from lpo_tts.errors import ConfigError
from lpo_tts.steps import check

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted(path for path in (ROOT / "recipes").glob("**/*.yaml") if not {"checkpoints", "accelerate"} & {*path.parts})
MINI = ROOT / "recipes" / "mini" / "mini.yaml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_recipe_of_the_repository_is_valid(path):
    loaded = recipe.load(path)
    assert loaded.systems
    again = recipe.structure({key: value for key, value in recipe.STRUCTURER.unstructure(loaded).items() if key != "variants"})
    assert again.sample == loaded.sample
    assert again.backbone == loaded.backbone


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sample.sampling.tempature=1", "sample.sampling.tempature: unknown key; did you mean temperature?"),
        ("sample.sampling.temperature=-1", "temperature must be at least 0"),
        ("sample.num_candidates=0", "num_candidates must be at least 1, found 0"),
        ("train.loss.name=lpo-est", "did you mean lpo-ste"),
        ("train.learning_rate=fast", "train.learning_rate: expected a number, found 'fast'"),
        ("pair.dev_share=0.9", "dev_share must be at least 0 and at most 0.5"),
        ("engine.workers=-1", "workers must be at least 0"),
        ("engine.worker=1", "engine.worker: unknown key; did you mean workers?"),
        ("engine.name=lokal", "engines: no member named 'lokal'; did you mean local?"),
        ("nothing.at.all=1", "nothing: unknown key"),
        ("evaluate.judges.judge-wer.max_candidates=3", "a WER judge hears every candidate"),
        ("variants={base: {}}", "cannot be a system's name"),
    ],
)
def test_a_wrong_key_is_named(override, message):
    with pytest.raises(ConfigError) as error:
        recipe.load(MINI, [override])
    assert message in str(error.value)


def test_variants_are_changes_to_pair_and_train():
    loaded = recipe.load(MINI, ["variants={dpo: {train: {loss: {name: dpo}, learning_rate: 1e-4}}, same: {}}"])
    assert loaded.systems["dpo"].train.loss.beta == 0.1
    assert loaded.systems["dpo"].train.learning_rate == 1e-4
    assert loaded.systems["dpo"].train.batch_size == loaded.train.batch_size
    assert loaded.systems["same"].train == loaded.train
    assert loaded.folder("dpo") == loaded.out / "variants" / "dpo"
    assert recipe.load(MINI).folder("aligned") == loaded.out
    with pytest.raises(ConfigError, match="is the recipe's own system"):
        recipe.load(MINI, ["variants={aligned: {train: {epochs: 2}}}"])


def test_a_judge_that_ranks_the_pairs_is_refused():
    ears = "{name: mini, model: recipes/mini/checkpoints/asr-train}"
    spec = f"{{label: x, role: judge, metric: {{name: wer, recogniser: {ears}}}}}"
    loaded = recipe.load(MINI, [f"evaluate.judges={{j: {spec}}}"])
    with pytest.raises(ConfigError, match=r"j took part in the training \(ranked .*wer\) and cannot judge the result"):
        check.check_judges(loaded)


def test_the_command_line_says_what_is_wrong_in_one_line(capsys):
    assert cli.main(["check", str(MINI), "sample.num_candidates=none"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("lpo-tts: ")
    assert "sample.num_candidates: expected a whole number, found 'none'" in message
    assert cli.main(["run", "no-such-recipe.yaml"]) == 2
    assert "cannot read the recipe no-such-recipe.yaml" in capsys.readouterr().err


def test_every_family_is_listed(capsys):
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    for family in ("backbones", "codecs", "asr", "speaker", "metrics", "losses"):
        assert f"{family}: " in shown
    assert cli.main(["list", "losses"]) == 0
    assert "lpo-ste" in capsys.readouterr().out
    assert cli.main(["list", "fruits"]) == 2


@pytest.mark.parametrize(("name", "value"), [("revision", "abc"), ("adapter", "my-lora")])
def test_rounds_start_from_a_model_that_a_folder_holds_whole(name, value):
    path = ROOT / "recipes" / "llasa-1b.yaml"
    assert getattr(recipe.load(path, [f"backbone.{name}={value}"]).backbone, name) == value
    with pytest.raises(ConfigError, match=rf"rounds: expected 1 where backbone.{name} is set \('{value}'\), found 2"):
        recipe.load(path, [f"backbone.{name}={value}", "rounds=2"])


@pytest.mark.parametrize("within", [False, True], ids=["codec", "decoder of a codec"])
def test_a_recipe_of_somebody_else_starts_no_program(within):
    codec = {"name": "process", "command": ["somebody's", "program"]}
    tree = read_yaml(MINI) | {"codec": {"name": "s3", "decoder": codec} if within else codec}
    assert recipe.structure(tree)
    with pytest.raises(ConfigError, match="codecs: 'process' would start a program"):
        recipe.structure(tree, trusted=False)
