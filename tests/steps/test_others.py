"""Several models' candidates of one prompt: they stand together, keep the own ones as they were, and are judged and paired."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lpo_tts import artefacts, cli, recipe
from lpo_tts.errors import ConfigError, ContractError
from lpo_tts.records import PreferencePair, Score
from lpo_tts.sampling.base import candidate_seed
from lpo_tts.steps import blocks
from lpo_tts.steps.candidates import iterate_candidates, read_parts
from lpo_tts.steps.others import check_same_tokens
from lpo_tts.steps.scores import groups

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def second(tiny, tmp_path_factory):
    """Another model of the tiny one's make: the same tokenizer, other weights."""
    folder = tmp_path_factory.mktemp("second") / "model"
    model = AutoModelForCausalLM.from_pretrained(tiny / "model")
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny / "model").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory):
    """Candidates of the recipe's own model alone."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert cli.main(["run", str(tiny / "recipe.yaml"), f"out={out}", "--until", "sample", "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def both(tiny, second, tmp_path_factory):
    """A run up to its pairs, with a second model that draws three candidates: (arguments, folder)."""
    out = tmp_path_factory.mktemp("both") / "out"
    arguments = [str(tiny / "recipe.yaml"), f"out={out}", f"sample.others={{sft: {{model: {second}, num_candidates: 3}}}}"]
    assert cli.main(["run", *arguments, "--until", "pair", "--quiet"]) == 0
    return arguments, out


def test_a_prompts_candidates_of_both_models_stand_together(both):
    _, out = both
    found = list(groups(iterate_candidates(out / "candidates")))
    assert len(found) == 12
    for group in found:
        prompt = group[0].prompt_id
        ids = [f"{prompt}#{k}" for k in range(4)] + [f"{prompt}#sft.{k}" for k in range(3)]
        assert [row.id for row in group] == ids
        assert [row.model for row in group] == [""] * 4 + ["sft"] * 3
        assert [row.own_distribution for row in group] == [True] * 4 + [False] * 3
        assert [row.seed for row in group] == [candidate_seed(0, one) for one in ids]
    rows = [row for group in found for row in group]
    assert len({row.seed for row in rows}) == len(rows)


def test_the_own_candidates_are_those_without_the_other_model(alone, both):
    before, after = list(read_parts(alone / "candidates")), list(read_parts(both[1] / "candidates"))
    own = [one for one in after if not one.row.model]
    assert [one.row for one in own] == [one.row for one in before]
    assert all(torch.equal(one.tokens, other.tokens) for one, other in zip(own, before, strict=True))
    assert "others" not in artefacts.read_json(alone / "candidates.meta.json")["settings"]


def test_the_other_candidates_are_what_the_other_model_says(both, tiny, second, tmp_path):
    """As a recipe whose own model it is would sample them, but for their ids and with them their seeds."""
    _, out = both
    loaded = recipe.load(tiny / "recipe.yaml", [f"backbone.model={second}"])
    sampler = loaded.sample.sampling.load(loaded.backbone)
    theirs = [one for one in read_parts(out / "candidates") if one.row.model][:3]
    requests = [blocks.SampleRequest(one.row.prompt_id, one.prompt, (one.row.seed,)) for one in theirs]
    for one, answer in zip(theirs, sampler.sample(requests), strict=True):
        assert torch.equal(one.tokens, answer.tokens)


def test_scores_and_pairs_take_both(both):
    _, out = both
    ids = {row.id for row in iterate_candidates(out / "candidates")}
    assert {row.candidate_id for row in artefacts.read_rows(out / "scores-wer.jsonl", Score)} == ids
    pairs = artefacts.read_rows(out / "pairs.jsonl", PreferencePair)
    mixed = [pair for pair in pairs if ("#sft." in pair.chosen) != ("#sft." in pair.rejected)]
    assert mixed


@pytest.mark.slow
def test_training_takes_the_other_models_tokens_as_they_are(both, tmp_path):
    arguments, out = both
    shutil.copytree(out, tmp_path / "out")
    again = [arguments[0], f"out={tmp_path / 'out'}", arguments[2], "train.epochs=1"]
    assert cli.main(["run", *again, "--until", "train", "--quiet"]) == 0
    assert (tmp_path / "out" / "run" / "final" / "model.safetensors").exists()


def test_other_models_changed_on_resume_are_refused_and_named(both, tiny, capsys):
    (path, out, _), _ = both
    assert cli.main(["sample", path, out, f"sample.others={{sft: {{model: {tiny / 'model'}, num_candidates: 3}}}}"]) == 2
    assert "settings.others.sft.model: 'sha256:" in capsys.readouterr().err
    assert cli.main(["sample", path, out]) == 2
    assert "settings.others: {'sft': {'model'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("calls", [2, 9])  # six parts of each model: the first dies among those of the other one
def test_interrupted_and_resumed_is_uninterrupted(both, tmp_path, monkeypatch, calls):
    (path, _, others), out = both
    arguments = [path, f"out={tmp_path / 'out'}", others, "--until", "sample", "--quiet"]
    left, real = [calls], blocks.write_part

    def dies(*what):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*what)

    monkeypatch.setattr(blocks, "write_part", dies)
    with pytest.raises(KeyboardInterrupt):
        recipe_run(arguments)
    monkeypatch.setattr(blocks, "write_part", real)
    done = len(list((tmp_path / "out").glob("**/part-*.safetensors")))
    assert done == calls
    assert cli.main(["run", *arguments]) == 0
    for name in ("candidates", "others/sft"):
        assert artefacts.content_hash(tmp_path / "out" / name) == artefacts.content_hash(out / name)


def recipe_run(arguments):
    from lpo_tts import pipeline

    pipeline.run(recipe.load(arguments[0], arguments[1:3]), until="sample")


@pytest.mark.slow
def test_killed_while_either_model_samples_it_ends_as_if_never_killed(both, tmp_path):
    (path, _, others), out = both
    again = tmp_path / "killed"
    command = [sys.executable, "-m", "lpo_tts.cli", "run", path, f"out={again}", others, "engine.workers=2", "--until", "sample"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OMP_NUM_THREADS": "1"}
    for mark in ("others/sft/part-00001.jsonl", "candidates/part-00001.jsonl"):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 300
        while not (again / mark).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert (again / mark).exists()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert artefacts.content_hash(again / "candidates") == artefacts.content_hash(out / "candidates")


def test_a_finished_run_needs_the_other_models_folder_no_more(both, tmp_path):
    arguments, out = both
    shutil.copytree(out, tmp_path / "out")
    artefacts.remove(tmp_path / "out" / "others" / "sft")
    assert cli.main(["sample", arguments[0], f"out={tmp_path / 'out'}", arguments[2], "--quiet"]) == 0
    assert not (tmp_path / "out" / "others" / "sft").exists()


@pytest.fixture(scope="module")
def shuffled(second, tmp_path_factory):
    """The second model, whose tokenizer has two words changed over."""
    folder = tmp_path_factory.mktemp("shuffled") / "model"
    shutil.copytree(second, folder)
    text = (folder / "tokenizer.json").read_text()
    text = text.replace('"one": 1', '"one": 99999').replace('"two": 2', '"two": 1').replace('"one": 99999', '"one": 2')
    (folder / "tokenizer.json").write_text(text)
    return folder


@pytest.mark.slow
def test_a_model_of_other_tokens_is_refused_before_anything_is_sampled(tiny, shuffled, tmp_path, capsys):
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"sample.others={{odd: {{model: {shuffled}}}}}"]
    assert cli.main(["run", *arguments, "--quiet"]) == 2
    told = capsys.readouterr().err
    assert "sample.others.odd: expected the" in told
    assert "name a model that was trained from the same base" in told
    assert not (tmp_path / "out" / "prompts.jsonl").exists()


@pytest.mark.slow
def test_check_says_that_the_other_model_fits(tiny, second, tmp_path, capsys):
    arguments = [str(tiny / "recipe.yaml"), f"out={tmp_path / 'out'}", f"sample.others={{sft: {{model: {second}}}}}"]
    assert cli.main(["check", *arguments]) == 0
    assert f"sample.others.sft: {second}, the tokens of the backbone" in capsys.readouterr().out
    assert cli.main(["check", *arguments[:2], "sample.others={sft: {model: /no/such/model}}"]) == 2
    assert "sample.others.sft: no such folder: '/no/such/model'" in capsys.readouterr().err


def test_other_codes_and_ends_are_told_apart(tiny):
    own = recipe.load(tiny / "recipe.yaml").backbone.token_map()
    fewer = recipe.load(tiny / "recipe.yaml", ["backbone.slots=[{first: '<|code_0|>', size: 512}]"]).backbone.token_map()
    check_same_tokens(own, own, "sft")
    with pytest.raises(ContractError, match=r"sample.others.sft: expected the codes and ends of the recipe's own model"):
        check_same_tokens(own, fewer, "sft")


def test_wrong_settings_of_other_models_are_named(tiny):
    path = tiny / "recipe.yaml"
    with pytest.raises(ConfigError, match="others: expected a name of letters, digits"):
        recipe.load(path, ["sample.others={'a.b': {model: x}}"])
    with pytest.raises(ConfigError, match=r"sample.others.sft.num_candidates: .*num_candidates must be at least 1|at least 1"):
        recipe.load(path, ["sample.others={sft: {model: x, num_candidates: 0}}"])
    depth = "{name: depth, model: x, template: '{text}{voice}'}"
    with pytest.raises(ConfigError, match=r"sample.others.sft.adapter: the backbone DepthBackbone takes no adapter, found 'a'"):
        recipe.load(path, [f"backbone={depth}", "sample.others={sft: {model: x, adapter: a}}"])
