"""Whisper from a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.whisper import WhisperRecogniser
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.wer import WordErrorRate
from lpo_tts.testing import check_recogniser

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>"]
SPECIAL += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def build(folder, **generation):
    """A checkpoint of the same files and ids' order as the published ones, windows of 2 s instead of 30 s."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    vocabulary = {symbol: index for index, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    for token in SPECIAL:
        vocabulary[token] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], additional_special_tokens=SPECIAL[1:])
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(101)])
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "num_mel_bins": 16, "max_source_positions": 100}
    names = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": start}
    torch.manual_seed(11)
    config = WhisperConfig(vocab_size=len(tokenizer), **sizes, **names, suppress_tokens=None, begin_suppress_tokens=None)
    model = WhisperForConditionalGeneration(config)
    with torch.no_grad():  # louder than new weights are, so that what is heard depends on the audio
        for parameter in model.parameters():
            parameter.mul_(8.0 if parameter.dim() > 1 else 1.0)
    settings = {
        "is_multilingual": True,
        "lang_to_id": {token: ids[token] for token in ("<|en|>", "<|zh|>")},
        "task_to_id": {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")},
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_length": 448,
        "suppress_tokens": [ids[token] for token in SPECIAL[1:]],
        "begin_suppress_tokens": [end],
        **generation,
    }
    model.generation_config = GenerationConfig(**names, **settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=16, chunk_length=2).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def audio():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 30000)]


def test_hypotheses_do_not_depend_on_batch_mates(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=12).load()
    check_recogniser(WhisperRecogniser(folder, max_new_tokens=12), audio)
    together = loaded.transcribe(audio)
    assert loaded.sample_rate == 16000
    assert any(together)
    assert not any("<|" in text for text in together)


def test_silence_and_scraps_give_nothing(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=4).load()
    assert loaded.transcribe([torch.zeros(16000), torch.empty(0), audio[0][:300]]) == ["", "", ""]
    assert loaded.transcribe([]) == []


def test_recordings_longer_than_the_window_are_heard(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=6, batch_size=2).load()
    long = torch.cat([audio[0]] * 5)
    texts = loaded.transcribe([audio[0], long, audio[1]])
    assert len(texts) == 3
    assert texts[0] == loaded.transcribe([audio[0]])[0]
    assert texts[1] == loaded.transcribe([long])[0]


def test_cut_hears_the_window_alone(folder, audio):
    cut = WhisperRecogniser(folder, max_new_tokens=6, batch_size=2, cut=True).load()
    long = torch.cat([audio[0]] * 5)
    texts = cut.transcribe([long, audio[0], audio[1]])
    assert texts == cut.transcribe([long[:32000], audio[0], audio[1]])
    assert texts[0] != WhisperRecogniser(folder, max_new_tokens=6).load().transcribe([long])[0]
    assert texts[1:] == WhisperRecogniser(folder, max_new_tokens=6).load().transcribe(audio[:2])


def test_silence_is_heard_on_demand(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=6, hear_silence=True).load()
    silence, empty, scrap, broken, heard = loaded.transcribe(
        [torch.zeros(16000), torch.empty(0), audio[0][:300], torch.full((16000,), float("nan")), audio[0]]
    )
    assert silence != ""
    assert scrap != ""
    assert (empty, broken) == ("", "")
    assert heard == WhisperRecogniser(folder, max_new_tokens=6).load().transcribe([audio[0]])[0]


def test_without_a_limit_the_answer_has_all_positions_of_the_decoder(folder, audio):
    (free,) = WhisperRecogniser(folder, max_new_tokens=None).load().transcribe(audio[:1])
    (limited,) = WhisperRecogniser(folder, max_new_tokens=440).load().transcribe(audio[:1])
    assert len(limited) == 440
    assert len(free) == 448 - 4, "start of transcript, language, task, no time stamps"
    assert free.startswith(limited)


