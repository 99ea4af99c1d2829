"""Parakeet from tiny random checkpoints in the real format."""

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.parakeet import ParakeetRecogniser
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing import check_recogniser

PIECES = ["<unk>", *(f"▁{letter}" for letter in "abcdefgh"), *"ijklmnopqrst", "."]


def build(folder, head, seed=0, longest=5000):
    """A checkpoint of the same files as the published ones: a processor, a SentencePiece vocabulary, then blank and padding."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import ParakeetFeatureExtractor, ParakeetProcessor, ParakeetTokenizer

    pieces = [*PIECES, "<pad>"] if head == "CTC" else [*PIECES, "<pad>", "<blank>"]
    core = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = ParakeetTokenizer(tokenizer_object=core, unk_token="<unk>", pad_token="<pad>")
    pad, blank = len(PIECES), len(pieces) - 1
    torch.manual_seed(seed)
    encoder = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    encoder |= {"subsampling_conv_channels": 8, "num_mel_bins": 16, "conv_kernel_size": 5, "max_position_embeddings": longest}
    sizes = {} if head == "CTC" else {"decoder_hidden_size": 24, "num_decoder_layers": 1, "blank_token_id": blank}
    settings = getattr(transformers, f"Parakeet{head}Config")
    config = settings(vocab_size=len(pieces), pad_token_id=pad, encoder_config=encoder, **sizes)
    model = getattr(transformers, f"ParakeetFor{head}")(config)
    with torch.no_grad():  # louder than new weights are, so that what is heard depends on the audio
        for name, parameter in model.named_parameters():
            if "head" in name and parameter.dim() > 1:
                parameter.mul_(60.0)
    if head != "CTC":
        model.generation_config.decoder_start_token_id = blank
    model.save_pretrained(folder)
    ParakeetProcessor(ParakeetFeatureExtractor(feature_size=16), tokenizer, decoder_type=head.lower()).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["CTC"])
def folder(request, tmp_path_factory):
    return build(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def audio():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 30000)]


def test_it_keeps_the_contract_and_its_texts_are_those_of_the_processor(folder, audio):
    from transformers import AutoConfig, ParakeetProcessor

    from lpo_tts.asr.parakeet import CLASSES

    check_recogniser(ParakeetRecogniser(folder), audio)
    loaded = ParakeetRecogniser(folder).load()
    texts = loaded.transcribe(audio)
    assert any(texts)
    assert loaded.transcribe(audio, "en-GB") == texts
    processor = ParakeetProcessor.from_pretrained(folder)
    inputs = processor([wave.numpy() for wave in audio], sampling_rate=16000)
    answers = loaded._net.generate(**inputs)
    if AutoConfig.from_pretrained(folder).model_type != "parakeet_ctc":
        answers = answers.sequences
        answers = answers.masked_fill(answers == loaded._net.config.blank_token_id, loaded._net.config.pad_token_id)
    expected = processor.batch_decode(answers, skip_special_tokens=True)
    assert texts == [" ".join(text.split()) for text in expected]
    assert type(loaded._net).__name__ in CLASSES.values()


def test_words_with_times_are_the_words_of_the_text_in_order(folder, audio):
    loaded = ParakeetRecogniser(folder).load()
    for wave, text, words in zip(audio, loaded.transcribe(audio), loaded.transcribe_timed(audio), strict=True):
        assert " ".join(word.text for word in words) == text
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= wave.numel() / 16000 for time in times)
    assert loaded.transcribe_timed([torch.zeros(16000), torch.empty(0)]) == [(), ()]


def test_what_is_longer_than_one_pass_is_heard_in_pieces(tmp_path, audio):
    loaded = ParakeetRecogniser(build(tmp_path, "CTC", longest=11)).load()
    assert loaded._longest == 12800
    (whole,) = loaded.transcribe_timed([audio[2]])
    first, second, third = loaded.transcribe_timed([audio[2][:12800], audio[2][12800:25600], audio[2][25600:]])
    assert "".join(word.text for word in whole) == "".join(word.text for word in (*first, *second, *third))


def test_other_languages_are_refused(folder, audio):
    with pytest.raises(LanguageError, match=r"expected English \(en\), which is all that this checkpoint hears; found 'fr'"):
        ParakeetRecogniser(folder).load().transcribe(audio, "fr")
    several = ParakeetRecogniser(folder, languages=("en", "fr")).load()
    assert len(several.transcribe(audio, "fr")) == 3
    with pytest.raises(LanguageError, match="expected a language of en, fr; found 'zh'"):
        several.transcribe(audio, "zh")


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        ParakeetRecogniser(str(tmp_path / "absent")).load()
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(ComponentError, match=r"expected a Parakeet checkpoint .*found a wav2vec2 one"):
        ParakeetRecogniser(str(tmp_path)).load()
    with pytest.raises(ConfigError, match="languages: expected at least one"):
        ParakeetRecogniser(languages=())
    assert REGISTRY.get("parakeet") is ParakeetRecogniser
