"""Whisper by CTranslate2, from a tiny random checkpoint in the real format (converted by CTranslate2 itself)."""

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError, with_times
from lpo_tts.asr.faster_whisper import FasterWhisperRecogniser
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing import check_recogniser

pytest.importorskip("ctranslate2", reason="the package ctranslate2 is not installed")

LANGUAGES = ("en", "zh")
STAMPS = 101  # every 0.02 s of a window of 2 s


def build(folder, *, is_multilingual=True):
    """The files that faster-whisper's checkpoints have, windows of 2 s instead of 30 s."""
    from ctranslate2.converters import TransformersConverter
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{one}|>" for one in LANGUAGES), "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    if is_multilingual:
        vocabulary[""] = len(vocabulary)  # by this empty token of the published vocabulary CTranslate2 knows it
    for token in special:
        vocabulary[token] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], additional_special_tokens=special[1:])
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(STAMPS)])
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in special}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 16, "max_source_positions": 100}
    names = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    torch.manual_seed(11)
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=len(tokenizer), **sizes, **names))
    with torch.no_grad():  # louder than new weights are, so that what is heard depends on the audio
        for parameter in model.parameters():
            parameter.mul_(8.0 if parameter.dim() > 1 else 1.0)
    model.generation_config = GenerationConfig(
        **names,
        is_multilingual=is_multilingual,
        lang_to_id={f"<|{one}|>": ids[f"<|{one}|>"] for one in LANGUAGES},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        alignment_heads=[[0, 0], [0, 1]],
        # Words are single bytes here: what is left out are all tokens that no checkpoint would write.
        suppress_tokens=[*range(256, end), *(ids[token] for token in special[1:])],
        begin_suppress_tokens=[end],
    )
    source = folder / "source"
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    WhisperFeatureExtractor(feature_size=16, chunk_length=2).save_pretrained(source)
    copied = ["tokenizer.json", "preprocessor_config.json"]
    TransformersConverter(str(source), copy_files=copied).convert(str(folder / "ct2"))
    return str(folder / "ct2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("multilingual"))


@pytest.fixture(scope="module")
def loaded(folder):
    return FasterWhisperRecogniser(folder, max_new_tokens=12).load()


@pytest.fixture(scope="module")
def audio():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 30000)]


def test_it_keeps_the_contract(folder, loaded, audio):
    check_recogniser(FasterWhisperRecogniser(folder, max_new_tokens=12), audio)
    texts = loaded.transcribe(audio)
    assert any(texts)
    assert not any("<|" in text for text in texts)
    assert FasterWhisperRecogniser(folder, max_new_tokens=12, batch_size=1).load().transcribe(audio) == texts


def test_the_texts_are_ctranslate2s_own_on_the_same_features(folder, loaded, audio):
    import ctranslate2
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor

    extractor, tokenizer = WhisperFeatureExtractor.from_pretrained(folder), Tokenizer.from_file(f"{folder}/tokenizer.json")
    prompt = [tokenizer.token_to_id(f"<|{one}|>") for one in ("startoftranscript", "en", "transcribe", "notimestamps")]
    end = tokenizer.token_to_id("<|endoftext|>")
    model = ctranslate2.models.Whisper(folder, compute_type="int8", intra_threads=1)
    assert model.is_multilingual
    for wave, text in zip(audio, loaded.transcribe(audio, "en-US"), strict=True):
        features = extractor(wave.numpy(), sampling_rate=16000, return_tensors="np").input_features
        view = ctranslate2.StorageView.from_array(features)
        (result,) = model.generate(view, [prompt], beam_size=1, max_length=24)
        assert tokenizer.decode([token for token in result.sequences_ids[0] if token < end]).strip() == text


@pytest.mark.parametrize("most", [1, 2, 3, 12])
def test_a_hypothesis_has_as_many_tokens_as_the_setting_allows(folder, audio, most):
    loaded = FasterWhisperRecogniser(folder, max_new_tokens=most).load()
    start = loaded._start("en")
    assert max(len(answer) for answer in loaded._hear(audio, start)[1]) == most
    # Rules for time stamps may end an answer before.
    assert max(len(answer) for answer in loaded._hear(audio, start, stamps=True)[1]) <= most


