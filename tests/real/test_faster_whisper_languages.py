"""The multilingual Whisper base by CTranslate2: it hears English and refuses unknown languages."""

import jiwer
import pytest

from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.faster_whisper import FasterWhisperRecogniser
from lpo_tts.text import normalise

ctranslate2 = pytest.importorskip("ctranslate2", reason="the package ctranslate2 is not installed")


@pytest.fixture(scope="module")
def loaded(multilingual_ct2):
    return FasterWhisperRecogniser(str(multilingual_ct2)).load()


@pytest.fixture(scope="module")
def few(clips):
    """The eight shortest clips: text and waveform."""
    return sorted(((text, wave) for _, text, wave in clips), key=lambda clip: len(clip[1]))[:8]


def test_ctranslate2_takes_it_for_multilingual_and_so_do_we(multilingual_ct2, loaded):
    assert ctranslate2.models.Whisper(str(multilingual_ct2), compute_type="int8", intra_threads=1).is_multilingual
    assert loaded._is_multilingual
    assert len(loaded._languages) == 99
    assert {"en", "zh", "de", "yi", "haw", "su"} <= loaded._languages
    start = [loaded._tokenizer.id_to_token(token) for token in loaded._start("en")]
    assert start == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>"]


def test_it_hears_english(loaded, few):
    texts = [normalise(text, "whisper-en") for text, _ in few]
    heard = [normalise(text, "whisper-en") for text in loaded.transcribe([wave for _, wave in few], "en-US")]
    assert jiwer.process_words(texts, heard).wer <= 0.1


def test_another_language_is_told_to_it(loaded, few):
    """Told to write Chinese, it writes something else than English."""
    (english,) = loaded.transcribe([few[0][1]], "en")
    (chinese,) = loaded.transcribe([few[0][1]], "zh")
    assert chinese != english


def test_unknown_languages_are_refused(multilingual_ct2, loaded, few):
    with pytest.raises(LanguageError, match=r"expected a language of .*, en, .*; found 'xx'"):
        loaded.transcribe([few[0][1]], "xx")
    with pytest.raises(LanguageError, match="found 'english'"):
        FasterWhisperRecogniser(str(multilingual_ct2), "english").load()
