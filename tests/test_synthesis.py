"""The Synthesizer on the shipped mini world: what it says is understood, seeds hold, and errors are one clear line."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lpo_tts import Line, Synthesizer, asr, audio
from lpo_tts import recipe as recipes
from lpo_tts.errors import ArtefactError, ComponentError, ConfigError, ContractError
from recipes.mini import corpus

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "recipes" / "mini" / "mini.yaml"
TEXTS = ("gate seven four", "line white six three two", "page one nine zero", "door blue three two", "seat five eight")


@pytest.fixture(scope="module", autouse=True)
def _at_the_root():
    """The recipe names its checkpoints from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """A recording of one of the mini corpus' voices."""
    pytest.importorskip("espeakng_loader")
    path = tmp_path_factory.mktemp("voice") / "x.wav"
    wave = corpus.synthesise("room blue one two three", corpus.VOICES_SEEN[0])
    audio.write(path, torch.from_numpy(wave), corpus.SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def synthesizer():
    return Synthesizer.from_recipe(RECIPE)


def loud(seconds=1.0):
    """Samples that are no speech, but pass for a recording."""
    return 0.1 * torch.sin(torch.arange(int(16000 * seconds)) * 0.05)


def hears(spoken):
    """The recogniser's words."""
    recogniser = asr.REGISTRY.get("ctc")(model="recipes/mini/checkpoints/asr-judge").load()
    waves = [audio.resample(one.audio, one.sample_rate, recogniser.sample_rate) for one in spoken]
    return recogniser.transcribe(waves)


def test_the_mini_model_says_what_it_is_told(synthesizer, voice):
    from jiwer import wer

    spoken = synthesizer.say_all([Line(text, voice, seed=seed) for seed, text in enumerate(TEXTS)], temperature=0.0)
    assert all(one.finished and one.status == "ok" for one in spoken)
    hypotheses = hears(spoken)
    assert hypotheses[0] == "gate seven four"
    assert wer(list(TEXTS), hypotheses) <= 0.1


def test_the_example_of_the_guide_runs(synthesizer, voice, tmp_path, monkeypatch):
    guide = (ROOT / "docs" / "synthesis.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (tmp_path / "x.wav").write_bytes(voice.read_bytes())
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    place = {}
    exec(compile(block, "synthesis.md", "exec"), place)
    wave, rate = audio.read(tmp_path / "out.wav")
    assert (wave.numel(), rate) == (place["sound"].numel(), place["sample_rate"])
    assert rate == 16000
    assert [one.status for one in place["spoken"]] == ["ok", "ok"]


def test_a_voice_that_the_model_does_not_hear_is_told(synthesizer, caplog):
    voice = (loud(), 16000)
    synthesizer.say("gate one", voice, max_tokens=5)
    assert "does not hear the voice" not in caplog.text
    backbone = replace(synthesizer.backbone, template="<|text_start|>{text}<|text_end|><|speech_start|>")
    deaf = Synthesizer(backbone, recipes.load(RECIPE).codec, synthesizer.sampling)
    deaf.say("gate one", max_tokens=5)
    assert "does not hear the voice" not in caplog.text
    deaf.say("gate one", voice, max_tokens=5)
    assert "the model does not hear the voice: its template has no {voice}" in caplog.text


def test_a_result_unpacks_into_sound_and_rate(synthesizer, voice):
    spoken = synthesizer.say("gate seven four", voice)
    sound, rate = spoken
    assert sound is spoken.audio
    assert (rate, sound.dim(), sound.dtype) == (synthesizer.codec.sample_rate, 1, torch.float32)
    cut = synthesizer.say("gate seven four", voice, max_tokens=5)
    assert (cut.finished, cut.status) == (False, "ok")
    assert 0 < cut.audio.numel() < sound.numel()


@pytest.mark.slow
def test_the_same_seed_sounds_the_same_whatever_else_is_in_the_batch(synthesizer, voice):
    lines = [Line(text, voice, seed=seed) for text in TEXTS[:3] for seed in (0, 1)]
    together = synthesizer.say_all(lines)
    assert len({tuple(one.audio.tolist()) for one in together}) == len(lines)
    for line, one in zip(lines, together, strict=True):
        alone = synthesizer.say(line.text, line.voice, seed=line.seed)
        torch.testing.assert_close(alone.audio, one.audio, rtol=0, atol=1e-4)  # the codec decodes batches of other sizes
    backwards = synthesizer.say_all(lines[::-1])[::-1]
    assert all(torch.equal(one.audio, other.audio) for one, other in zip(together, backwards, strict=True))


def test_settings_of_a_call_hold_for_that_call_without_loading_anew(synthesizer, voice, monkeypatch):
    before = synthesizer.say("gate seven four", voice, seed=3)
    monkeypatch.setattr(type(synthesizer.backbone), "load", None)
    coldest = [synthesizer.say("gate seven four", voice, seed=seed, temperature=0.0).audio for seed in (1, 2)]
    assert torch.equal(*coldest)
    assert torch.equal(synthesizer.say("gate seven four", voice, seed=1, top_k=1).audio, coldest[0])
    assert torch.equal(synthesizer.say("gate seven four", voice, seed=3).audio, before.audio)
    with pytest.raises(ConfigError, match="temperature"):
        synthesizer.say("gate seven four", voice, temperature=-1.0)


def test_overrides_and_parts_without_a_recipe_are_the_same_as_the_recipe(synthesizer, voice):
    cold = synthesizer.say("gate seven four", voice, temperature=0.0).audio
    overridden = Synthesizer.from_recipe(RECIPE, ("synthesize.sampling.temperature=0",), device="cpu")
    assert torch.equal(overridden.say("gate seven four", voice).audio, cold)
    recipe = recipes.load(RECIPE)
    built = Synthesizer(recipe.backbone, recipe.codec, replace(recipe.synthesize.sampling, temperature=0.0), device="cpu")
    assert torch.equal(built.say("gate seven four", voice).audio, cold)
    with pytest.raises(ConfigError, match="temprature"):
        Synthesizer.from_recipe(RECIPE, ("synthesize.sampling.temprature=0",))


def test_another_checkpoint_speaks_with_the_same_codec_and_voices(synthesizer, voice, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("recipes/mini/checkpoints/base")
    with torch.no_grad():
        model.model.layers[-1].mlp.down_proj.weight.zero_()
    model.save_pretrained(tmp_path / "aligned")
    base = synthesizer.say("gate seven four", voice, seed=1).audio
    other = synthesizer.with_model(tmp_path / "aligned")
    assert other.codec is synthesizer.codec
    aligned = other.say("gate seven four", voice, seed=1).audio
    assert not torch.equal(aligned, base)
    named = Synthesizer.from_recipe(RECIPE, model=tmp_path / "aligned")
    assert torch.equal(named.say("gate seven four", voice, seed=1).audio, aligned)
    assert torch.equal(other.with_model(None).say("gate seven four", voice, seed=1).audio, base)
    with pytest.raises(ComponentError, match="nowhere"):
        synthesizer.with_model("nowhere").say("gate seven four", voice)


def test_a_voice_is_a_file_or_samples_and_is_encoded_once_per_recording(tmp_path, monkeypatch):
    synthesizer = Synthesizer.from_recipe(RECIPE)
    encoded = []
    encode = synthesizer.codec.encode
    monkeypatch.setattr(synthesizer.codec, "encode", lambda waves: encoded.extend(waves) or encode(waves))
    audio.write(tmp_path / "x.wav", loud(), 16000)
    wave, rate = audio.read(tmp_path / "x.wav")
    path = tmp_path / "x.wav"
    found = [
        synthesizer.say("gate one", given, max_tokens=20).audio
        for given in (path, str(path), (wave, rate), (wave.numpy(), rate), (wave.clone(), rate))
    ]
    assert all(torch.equal(found[0], one) for one in found)
    assert len(encoded) == 2  # the file, the samples
    synthesizer.say_all([Line("gate one", path), Line("gate two", path), Line("gate two", (wave, rate))], max_tokens=5)
    assert len(encoded) == 2
    audio.write(path, loud(1.5), 16000)
    synthesizer.say("gate one", path, max_tokens=5)
    assert len(encoded) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a text to speak, found an empty one"),
        (" \n", "expected a text to speak, found an empty one"),
        ("gate hello", "the word 'hello' is not in the vocabulary"),
        ("gate " * 600, "exceed the model's 512 positions; lower max_tokens or shorten the text"),
    ],
)
def test_texts_that_cannot_be_spoken_are_one_line(synthesizer, text, message):
    voice = (loud(), 16000)
    with pytest.raises(ContractError, match=message) as caught:
        synthesizer.say(text, voice)
    assert "\n" not in str(caught.value)
    with pytest.raises(ContractError, match=message):
        synthesizer.say_all([Line("gate one", voice), Line(text, voice)])


def test_of_several_lines_the_message_names_the_one(synthesizer):
    with pytest.raises(ContractError, match=r"^line 2: the word 'hello' is not in the vocabulary"):
        synthesizer.say_all([Line("gate one"), Line("hello")])
    with pytest.raises(ArtefactError, match=r"^line 2: nowhere\.wav: expected an audio file, found none"):
        synthesizer.say_all([Line("gate one"), Line("gate one", "nowhere.wav")])


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ((torch.zeros(16000), 16000), "voice: expected a recording of speech, found silence"),
        ((torch.full((16000,), float("nan")), 16000), "voice: expected a recording of speech, found NaN"),
        ((loud(), 100), "voice: expected a recording of speech, found a sample rate of 100 Hz"),
        ((torch.zeros(2, 16000), 16000), r"voice: expected a mono waveform of shape \(num_samples,\)"),
        ((torch.zeros(16000, dtype=torch.int16), 16000), "found .* of torch.int16"),
        ((torch.zeros(0), 16000), "found no samples"),
    ],
)
def test_samples_that_hold_no_voice_are_one_line(synthesizer, voice, message):
    with pytest.raises(ContractError, match=message) as caught:
        synthesizer.say("gate one", voice)
    assert "\n" not in str(caught.value)


