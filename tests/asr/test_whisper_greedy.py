"""Greedy decoding on a CPU gives the texts of transformers' `generate`, and steps aside where it would not."""

import json

import pytest
import torch

from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.asr.whisper_greedy import fits
from tests.asr.test_whisper import build


def noises(count):
    """Windows of different lengths and loudness, so that the answers differ."""
    torch.manual_seed(3)
    return [torch.randn(3000 + 2500 * index) * 0.1 * (1 + index) for index in range(count)]


def by_generate(loaded, audio, language="en"):
    """What the same recogniser hears through `generate`."""
    own, loaded._greedy = loaded._greedy, None
    try:
        return loaded.transcribe(audio, language)
    finally:
        loaded._greedy = own


@pytest.mark.parametrize("limit", [1, 40])
@pytest.mark.parametrize("multilingual", [True, False])
def test_texts_are_those_of_generate(tmp_path, multilingual, limit):
    folder = build(tmp_path, is_multilingual=multilingual)
    if not multilingual:  # as the published checkpoints of one language: they name no languages
        path = tmp_path / "generation_config.json"
        settings = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in settings.items() if key != "lang_to_id"}))
    loaded = WhisperRecogniser(folder, max_new_tokens=limit).load()
    assert loaded._greedy is not None
    audio = noises(9)
    texts = loaded.transcribe(audio)
    assert len(set(texts)) > 1 or limit == 1
    assert texts == by_generate(loaded, audio)


def test_answers_end_where_those_of_generate_do(tmp_path):
    """A symbol that the answers hold at different places is made the end of an answer."""
    loaded = WhisperRecogniser(build(tmp_path, max_length=30), max_new_tokens=None).load()
    audio = noises(9)
    before = loaded.transcribe(audio)
    assert before == by_generate(loaded, audio)
    places = {symbol: {text.find(symbol) for text in before} for symbol in sorted(set("".join(before))) if symbol.isascii()}
    end = max(places, key=lambda symbol: (len(places[symbol]), symbol))
    assert len(places[end]) > 1
    (number,) = loaded._tokenizer(end, add_special_tokens=False)["input_ids"]
    loaded._model.generation_config.eos_token_id = loaded._greedy._end = number
    texts = loaded.transcribe(audio)
    assert texts == [text.partition(end)[0].strip() for text in by_generate(loaded, audio)]
    assert len({len(text) for text in texts}) > 1
    assert texts == [loaded.transcribe([one])[0] for one in audio]  # whoever shares the batch


def test_beams_and_unusual_settings_are_left_to_generate(tmp_path):
    folder = build(tmp_path, no_repeat_ngram_size=3)
    loaded = WhisperRecogniser(folder, max_new_tokens=8).load()
    assert loaded._greedy is None
    assert not fits(loaded._model, True)
    assert WhisperRecogniser(build(tmp_path / "detects", is_multilingual=False)).load()._greedy is None
    assert WhisperRecogniser(build(tmp_path / "plain"), num_beams=2).load()._greedy is None


def test_bfloat16_hears_something_for_all(tmp_path):
    loaded = WhisperRecogniser(build(tmp_path), dtype="bfloat16", max_new_tokens=10).load()
    audio = noises(5)
    assert loaded.transcribe(audio) == by_generate(loaded, audio)
