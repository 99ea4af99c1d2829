"""Qwen3-ASR from a tiny random checkpoint in the real format."""

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.qwen3_asr import Qwen3ASRRecogniser
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing import check_recogniser

ENDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SOUND = {"audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>"}
TEMPLATE = (
    "{%- set ns = namespace(system='') -%}{%- for m in messages if m.role == 'system' -%}"
    "{%- set ns.system = m.content[0].text -%}{%- endfor -%}"
    "<|im_start|>system\n{{ ns.system }}<|im_end|>\n"
    "{%- for m in messages if m.role != 'system' -%}<|im_start|>{{ m.role + '\n' }}{%- for c in m.content -%}"
    "{%- if c.type == 'audio' -%}<|audio_start|><|audio_pad|><|audio_end|>{%- else -%}{{ c.text }}{%- endif -%}"
    "{%- endfor -%}<|im_end|>\n{%- endfor -%}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of the same files as the published ones; the vocabulary is single bytes and the special tokens."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        Qwen2Tokenizer,
        Qwen3ASRConfig,
        Qwen3ASRFeatureExtractor,
        Qwen3ASRForConditionalGeneration,
        Qwen3ASRProcessor,
    )

    place = tmp_path_factory.mktemp("qwen3-asr")
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary, merges=[], eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None, extra_special_tokens=SOUND
    )
    tokenizer.add_tokens([*ENDS, *SOUND.values()], special_tokens=True)
    tokenizer.add_tokens(["<asr_text>"])
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in (*ENDS, *SOUND.values())}
    sizes = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "d_model": 32, "output_dim": 24}
    text = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 1, "head_dim": 12, "vocab_size": len(tokenizer), "tie_word_embeddings": True}
    torch.manual_seed(5)
    config = Qwen3ASRConfig(
        audio_config={**sizes, "downsample_hidden_size": 8, "num_mel_bins": 16},
        text_config=text,
        audio_token_id=ids["<|audio_pad|>"],
        timestamp_token_id=ids["<|audio_end|>"],
        pad_token_id=ids["<|endoftext|>"],
        eos_token_id=[ids["<|endoftext|>"], ids["<|im_end|>"]],
    )
    model = Qwen3ASRForConditionalGeneration(config)
    with torch.no_grad():  # louder than new weights are, so that what is heard depends on the audio
        for parameter in model.parameters():
            parameter.mul_(6.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(place)
    extractor = Qwen3ASRFeatureExtractor(feature_size=16)
    Qwen3ASRProcessor(extractor, tokenizer, chat_template=TEMPLATE).save_pretrained(place)
    return str(place)


@pytest.fixture(scope="module")
def audio():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 12345, 30000, 24000)]


def test_it_keeps_the_contract(folder, audio):
    recogniser = Qwen3ASRRecogniser(folder, max_new_tokens=10)
    check_recogniser(recogniser, audio)
    texts = recogniser.load().transcribe(audio)
    assert len(set(texts)) > 1
    assert not any("<|" in text for text in texts)
    assert texts == Qwen3ASRRecogniser(folder, batch_size=1, max_new_tokens=10).load().transcribe(audio)


def test_the_language_begins_the_answer(folder, audio):
    loaded = Qwen3ASRRecogniser(folder, max_new_tokens=10).load()
    given = []
    generate = loaded._model.generate
    loaded._model.generate = lambda **inputs: given.append(inputs["input_ids"]) or generate(**inputs)
    loaded.transcribe(audio[:1], "zh-CN")
    loaded.transcribe(audio[:1], "en")
    ends = [loaded._processor.tokenizer.decode(ids[0])[-40:] for ids in given]
    assert ends[0].endswith("assistant\nlanguage Chinese<asr_text>")
    assert ends[1].endswith("assistant\nlanguage English<asr_text>")
    assert (given[0] == loaded._model.config.audio_token_id).sum() == 13  # tokens of one second


def test_repetitions_are_left_as_they_are(folder, audio):
    loaded = Qwen3ASRRecogniser(folder).load()
    said = "no " * 40
    loaded._model.generate = lambda **inputs: torch.cat(
        [inputs["input_ids"], loaded._processor.tokenizer(said, return_tensors="pt")["input_ids"]], 1
    )
    assert loaded.transcribe(audio[:1]) == [said.strip()]


def test_languages_that_it_does_not_hear_are_refused(folder, audio):
    loaded = Qwen3ASRRecogniser(folder, max_new_tokens=2).load()
    with pytest.raises(LanguageError, match=r"expected a language of ar, cs, .*; found 'xx'"):
        loaded.transcribe(audio, "xx")
    with pytest.raises(LanguageError, match="found 'sw'"):
        Qwen3ASRRecogniser(folder, "sw").load()


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        Qwen3ASRRecogniser(str(tmp_path / "absent")).load()
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(ComponentError, match="expected a Qwen3-ASR checkpoint, found a whisper one"):
        Qwen3ASRRecogniser(str(tmp_path)).load()
    with pytest.raises(ConfigError, match="max_new_tokens must be at least 1"):
        Qwen3ASRRecogniser(max_new_tokens=0)
    assert REGISTRY.get("qwen3-asr") is Qwen3ASRRecogniser