def test_words_have_times_within_the_waveform(loaded, audio):
    timed = with_times(loaded).transcribe_timed([*audio, torch.zeros(16000)])
    assert timed[3] == ()
    for wave, text, words in zip(audio, loaded.transcribe(audio), timed, strict=False):
        assert "".join(word.text for word in words).replace(" ", "") == "".join(text.split())
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= wave.numel() / 16000 for time in times)


def test_recordings_longer_than_the_window_are_heard_alike_in_any_company(loaded, audio):
    long = torch.cat([audio[0]] * 5)
    together = loaded.transcribe([audio[0], long, audio[1]])
    assert together[1] == loaded.transcribe([long])[0]
    assert together[0] == loaded.transcribe([audio[0]])[0]
    words = loaded.transcribe_timed([long])[0]
    assert all(0 <= word.start <= word.end <= 5.0 for word in words)


def test_windows_move_to_the_last_time_stamp(loaded):
    first = loaded._first_stamp
    text = [1, 2, 3]
    # <0.00> text <1.00> <1.00> text: the second segment is cut off, so the next window begins at 1 s.
    assert loaded._finished([first, *text, first + 50, first + 50, *text], 32000) == ([first, *text, first + 50], 16000)
    # One stamp at the end closes the last segment, though nothing opens after it.
    closed = [first, *text, first + 50, first + 50, *text, first + 90]
    assert loaded._finished(closed, 32000) == (closed, 32000)
    assert loaded._finished([first, *text], 32000) == ([first, *text], 32000)
    # A stamp at 0 s would stay on the spot for ever.
    stuck = [first, first, *text]
    assert loaded._finished(stuck, 32000) == (stuck, 32000)


def test_languages(folder, loaded, audio):
    assert loaded.transcribe(audio, "zh_CN") == FasterWhisperRecogniser(folder, "zh", max_new_tokens=12).load().transcribe(audio)
    with pytest.raises(LanguageError, match="expected a language of en, zh; found 'xx'"):
        loaded.transcribe(audio, "xx")
    with pytest.raises(LanguageError, match="found 'english'"):
        FasterWhisperRecogniser(folder, "english").load()


def test_english_only_checkpoints_hear_english_alone(tmp_path, audio):
    english = FasterWhisperRecogniser(build(tmp_path, is_multilingual=False), max_new_tokens=4).load()
    assert len(english.transcribe(audio, "en-GB")) == 3
    with pytest.raises(LanguageError, match=r"expected English \(en\), which is all that this checkpoint hears; found 'zh'"):
        english.transcribe(audio, "zh")


def test_what_is_wrong_is_named(tmp_path, folder, monkeypatch):
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        FasterWhisperRecogniser(str(tmp_path / "absent")).load()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ComponentError, match=r"expected a Whisper checkpoint as CTranslate2 stores it .*, found no model.bin"):
        FasterWhisperRecogniser(str(tmp_path)).load()
    (tmp_path / "model.bin").write_bytes(b"torn")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ComponentError, match="expected a Whisper checkpoint as CTranslate2 stores it"):
        FasterWhisperRecogniser(str(tmp_path)).load()
    with pytest.raises(ConfigError, match="max_new_tokens must be at least 1 and at most 440, found 448"):
        FasterWhisperRecogniser(max_new_tokens=448)
    with pytest.raises(ConfigError, match="compute_type"):
        FasterWhisperRecogniser(compute_type="int4")
    monkeypatch.setitem(__import__("sys").modules, "ctranslate2", None)
    with pytest.raises(ComponentError, match=r"needs the package ctranslate2 .*pip install 'lpo-tts\[faster-whisper\]'"):
        FasterWhisperRecogniser(folder).load()
    assert REGISTRY.get("faster-whisper") is FasterWhisperRecogniser