def test_files_that_hold_no_voice_are_one_line(synthesizer, tmp_path):
    audio.write(tmp_path / "silent.wav", torch.zeros(16000), 16000)
    (tmp_path / "text.wav").write_text("no sound")
    for name, message in (("silent", "found silence"), ("text", "expected audio libsndfile can read"), ("none", "found none")):
        with pytest.raises(ArtefactError, match=message) as caught:
            synthesizer.say("gate one", tmp_path / f"{name}.wav")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**53])
def test_a_seed_outside_its_range_is_refused(synthesizer, seed):
    with pytest.raises(ConfigError, match="seed must be at least 0 and at most 9007199254740991"):
        synthesizer.say("gate one", seed=seed)


def test_nothing_to_say_says_nothing(synthesizer):
    assert synthesizer.say_all([]) == []


def test_several_threads_may_speak(voice):
    synthesizer = Synthesizer.from_recipe(RECIPE)
    found = {}

    def speak(seed):
        found[seed] = synthesizer.say("gate seven four", voice, seed=seed).audio

    threads = [threading.Thread(target=speak, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[seed], synthesizer.say("gate seven four", voice, seed=seed).audio) for seed in range(4))


def test_what_cannot_be_decoded_is_sound_without_samples(synthesizer, monkeypatch):
    answer = type(synthesizer.backbone.token_map().parse(torch.zeros(0, 1, dtype=torch.int64)))
    mute = lambda self, tokens: answer(codes=None, finished=True, status="empty")  # noqa: E731
    monkeypatch.setattr(type(synthesizer.backbone.token_map()), "parse", mute)
    spoken = synthesizer.say("gate one", max_tokens=5)
    assert (spoken.audio.numel(), spoken.finished, spoken.status) == (0, True, "empty")
