"""Paraformer by funasr: what surrounds it here always, and a tiny random checkpoint in the real format where funasr is there."""

import json
import sys
import types

import pytest
import torch

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import HeardWord, LanguageError, with_times
from lpo_tts.asr.paraformer import SPACE, ParaformerRecogniser, _words
from lpo_tts.errors import ComponentError, ConfigError

TOKENS = ["<blank>", "<s>", "</s>", *"你好世界天气很今我们是的", "hel@@", "lo", "play", "<unk>"]
CONFIG = """
model: BiCifParaformer
model_conf: {ctc_weight: 0.0, lsm_weight: 0.1, length_normalized_loss: true, predictor_weight: 1.0, predictor_bias: 1, \
sampling_ratio: 0.75}
encoder: SANMEncoder
encoder_conf: {output_size: 32, attention_heads: 2, linear_units: 32, num_blocks: 2, dropout_rate: 0.0, \
positional_dropout_rate: 0.0, attention_dropout_rate: 0.0, input_layer: pe, pos_enc_class: SinusoidalPositionEncoder, \
normalize_before: true, kernel_size: 11, sanm_shfit: 0, selfattention_layer_type: sanm}
decoder: ParaformerSANMDecoder
decoder_conf: {attention_heads: 2, linear_units: 32, num_blocks: 1, dropout_rate: 0.0, positional_dropout_rate: 0.0, \
self_attention_dropout_rate: 0.0, src_attention_dropout_rate: 0.0, att_layer_num: 1, kernel_size: 11, sanm_shfit: 0}
predictor: CifPredictorV3
predictor_conf: {idim: 32, threshold: 1.0, l_order: 1, r_order: 1, tail_threshold: 0.45, smooth_factor2: 0.25, \
noise_threshold2: 0.01, upsample_times: 3, use_cif1_cnn: false, upsample_type: cnn_blstm}
frontend: WavFrontend
frontend_conf: {fs: 16000, window: hamming, n_mels: 80, frame_length: 25, frame_shift: 10, lfr_m: 7, lfr_n: 6}
tokenizer: CharTokenizer
tokenizer_conf: {unk_symbol: <unk>, split_with_space: true}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that funasr/paraformer-zh has, with random weights of its own classes."""
    funasr = pytest.importorskip("funasr", reason="the package funasr is not installed")
    folder = tmp_path_factory.mktemp("paraformer")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "tokens.json").write_text(json.dumps(TOKENS), encoding="utf-8")
    torch.save({}, folder / "model.pt")
    net = funasr.AutoModel(model=str(folder), device="cpu", ncpu=1, disable_update=True, disable_pbar=True, seed=3).model
    with torch.no_grad():  # louder than new weights are, so that what is heard depends on the audio
        for parameter in net.parameters():
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
    torch.save(net.state_dict(), folder / "model.pt")
    return str(folder)


@pytest.fixture(scope="module")
def audio():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 40000, 16000)]


def test_texts_do_not_depend_on_the_batch_or_on_the_call(folder, audio):
    state = torch.random.get_rng_state()
    loaded = ParaformerRecogniser(folder).load()
    assert torch.equal(torch.random.get_rng_state(), state)
    nothing = [torch.zeros(16000), torch.zeros(0), torch.full((16000,), float("nan")), audio[0][:100]]
    texts = loaded.transcribe([*nothing, *audio], "zh-CN")
    assert texts[:4] == [""] * 4
    assert len(set(texts[4:])) > 1
    assert not any(mark in "".join(texts) for mark in ("<", "@", " "))
    assert loaded.transcribe(audio, "zh") == texts[4:]
    assert [loaded.transcribe([wave], "zh")[0] for wave in audio] == texts[4:]
    assert ParaformerRecogniser(folder, batch_size=1).load().transcribe(audio, "zh") == texts[4:]


def test_texts_and_times_are_funasrs_own(folder, audio):
    funasr = pytest.importorskip("funasr", reason="the package funasr is not installed")
    net = funasr.AutoModel(
        model=folder, device="cpu", ncpu=1, disable_update=True, disable_pbar=True, frontend_conf={"dither": 0.0}
    )
    loaded = with_times(ParaformerRecogniser(folder).load())
    timed = loaded.transcribe_timed(audio, "zh")
    for wave, text, words in zip(audio, loaded.transcribe(audio, "zh"), timed, strict=True):
        (answer,) = net.generate(input=[wave.numpy()])
        assert answer["text"].replace(" ", "") == text.replace(" ", "")
        assert [word.text for word in words] == answer["text"].split()
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= wave.numel() / 16000 for time in times)


def test_other_languages_are_refused(folder, audio):
    with pytest.raises(LanguageError, match=r"expected a language of zh; found 'en'"):
        ParaformerRecogniser(folder).load().transcribe(audio, "en")


