"""Which judges took part in the training: by their models, whatever the settings around them."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lpo_tts import recipe
from lpo_tts.asr.faster_whisper import FasterWhisperRecogniser
from lpo_tts.asr.mini import MiniRecogniser
from lpo_tts.asr.pocketsphinx import PocketsphinxRecogniser
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.comparers.metric import MetricComparer
from lpo_tts.errors import ConfigError
from lpo_tts.metrics.dnsmos import DNSMOS
from lpo_tts.metrics.duration import Duration
from lpo_tts.metrics.ending import Ending
from lpo_tts.metrics.http import HttpMetric
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.speaker.ecapa import ECAPAEncoder
from lpo_tts.steps import check
from lpo_tts.steps.score import ScoreSettings
from lpo_tts.steps.trained_judges import judges_of_training, models_of, same

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "recipes" / "mini" / "mini.yaml"
CHECKPOINTS = ROOT / "recipes" / "mini" / "checkpoints"
EARS = "{name: mini, model: recipes/mini/checkpoints/asr-train%s}"


def shared(one, other):
    return any(same(a, b) for a in models_of(one) for b in models_of(other))


def wer(recogniser, **settings):
    return WordErrorRate(recogniser, **settings)


def whisper(model, **settings):
    return wer(WhisperRecogniser(model, **settings))


@dataclass(frozen=True)
class Own:
    """A user's recogniser, known by a setting of its own."""

    salt: str = ""
    batch_size: int = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (wer(Own("a"), normaliser="basic", batch_size=3), wer(Own("a", batch_size=9), normaliser="whisper-en", times=True)),
        (wer(MiniRecogniser("x")), Ending(MiniRecogniser("x", batch_size=3))),
        (whisper("openai/whisper-base.en"), whisper("openai/whisper-base.en", revision="abc", num_beams=5)),
        (whisper("openai/whisper-base.en"), wer(FasterWhisperRecogniser("Systran/faster-whisper-base.en"))),
        (wer(PocketsphinxRecogniser()), wer(PocketsphinxRecogniser(padding=0.2))),
        (SpeakerSimilarity(ECAPAEncoder("x")), SpeakerSimilarity(ECAPAEncoder("x", max_duration=1.0), to="codec_copy")),
        (DNSMOS(), DNSMOS(num_threads=4)),
        (Duration(), Duration(normaliser="whisper-en")),
        (wer(Own("a")), MetricComparer(metric=wer(Own("a")), min_gap=0.1)),
        (
            HttpMetric(url="http://localhost:1/", higher_is_better=True),
            HttpMetric(url="http://localhost:1/", higher_is_better=True, retries=9),
        ),
    ],
)
def test_the_same_model_is_known_under_other_settings(one, other):
    assert shared(one, other)
    assert shared(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (wer(Own("a")), wer(Own("b"))),
        (whisper("openai/whisper-base.en"), whisper("openai/whisper-small.en")),
        (whisper("one/model"), whisper("other/model")),  # a name that tells nothing
        (wer(MiniRecogniser("x")), wer(PocketsphinxRecogniser())),
        (SpeakerSimilarity(ECAPAEncoder("x")), wer(Own("x"))),
        (DNSMOS(), Duration()),
    ],
)
def test_other_models_are_told_apart(one, other):
    assert not shared(one, other)


def test_a_copy_of_the_weights_elsewhere_is_the_same_model(tmp_path):
    shutil.copytree(CHECKPOINTS / "asr-train", tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("moved here")
    here, there = (wer(MiniRecogniser(str(path))) for path in (CHECKPOINTS / "asr-train", tmp_path / "copy"))
    assert shared(here, there)
    weights = next((tmp_path / "copy").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))  # of the same size
    assert not shared(here, there)


