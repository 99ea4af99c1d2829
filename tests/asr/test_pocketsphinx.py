"""PocketSphinx on speech of a synthesiser, where both are installed."""

from pathlib import Path

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.pocketsphinx import PocketsphinxRecogniser, grammar_words
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.testing import check_recogniser

pytest.importorskip("pocketsphinx")

MINI = Path(__file__).parents[2] / "recipes" / "mini"
GRAMMAR = str(MINI / "grammar.jsgf")
SENTENCES = ("gate blue seven four two", "flight nine three", "room white one five zero eight", "track gold six two")


@pytest.fixture(scope="module")
def recogniser():
    return PocketsphinxRecogniser(GRAMMAR).load()


@pytest.fixture(scope="module")
def spoken():
    pytest.importorskip("espeakng_loader")
    from recipes.mini import corpus

    voice = corpus.VOICES_SEEN[0]
    return [torch.from_numpy(corpus.synthesise(sentence, voice)).float() for sentence in SENTENCES]


def test_the_grammar_holds_the_28_words():
    words = grammar_words(Path(GRAMMAR).read_text(encoding="utf-8"))
    assert len(words) == 28
    assert {"gate", "flight", "gold", "zero", "nine"} <= words


def test_grammar_words_skips_all_that_is_no_word():
    text = "#JSGF V1.0; grammar g; // not\n/* nor */ public <a> = /0.5/ one {tag} | [two <b>] three+ (four)*; <b> = five;"
    assert grammar_words(text) == {"one", "two", "three", "four", "five"}


def test_clear_speech_is_understood(recogniser, spoken):
    speech = [Speech(id=text, audio=audio, sample_rate=16000, text=text) for text, audio in zip(SENTENCES, spoken, strict=True)]
    judgements = WordErrorRate(PocketsphinxRecogniser(GRAMMAR)).load().judge(speech)
    errors = sum(item.detail["num_words"] - item.detail["hits"] + item.detail["insertions"] for item in judgements)
    assert errors / sum(item.detail["num_words"] for item in judgements) <= 0.1


def test_a_waveform_is_heard_alike_after_any_other(recogniser, spoken):
    alone = recogniser.transcribe(spoken[:1])
    noise = 0.3 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
    assert recogniser.transcribe([noise, *reversed(spoken)])[-1:] == alone
    assert PocketsphinxRecogniser(GRAMMAR).load().transcribe(spoken[:1]) == alone


@pytest.mark.slow
def test_what_is_heard_depends_on_no_order(spoken):
    """Speech in noise of many levels: an estimate of the noise that lives on would take too much or too little off."""
    draw = torch.Generator().manual_seed(1)
    noisy = [clip + level * torch.randn(len(clip), generator=draw) for level in (0.0, 0.01, 0.03, 0.1) for clip in spoken]
    heard = PocketsphinxRecogniser(GRAMMAR).load().transcribe_timed(noisy)
    assert len(set(heard)) > len(spoken)
    assert PocketsphinxRecogniser(GRAMMAR).load().transcribe_timed(noisy[::-1])[::-1] == heard


def test_timed_words_are_those_of_the_transcript_and_lie_within_the_waveform(recogniser, spoken):
    silence, shifted = torch.zeros(8000), 0
    for waveform in spoken:
        words = recogniser.transcribe_timed([waveform])[0]
        assert " ".join(word.text for word in words) == recogniser.transcribe([waveform])[0]
        times = [moment for word in words for moment in (word.start, word.end)]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= waveform.numel() / 16000
        later = recogniser.transcribe_timed([torch.cat([silence, waveform])])[0]
        if [word.text for word in later] == [word.text for word in words]:  # silence before it may change what is heard
            assert all(abs(one.end + 0.5 - other.end) < 0.1 for one, other in zip(words, later, strict=True))
            shifted += 1
    assert shifted
    assert recogniser.transcribe_timed([torch.zeros(16000), torch.empty(0)]) == [(), ()]
    with pytest.raises(LanguageError, match="hears English"):
        recogniser.transcribe_timed(spoken[:1], "de")


def test_it_keeps_the_contract_of_recognisers(spoken):
    check_recogniser(PocketsphinxRecogniser(GRAMMAR), spoken[:2])


def test_silence_and_scraps_give_nothing(recogniser):
    assert recogniser.transcribe([torch.zeros(16000), torch.empty(0), torch.ones(100)]) == ["", "", ""]


def test_nan_gives_nothing(recogniser, spoken):
    assert recogniser.transcribe([torch.cat([spoken[0], torch.tensor([float("nan")])])]) == [""]


def test_a_grammar_may_be_given_as_text(spoken):
    text = "#JSGF V1.0; grammar g; public <s> = flight nine three | gate;"
    assert PocketsphinxRecogniser(text).load().transcribe(spoken[1:2]) == ["flight nine three"]


def test_what_is_wrong_is_named(recogniser):
    with pytest.raises(ComponentError, match=r"dictionary, found also blorptang"):
        PocketsphinxRecogniser("#JSGF V1.0; grammar g; public <s> = one | blorptang;").load()
    with pytest.raises(ComponentError, match="cannot compile it"):
        PocketsphinxRecogniser("#JSGF V1.0; grammar g; public <s> = (one ;").load()
    with pytest.raises(ComponentError, match=r"found no file 'nowhere\.jsgf'"):
        PocketsphinxRecogniser("nowhere.jsgf").load()
    with pytest.raises(ConfigError, match="word_insertion_penalty must be above 0"):
        PocketsphinxRecogniser(word_insertion_penalty=0)
    with pytest.raises(ConfigError, match="hears English"):
        recogniser.transcribe([torch.zeros(16000)], "de")
    with pytest.raises(LanguageError, match="hears English"):
        recogniser.transcribe([torch.zeros(16000)], "enm")  # Middle English
    assert REGISTRY.get("pocketsphinx") is PocketsphinxRecogniser