def test_a_checkpoint_that_is_none_is_named(tmp_path):
    pytest.importorskip("funasr", reason="the package funasr is not installed")
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        ParaformerRecogniser(str(tmp_path / "absent")).load()
    with pytest.raises(ComponentError, match="expected a Paraformer checkpoint of funasr"):
        ParaformerRecogniser(str(tmp_path)).load()


class StandIn:
    """The API of funasr.AutoModel (1.4.16) without a network, for the wiring alone: it tells how long each waveform is."""

    def __init__(self, **settings):
        self.settings, self.sizes = settings, []
        self.kwargs = {"frontend": types.SimpleNamespace(dither=1.0)}

    def generate(self, *, input, batch_size):
        self.sizes.append(len(input))
        assert batch_size == len(input)
        if len(input[0]) < 2000:
            return [{"text": ""}]  # what funasr answers where a whole batch has no token
        return [{"key": "same", "text": f"好 {len(wave)} 天", "timestamp": [[0, 100], [100, 300], [300, 500]]} for wave in input]


def test_batches_and_answers_are_put_together(tmp_path, audio, monkeypatch):
    monkeypatch.setitem(sys.modules, "funasr", types.SimpleNamespace(AutoModel=StandIn))
    loaded = ParaformerRecogniser(str(tmp_path), batch_size=2).load()
    assert loaded._net.settings["model"] == str(tmp_path)
    assert loaded._net.settings["ncpu"] == torch.get_num_threads()
    assert loaded._net.kwargs["frontend"].dither == 0.0
    waves = [torch.zeros(16000), *audio, audio[0][:1500], audio[0]]
    texts = ["", "好16000天", "好9000天", "好40000天", "好16000天", "", "好16000天"]
    assert loaded.transcribe(waves, "zh") == texts
    assert sorted(loaded._net.sizes) == [1, 1, 1, 1, 2]  # three of one length, by two
    timed = loaded.transcribe_timed(waves, "zh_CN")
    assert [len(words) for words in timed] == [0, 3, 3, 3, 3, 0, 3]
    assert timed[1][1] == HeardWord(text="16000", start=0.1, end=0.3)
    assert timed[2][2].end == 0.5
    with pytest.raises(LanguageError, match=r"expected a language of zh; found 'en'"):
        loaded.transcribe(waves, "en")


def test_hypotheses_are_converted_as_funasr_spaces_them(tmp_path, audio, monkeypatch):
    """Which words zhconv sees decides: character by character, as in seed-tts-eval."""
    seen = []

    def convert(text, script):
        seen.append((text, script))
        return text.replace("好", "hao")

    monkeypatch.setitem(sys.modules, "funasr", types.SimpleNamespace(AutoModel=StandIn))
    monkeypatch.setitem(sys.modules, "zhconv", types.SimpleNamespace(convert=convert))
    loaded = ParaformerRecogniser(str(tmp_path), convert="zh-cn").load()
    assert loaded.transcribe(audio[:1], "zh") == ["hao 16000天"]
    assert seen == [("好 16000 天", "zh-cn")]
    monkeypatch.setitem(sys.modules, "zhconv", None)
    with pytest.raises(ComponentError, match=r"convert: zh-cn needs the package zhconv .*pip install zhconv \(GPL"):
        ParaformerRecogniser(str(tmp_path), convert="zh-cn").load()


@pytest.mark.parametrize(
    ("spaced", "text"),
    [
        ("今 天 天 气 很 好", "今天天气很好"),
        ("我 们 play hello 你 好", "我们play hello你好"),
        ("don't stop 3 天", "don't stop 3天"),
        ("", ""),
    ],
)
def test_spaces_stay_between_latin_words_alone(spaced, text):
    assert SPACE.sub("", spaced) == text


def test_words_keep_their_order_within_the_waveform():
    assert _words(["你", "好"], [[-10, 400], [380, 1200]], 1.0) == (
        HeardWord(text="你", start=0.0, end=0.4),
        HeardWord(text="好", start=0.4, end=1.0),
    )
    # funasr left a character out of the text: three times, two words.
    assert _words(["你", "好"], [[200, 400], [400, 600], [600, 1000]], 2.0) == (
        HeardWord(text="你", start=0.2, end=0.6),
        HeardWord(text="好", start=0.6, end=1.0),
    )
    assert _words([], [], 1.0) == ()


def test_what_is_wrong_is_named(monkeypatch):
    with pytest.raises(ConfigError, match="batch_size"):
        ParaformerRecogniser(batch_size=0)
    monkeypatch.setitem(sys.modules, "funasr", None)
    with pytest.raises(ComponentError, match=r"needs the package funasr .*pip install 'lpo-tts\[paraformer\]'"):
        ParaformerRecogniser().load()
    assert REGISTRY.get("paraformer") is ParaformerRecogniser