def test_a_copy_of_what_the_hub_has_is_the_same_model(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--openai--whisper-base.en"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "model.safetensors").write_bytes(b"weights")
    assert shared(whisper("openai/whisper-base.en"), whisper(str(tmp_path / "local")))
    (tmp_path / "local" / "model.safetensors").write_bytes(b"others!")
    assert not shared(whisper("openai/whisper-base.en"), whisper(str(tmp_path / "local")))


def judge(role, more="", metric="wer"):
    return f"{{label: x, role: {role}, metric: {{name: {metric}, recogniser: {EARS % more}}}}}"


def test_mini_tells_its_training_judge_alone():
    assert judges_of_training(recipe.load(MINI, [])) == {"training-wer": "ranked the pairs: score.metrics.wer"}


@pytest.mark.parametrize("changed", [", batch_size: 3", ", batch_size: 64"])
def test_a_judge_that_shares_a_model_is_refused_whatever_its_settings(changed):
    loaded = recipe.load(MINI, [f"evaluate.judges.again={judge('judge', changed)}"])
    with pytest.raises(ConfigError, match=r"again took part in the training .*call it a training judge, or take another model"):
        check.check_judges(loaded)
    for role in ("training judge", "outside", "advisory"):
        check.check_judges(recipe.load(MINI, [f"evaluate.judges.again={judge(role, changed)}"]))


def test_separate_judges_are_demanded_whatever_the_role():
    demanded = "evaluate.separate_judges=true"
    check.check_judges(recipe.load(MINI, [demanded]))
    loaded = recipe.load(MINI, [demanded, f"evaluate.judges.again={judge('advisory', metric='ending')}"])
    with pytest.raises(ConfigError, match=r"evaluate.separate_judges: again took part in the training \(ranked the pairs"):
        check.check_judges(loaded)


def test_it_says_how_each_took_part():
    unused = "{name: wer, recogniser: {name: ctc, model: recipes/mini/checkpoints/asr-judge}}"
    compared = "{comparer: {name: metric, metric: {name: dnsmos}}}"
    loaded = recipe.load(MINI, [f"score.metrics.unused={unused}", f"score.comparisons.listener={compared}"])
    found = judges_of_training(loaded)
    same = {name: found.pop(name) for name in ("judge-wer", "judge-ending", "judge-repetition", "judge-pauses", "judge-rate")}
    assert set(same.values()) == {"scored the candidates: score.metrics.unused"}
    assert found == {
        "training-wer": "ranked the pairs: score.metrics.wer",
        "dnsmos": "compared the candidates: score.comparisons.listener",
    }


def test_token_weights_count_as_a_part():
    path = MINI.with_name("token-weights.yaml")
    loaded = recipe.load(path, [f"evaluate.judges.again={judge('advisory')}"])
    assert any(system.pair.weights is not None for system in loaded.systems.values())
    how = "ranked the pairs: score.metrics.wer; weighed the tokens: score.metrics.words"
    assert judges_of_training(loaded)["again"] == how


def test_a_judge_that_is_called_a_training_judge_is_believed_and_so_is_its_model():
    def unscored(role):  # a training that the recipe does not know, as in an evaluation of folders of audio
        loaded = recipe.load(MINI, [f"evaluate.judges.again={judge(role, ', batch_size: 5')}"])
        return replace(loaded, score=ScoreSettings())

    loaded = unscored("unstated")
    assert judges_of_training(loaded) == {
        "training-wer": "chose the pairs, as its role says",
        "again": "chose the pairs: evaluate.judges.training-wer",
    }
    with pytest.raises(ConfigError, match=r"again took part in the training \(chose the pairs: evaluate.judges.training-wer\)"):
        check.check_judges(unscored("judge"))


def test_a_guess_at_a_quality_is_no_judge():
    loaded = recipe.load(MINI, ["evaluate.judges.dnsmos.role=judge"])
    (line,) = check.predictors(loaded)
    assert line.startswith("evaluate.judges.dnsmos: DNSMOS overall quality is a guess of a network")
    assert check.predictors(recipe.load(MINI, [])) == []
    assert not loaded.evaluate.judges["dnsmos"].is_tested