def test_it_computes_in_what_it_is_told(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=6, dtype="bfloat16").load()
    assert loaded._model.dtype == torch.bfloat16
    assert len(loaded.transcribe(audio)) == 3
    assert WhisperRecogniser(folder).load()._model.dtype == torch.float32
    with pytest.raises(ConfigError, match="dtype = 'int8' is none of auto, float32, float16, bfloat16"):
        WhisperRecogniser(folder, dtype="int8")


def test_the_language_is_given_to_the_model_and_an_unknown_one_is_refused(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=12).load()
    assert loaded.transcribe(audio, "zh") == WhisperRecogniser(folder, "zh", max_new_tokens=12).load().transcribe(audio, "en")
    with pytest.raises(ConfigError, match="expected a language of en, zh; found 'xx'"):
        loaded.transcribe(audio, "xx")


def test_a_region_after_the_language_is_no_other_language(folder, audio):
    loaded = WhisperRecogniser(folder, max_new_tokens=12).load()
    assert loaded.transcribe(audio, "zh-CN") == loaded.transcribe(audio, "zh")
    assert loaded.transcribe(audio, "en_US") == loaded.transcribe(audio, "EN") == loaded.transcribe(audio, "en")


def test_an_unknown_language_in_the_settings_is_refused_when_the_model_is_loaded(folder):
    with pytest.raises(LanguageError, match="expected a language of en, zh; found 'english'"):
        WhisperRecogniser(folder, "english").load()
    with pytest.raises(LanguageError, match="expected a language of en, zh; found ''"):
        WhisperRecogniser(folder, "").load()


def test_english_only_checkpoints_hear_english_alone(tmp_path, audio):
    english = build(tmp_path, is_multilingual=False)
    loaded = WhisperRecogniser(english, max_new_tokens=4).load()
    assert len(loaded.transcribe(audio, "en")) == 3
    assert loaded.transcribe(audio, "en-GB") == loaded.transcribe(audio, "en")
    with pytest.raises(LanguageError, match=r"expected English \(en\), which is all that this checkpoint hears; found 'fr'"):
        loaded.transcribe(audio, "fr")
    with pytest.raises(LanguageError, match="found 'fr'"):
        loaded.transcribe([torch.zeros(16000)], "fr")
    with pytest.raises(LanguageError, match="found 'fr'"):
        WhisperRecogniser(english, "fr").load()
    assert len(WhisperRecogniser(english, "en", max_new_tokens=4).load().transcribe(audio, "fr")) == 3  # the setting decides


def test_a_row_in_a_language_it_does_not_hear_has_no_value_and_a_reason(tmp_path, audio):
    metric = WordErrorRate(WhisperRecogniser(build(tmp_path, is_multilingual=False), max_new_tokens=4)).load()
    speech = [
        Speech(id=language, audio=audio[0], sample_rate=16000, text="a", language=language) for language in ("en", "fr", "??")
    ]
    english, french, unknown = metric.judge(speech)
    assert english.value is not None
    assert french.value is unknown.value is None
    assert french.detail["reason"].endswith("which is all that this checkpoint hears; found 'fr'")


def test_a_checkpoint_that_does_not_name_its_languages_is_refused(tmp_path):
    with pytest.raises(ComponentError, match=r"expected the languages of the checkpoint \(lang_to_id\)"):
        WhisperRecogniser(build(tmp_path, lang_to_id=None)).load()


def test_noise_that_ends_in_nan_and_clicks_in_silence_are_heard_as_nothing(folder, audio):
    broken = torch.cat([audio[0], torch.tensor([float("nan")])])
    click = torch.zeros(16000)
    click[100] = 0.005
    assert WhisperRecogniser(folder, max_new_tokens=4).load().transcribe([broken, click]) == ["", ""]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        WhisperRecogniser(str(tmp_path / "absent")).load()
    with pytest.raises(ConfigError, match="max_new_tokens must be at least 1 and at most 440, found 448"):
        WhisperRecogniser(max_new_tokens=448)
    with pytest.raises(ConfigError, match="num_beams must be at least 1"):
        WhisperRecogniser(num_beams=0)
    assert REGISTRY.get("whisper") is WhisperRecogniser
