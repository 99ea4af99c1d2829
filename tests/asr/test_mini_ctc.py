"""The small recogniser: features by hand, greedy decoding, independence of the batch, files, and the shipped weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lpo_tts.asr import REGISTRY
from lpo_tts.asr.base import LanguageError
from lpo_tts.asr.mini import LoadedMiniRecogniser, MiniRecogniser, MiniRecogniserNetwork, Shape
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing import check_recogniser

MINI = Path(__file__).parents[2] / "recipes" / "mini"
SMALL = Shape(channels=24, hidden=16)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return MiniRecogniserNetwork(SMALL).eval()


def waves(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(size, generator=generator) for size in sizes]


def padded(chosen):
    lengths = torch.tensor([wave.numel() for wave in chosen])
    batch = torch.full((len(chosen), int(lengths.max())), 0.7)  # what lies past the end must not matter
    for row, wave in enumerate(chosen):
        batch[row, : wave.numel()] = wave
    return batch, lengths


def test_a_tone_peaks_in_the_band_around_it():
    time = torch.arange(16000) / 16000
    filters = MiniRecogniserNetwork(Shape()).filters
    for hertz in (400.0, 1000.0, 3000.0):
        spectrum = torch.fft.rfft(torch.sin(2 * torch.pi * hertz * time[:512]) * torch.hann_window(512)).abs().square()
        band = int((spectrum @ filters).argmax())
        centre = float((filters[:, band] * torch.linspace(0, 8000, 257)).sum() / filters[:, band].sum())
        assert abs(centre - hertz) < 0.06 * hertz + 20


def test_frames_lie_inside_the_waveform(net):
    counts = net.num_feature_frames(torch.tensor([0, 511, 512, 671, 672, 16000]))
    assert counts.tolist() == [0, 0, 1, 1, 2, 97]


def test_features_know_neither_loudness_nor_padding(net):
    quiet, other = waves(8000, 12000)
    alone, _ = net.features(quiet[None], torch.tensor([8000]))
    louder, lengths = net.features(*padded([quiet * 5, other]))
    frames = int(lengths[0])
    torch.testing.assert_close(louder[:1, :, :frames], alone, atol=1e-4, rtol=0)
    assert float(louder[0, :, frames:].abs().max()) == 0
    assert float(alone.mean(2).abs().max()) < 1e-4  # the mean of every band is taken out


def test_log_probabilities_do_not_depend_on_the_batch(net):
    chosen = waves(5000, 16000, 9001, 600)
    logps, lengths = net(*net.features(*padded(chosen)))
    for row, wave in enumerate(chosen):
        alone, length = net(*net.features(wave[None], torch.tensor([wave.numel()])))
        assert int(length) == int(lengths[row]) == alone.shape[1]
        torch.testing.assert_close(logps[row, : int(length)], alone[0], atol=2e-5, rtol=0)


def test_the_backward_direction_hears_the_end(net):
    wave = waves(16000)[0]
    changed = torch.cat([wave[:12000], wave[12000:].flip(0)])
    first, _ = net(*net.features(wave[None], torch.tensor([16000])))
    second, _ = net(*net.features(changed[None], torch.tensor([16000])))
    assert not torch.equal(first[0, 30], second[0, 30])


def test_greedy_decoding_merges_repeats_and_keeps_doubles_parted_by_a_blank(net):
    symbols = net.shape.symbols
    path = "  tt-hrre-eee-  -oonne- "  # "-" is the blank
    ids = [0 if symbol == "-" else symbols.index(symbol) + 1 for symbol in path]
    logps = torch.full((1, len(ids) + 3, len(symbols) + 1), -9.0)
    for frame, index in enumerate(ids):
        logps[0, frame, index] = -0.1
    logps[0, len(ids) :, symbols.index("z") + 1] = -0.1  # past the end
    (best,) = net.best(logps, torch.tensor([len(ids)]))
    assert net.spell(best) == "three one"
    # Frame j lies around the middle of its window: (2 x 160 j + 256) / 16000 s, and lasts 20 ms.
    three, one = net.words(best)
    assert (three.text, one.text) == ("three", "one")
    assert (three.start, three.end) == pytest.approx(((320 * 2 + 96) / 16000, (320 * 13 + 96) / 16000))
    assert (one.start, one.end) == pytest.approx(((320 * 17 + 96) / 16000, (320 * 22 + 96) / 16000))


def test_it_keeps_the_contract_of_recognisers(net, tmp_path):
    net.save(tmp_path)
    check_recogniser(MiniRecogniser(model=str(tmp_path), batch_size=2))


def test_silence_and_scraps_are_the_empty_string_and_order_is_kept(net):
    loaded = LoadedMiniRecogniser(net, batch_size=2)
    chosen = waves(9000, 511, 4000, 16000)
    chosen[1:1] = [torch.zeros(0), torch.zeros(16000), 5e-5 * torch.ones(8000)]
    texts = loaded.transcribe(chosen)
    assert texts[1:5] == ["", "", "", ""]
    assert texts == [loaded.transcribe([wave])[0] for wave in chosen]
    assert loaded.transcribe([]) == []
    assert loaded.sample_rate == 16000


def test_another_language_than_it_was_trained_on_is_refused(net):
    loaded = LoadedMiniRecogniser(net)
    assert loaded.transcribe(waves(8000), "en-GB") == loaded.transcribe(waves(8000), "en")
    with pytest.raises(LanguageError, match="asr mini: expected language 'en', found 'fr'"):
        loaded.transcribe(waves(8000), "fr")


def test_saved_and_loaded_it_says_nearly_the_same(net, tmp_path):
    net.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    assert load_file(tmp_path / "model.safetensors")["head.weight"].dtype == torch.float16
    loaded = MiniRecogniser(model=str(tmp_path)).load()
    features = net.features(*padded(waves(9000)))
    torch.testing.assert_close(loaded.net(*features)[0], net(*features)[0], atol=5e-3, rtol=0)
    assert not loaded.net.training
    assert loaded.net.head.weight.dtype == torch.float32


def test_what_is_no_checkpoint_is_refused(net, tmp_path):
    with pytest.raises(ComponentError, match=r"config\.json: expected a recogniser .* found no such file"):
        MiniRecogniser(model=str(tmp_path / "none")).load()
    net.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: value for name, value in weights.items() if name != "head.bias"}, tmp_path / "model.safetensors")
    with pytest.raises(ComponentError, match=r"(?s)do not fit config\.json.*head\.bias"):
        MiniRecogniser(model=str(tmp_path)).load()
    (tmp_path / "config.json").write_text(json.dumps({**config, "format": "other"}))
    with pytest.raises(ComponentError, match=r'expected format "lpo-tts mini ctc 1", found \'other\''):
        MiniRecogniser(model=str(tmp_path)).load()
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ComponentError, match="expected JSON"):
        MiniRecogniser(model=str(tmp_path)).load()


def test_settings_are_checked_and_named():
    with pytest.raises(ConfigError, match="batch_size must be at least 1, found 0"):
        MiniRecogniser(model="x", batch_size=0)
    assert REGISTRY.get("mini") is MiniRecogniser


@pytest.mark.skipif(not (MINI / "checkpoints/asr-train/model.safetensors").is_file(), reason="the mini checkpoints are not there")
def test_the_shipped_recogniser_hears_sentences_it_never_saw():
    pytest.importorskip("espeakng_loader")
    from recipes.mini import corpus

    texts = corpus.sentences(16, 77, "dev")
    voices = (corpus.VOICES_SEEN[::5] + corpus.VOICES_HELD_OUT)[:8] * 2
    audio = [torch.from_numpy(corpus.synthesise(text, voice)) for text, voice in zip(texts, voices, strict=False)]
    loaded = MiniRecogniser(model=str(MINI / "checkpoints/asr-train")).load()
    heard = loaded.transcribe(audio)
    assert sum(a == b for a, b in zip(heard, texts, strict=False)) >= 14
    assert heard[:3] == [loaded.transcribe([wave])[0] for wave in audio[:3]]
