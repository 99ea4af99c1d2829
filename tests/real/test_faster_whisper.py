"""Whisper tiny.en by CTranslate2 on recordings of LJSpeech: against CTranslate2 itself, against itself, and its error rate."""

import jiwer
import pytest
import torch

from lpo_tts.asr.faster_whisper import FasterWhisperRecogniser
from lpo_tts.text import normalise

ctranslate2 = pytest.importorskip("ctranslate2", reason="the package ctranslate2 is not installed")


@pytest.fixture(scope="module")
def loaded(whisper_ct2):
    return FasterWhisperRecogniser(str(whisper_ct2)).load()


@pytest.fixture(scope="module")
def heard(loaded, clips):
    return loaded.transcribe([wave for _, _, wave in clips])


def test_the_corpus_word_error_rate_is_what_whisper_reaches(clips, heard):
    for rule, most in (("basic", 0.08), ("whisper-en", 0.06)):
        texts = [normalise(text, rule) for _, text, _ in clips]
        assert jiwer.process_words(texts, [normalise(text, rule) for text in heard]).wer <= most


def test_texts_are_ctranslate2s_own_on_the_same_features(whisper_ct2, loaded, clips, heard):
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor

    tokenizer, extractor = Tokenizer.from_file(str(whisper_ct2 / "tokenizer.json")), WhisperFeatureExtractor(feature_size=80)
    prompt = [tokenizer.token_to_id(token) for token in ("<|startoftranscript|>", "<|notimestamps|>")]
    model = ctranslate2.models.Whisper(str(whisper_ct2), compute_type="int8", intra_threads=1)
    for (_, _, wave), text in list(zip(clips, heard, strict=True))[:6]:
        features = extractor(wave.numpy(), sampling_rate=16000, return_tensors="np").input_features
        (result,) = model.generate(ctranslate2.StorageView.from_array(features), [prompt], beam_size=1, max_length=222)
        assert tokenizer.decode(result.sequences_ids[0]).strip() == text


def test_texts_do_not_depend_on_the_batch(whisper_ct2, clips, heard):
    one_by_one = FasterWhisperRecogniser(str(whisper_ct2), batch_size=1).load()
    assert one_by_one.transcribe([wave for _, _, wave in clips[:10]]) == heard[:10]


def test_words_lie_where_they_are_said(loaded, clips):
    """Silence put before a recording moves its words by as much."""
    wave = clips[1][2]
    plain, moved = loaded.transcribe_timed([wave, torch.cat([torch.zeros(16000), wave])])
    assert [word.text.lower() for word in plain] == [word.text.lower() for word in moved]
    for before, after in list(zip(plain, moved, strict=True))[1:]:
        assert after.end - before.end == pytest.approx(1.0, abs=0.12)
    assert plain[-1].end <= wave.numel() / 16000


def test_recordings_longer_than_a_window_are_heard_to_their_end(loaded, clips):
    long, end = torch.cat([wave for _, _, wave in clips[:6]]), clips[5][1]
    assert long.numel() > 30 * 16000
    words = loaded.transcribe_timed([long])[0]
    assert normalise(words[-1].text) == normalise(end).split()[-1]
    assert long.numel() / 16000 - 2.0 <= words[-1].end <= long.numel() / 16000
