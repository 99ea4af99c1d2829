"""What a model cannot give is said before the first step works, not after hours of sampling or training."""

import sys
from pathlib import Path

import pytest
import yaml

from lpo_tts import cli

sys.path.insert(0, str(Path(__file__).parents[1]))
import multistream as ms

pytestmark = pytest.mark.slow  # each makes a run folder


def refused(path, out, capsys, *overrides):
    """Runs the recipe, which must be refused with nothing sampled; the words of the refusal."""
    assert cli.main(["run", str(path), f"out={out}", "--quiet", *overrides]) == 2
    assert not (out / "candidates").exists()
    assert not (out / "prompts.jsonl").exists()
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize("setting", ["merge_ends", "restrict_logps"])
@pytest.mark.parametrize("loss", ["{name: tdpo1}", "{name: wpo, inner: {name: dpo}}"])
def test_losses_over_whole_distributions_need_the_whole_vocabulary(tiny, tmp_path, capsys, setting, loss):
    overrides = [f"backbone.{setting}=true", f"train.loss={loss}"]
    told = refused(tiny / "recipe.yaml", tmp_path / "out", capsys, *overrides)
    assert "train.loss: " in told
    assert "takes distributions from the LM head's inputs" in told
    assert "merge_ends or restrict_logps" in told


def test_the_variant_whose_loss_does_not_fit_is_named(tiny, tmp_path, capsys):
    overrides = ["backbone.merge_ends=true", "variants={plain: {train: {loss: dpo}}, whole: {train: {loss: {name: tdpo1}}}}"]
    assert "variants.whole.train.loss: TDPO1 takes" in refused(tiny / "recipe.yaml", tmp_path / "out", capsys, *overrides)


@pytest.mark.parametrize("step", ["sample", "synthesize"])
def test_a_model_of_several_streams_has_no_shortest_answer(tiny, tmp_path, capsys, step):
    settings = {"model": str(tmp_path / "depth"), "template": ms.TEMPLATE, "voice_frames": 8}
    lm = ms.backbone("depth", tmp_path / "depth", **settings).load()
    ms.write(lm.module, tmp_path / "depth")
    recipe = yaml.safe_load((tiny / "recipe.yaml").read_text())
    recipe |= {"backbone": {"name": "depth", **settings}, "codec": ms.codec(tmp_path / "codec")}
    recipe["train"].pop("attention")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    told = refused(tmp_path / "recipe.yaml", tmp_path / "out", capsys, f"{step}.sampling.min_tokens=4")
    assert f"{step}.sampling: min_tokens: expected 0 for a model of " in told
    told = refused(tmp_path / "recipe.yaml", tmp_path / "out", capsys, f"{step}.sampling={{name: vllm}}")
    assert f"{step}.sampling: {tmp_path / 'depth'}: vLLM decodes causal models of one stream" in told


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (sys.executable, "expected vLLM in the environment of"),
        ("/no/such/python", "no such file"),
        ("/bin/true", "expected the interpreter of a Python environment, found '/bin/true', which is none"),
        ("/tmp", "LPO_TTS_VLLM_PYTHON: "),
    ],
)
def test_vllm_that_is_not_there_is_missed_before_training(tiny, tmp_path, capsys, monkeypatch, python, words):
    monkeypatch.setenv("LPO_TTS_VLLM_PYTHON", python)
    told = refused(tiny / "recipe.yaml", tmp_path / "out", capsys, "synthesize.sampling={name: vllm}")
    assert "synthesize.sampling: " in told
    assert words in told.lower() or words in told
