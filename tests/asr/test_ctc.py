"""Recognisers of transformers: tiny checkpoints made on the spot, loaded as any from the hub, and the shipped judge."""

import json
from pathlib import Path

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.ctc import CTCRecogniser
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing import check_recogniser

transformers = pytest.importorskip("transformers")

MINI = Path(__file__).parents[2] / "recipes" / "mini"
VOCABULARY = {"<pad>": 0, "|": 1, "A": 2, "B": 3, "C": 4, "<unk>": 5}


def write_tokenizer(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    transformers.Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", word_delimiter_token="|", bos_token=None, eos_token=None
    ).save_pretrained(folder)


def hubert(folder, norm="layer", head=True):
    """A HuBERT of a few thousand parameters; wav2vec2-base's kind with norm="group" (no attention mask)."""
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        vocab_size=6, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8, 8, 8),
        conv_stride=(5, 4, 4), conv_kernel=(10, 8, 4), feat_extract_norm=norm, do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0,
    )  # fmt: skip
    kind = transformers.HubertForCTC if head else transformers.HubertModel
    write_tokenizer(folder)
    net = kind(config)
    if head:
        torch.nn.init.normal_(net.lm_head.weight, std=3.0)  # so that the tiny network does not say one letter only
    net.half().save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer").save_pretrained(folder)
    return folder


def conformer(folder):
    """A Wav2Vec2-BERT of a few thousand parameters, fed with log-mels."""
    torch.manual_seed(0)
    config = transformers.Wav2Vec2BertConfig(
        vocab_size=6, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, pad_token_id=0,
        conv_depthwise_kernel_size=3, position_embeddings_type="rotary", output_hidden_size=16,
    )  # fmt: skip
    write_tokenizer(folder)
    net = transformers.Wav2Vec2BertForCTC(config)
    torch.nn.init.normal_(net.lm_head.weight, std=3.0)
    net.save_pretrained(folder)
    transformers.SeamlessM4TFeatureExtractor().save_pretrained(folder)
    return folder


def waves(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(size, generator=generator) for size in sizes]


@pytest.mark.parametrize("make", [hubert, conformer])
def test_hypotheses_do_not_depend_on_the_batch(make, tmp_path):
    loaded = CTCRecogniser(model=str(make(tmp_path)), batch_size=4).load()
    assert loaded.sample_rate == 16000
    assert loaded.net.dtype == torch.float32  # whatever type is stored
    chosen = waves(8000, 16000, 5001, 12000, 9000)
    check_recogniser(CTCRecogniser(model=str(tmp_path), batch_size=4), chosen)
    together = loaded.transcribe(chosen)
    assert len(set(together)) > 1
    assert set("".join(together)) <= set("ABC ")


def test_frames_are_merged_and_delimiters_become_spaces(tmp_path):
    loaded = CTCRecogniser(model=str(hubert(tmp_path)), batch_size=2).load()
    path = [1, 0, 2, 2, 0, 2, 3, 3, 1, 1, 5, 4, 5, 1]  # 0 is the blank, 5 <unk>, 1 the delimiter

    class Spelled(torch.nn.Module):
        device = torch.device("cpu")
        _get_feature_vector_attention_mask = staticmethod(
            lambda size, mask: torch.arange(size)[None].expand(len(mask), -1) < len(path)
        )

        def forward(self, input_values, attention_mask):
            ids = torch.tensor([path + [3, 3]] * len(input_values))  # two frames past the end
            return type("Output", (), {"logits": torch.nn.functional.one_hot(ids, 6).float()})()

    loaded.net = Spelled()
    assert loaded.transcribe(waves(3200, 3200)) == ["AAB C", "AAB C"]


def test_silence_and_scraps_are_the_empty_string(tmp_path):
    loaded = CTCRecogniser(model=str(hubert(tmp_path))).load()
    speech = waves(8000)[0]
    texts = loaded.transcribe([torch.zeros(0), torch.zeros(16000), speech, speech[:799]])
    assert texts[0] == texts[1] == texts[3] == ""
    assert texts[2] == loaded.transcribe([speech])[0]
    assert loaded.transcribe([]) == []


def test_a_model_that_hears_padding_is_given_one_waveform_at_a_time(tmp_path):
    loaded = CTCRecogniser(model=str(hubert(tmp_path, norm="group")), batch_size=8).load()
    assert loaded.batch_size == 1
    chosen = waves(8000, 16000)
    assert loaded.transcribe(chosen) == [loaded.transcribe([wave])[0] for wave in chosen]


def test_a_checkpoint_without_a_trained_head_is_refused(tmp_path):
    with pytest.raises(ComponentError, match=r"no weights for lm_head\.bias, lm_head\.weight.*never fine-tuned for CTC"):
        CTCRecogniser(model=str(hubert(tmp_path, head=False))).load()


def test_a_missing_folder_and_a_bad_batch_size_are_refused(tmp_path):
    with pytest.raises(ComponentError, match="expected a CTC checkpoint of transformers"):
        CTCRecogniser(model=str(tmp_path)).load()
    with pytest.raises(ConfigError, match="batch_size must be at least 1, found 0"):
        CTCRecogniser(batch_size=0)
    assert REGISTRY.get("ctc") is CTCRecogniser


@pytest.mark.skipif(not (MINI / "checkpoints/asr-judge/model.safetensors").is_file(), reason="the mini checkpoints are not there")
def test_the_shipped_judge_hears_sentences_it_never_saw():
    pytest.importorskip("espeakng_loader")
    from recipes.mini import corpus

    texts = corpus.sentences(16, 78, "dev")
    voices = (corpus.VOICES_SEEN[::5] + corpus.VOICES_HELD_OUT)[:8] * 2
    audio = [torch.from_numpy(corpus.synthesise(text, voice)) for text, voice in zip(texts, voices, strict=False)]
    heard = CTCRecogniser(model=str(MINI / "checkpoints/asr-judge")).load().transcribe(audio)
    assert sum(a == b for a, b in zip(heard, texts, strict=False)) >= 13


def test_words_have_the_times_of_their_frames(tmp_path):
    loaded = CTCRecogniser(model=str(hubert(tmp_path))).load()
    frames = [0, 2, 2, 0, 3, 1, 0, 4, 4, 1]  # blank A A blank B | blank C C |
    loaded._best = lambda audio: [frames, []]
    said, silent = loaded.transcribe_timed([torch.zeros(16000), torch.zeros(16000)])
    # a second of ten frames: AB from frame 1 to 5, C from frame 7 to 9
    assert [(word.text, word.start, word.end) for word in said] == [
        ("AB", pytest.approx(0.1), pytest.approx(0.5)),
        ("C", pytest.approx(0.7), pytest.approx(0.9)),
    ]
    assert silent == ()


def test_a_tokenizer_without_spaces_gives_no_times(tmp_path):
    loaded = CTCRecogniser(model=str(hubert(tmp_path))).load()
    loaded.tokenizer = object()
    with pytest.raises(ConfigError, match="word_delimiter_token"):
        loaded.transcribe_timed([torch.ones(16000)])
