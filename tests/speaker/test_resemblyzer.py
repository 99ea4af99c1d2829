"""Resemblyzer's network, with the weights of its package where it is installed and with random ones in its format elsewhere."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.mel import slaney_triangles
from lpo_tts.speaker import resemblyzer
from lpo_tts.speaker.resemblyzer import ResemblyzerEncoder, partial_starts
from lpo_tts.testing import check_encoder

INSTALLED = importlib.util.find_spec("resemblyzer") is not None


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of this name with random weights in the format of the real one, whose code must not run."""
    folder = tmp_path / "resemblyzer"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.manual_seed(0)
    net = resemblyzer._Network()
    state = {**net.state_dict(), "similarity_weight": torch.ones(1), "similarity_bias": torch.zeros(1)}
    torch.save({"step": 1, "model_state": state, "optimizer_state": {}}, folder / "pretrained.pt")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "resemblyzer", raising=False)
    importlib.invalidate_caches()
    return folder, net


def waveforms():
    generator = torch.Generator().manual_seed(0)
    return [0.01 * torch.randn(samples, generator=generator) for samples in (25600, 40000, 25600, 61234)]


def test_the_package_is_read_and_not_run_and_the_contract_holds(package):
    check_encoder(ResemblyzerEncoder())


def test_a_vector_is_the_mean_of_partial_utterances_computed_another_way(package):
    wave = waveforms()[1] * 10  # loud enough to be left as it is
    spectrum = np.abs(np.fft.rfft(framed(np.pad(wave.numpy(), (200, 200 + 19840))) * hann(400), axis=1)) ** 2
    mel = torch.tensor(spectrum @ slaney_triangles(16000, 400, 40).numpy().T, dtype=torch.float32)
    _, net = package
    with torch.inference_mode():
        parts = [net(mel[None, start : start + 160])[0] for start in (0, 77)]
    expected = torch.stack(parts).mean(0)
    found = ResemblyzerEncoder(batch_size=1).load().embed([wave])[0]
    assert torch.allclose(found, expected / expected.norm(), atol=1e-5)


def framed(wave):
    return np.stack([wave[start : start + 400] for start in range(0, len(wave) - 399, 160)])


def hann(size):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def test_partial_utterances_start_every_77_frames_and_the_last_is_mostly_audio():
    assert partial_starts(25600) == [0]
    assert partial_starts(16000 * 2) == [0, 77]
    assert partial_starts((77 + 119) * 160) == [0]
    assert partial_starts((77 + 120) * 160) == [0, 77]
    assert partial_starts(16000 * 10) == list(range(0, 847 + 1, 77))


def test_what_is_quieter_is_heard_as_loud(package):
    loaded = ResemblyzerEncoder().load()
    quiet, loud = waveforms()[0], waveforms()[0] * 2
    assert torch.allclose(loaded.embed([quiet])[0], loaded.embed([loud])[0], atol=1e-5)
    assert not torch.allclose(loaded.embed([quiet])[0], loaded.embed([quiet * 30])[0], atol=1e-4), "above -30 dB it stays"


def test_what_is_wrong_is_named(package):
    folder, _ = package
    loaded = ResemblyzerEncoder().load()
    with pytest.raises(ComponentError, match=r"waveform 0: expected at least 1\.6 s, found 1\.000 s"):
        loaded.embed([torch.ones(16000)])
    with pytest.raises(ComponentError, match="expected at least one waveform"):
        loaded.embed([])
    (folder / "pretrained.pt").write_bytes(b"torn")
    with pytest.raises(ComponentError, match=r"pretrained\.pt: expected the weights of resemblyzer 0\.1\.4, they do not fit"):
        ResemblyzerEncoder().load()
    torch.save({"model_state": {"linear.bias": torch.zeros(256)}}, folder / "pretrained.pt")
    with pytest.raises(ComponentError, match="Missing key"):
        ResemblyzerEncoder().load()
    (folder / "pretrained.pt").unlink()
    with pytest.raises(ComponentError, match="found no such file: pip install --no-deps resemblyzer"):
        ResemblyzerEncoder().load()
    with pytest.raises(ConfigError, match=r"min_duration must be at least 1\.6"):
        ResemblyzerEncoder(min_duration=1.0)


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(resemblyzer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ComponentError, match="not installed: pip install --no-deps resemblyzer"):
        ResemblyzerEncoder().load()


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="the package resemblyzer is not installed: pip install --no-deps resemblyzer")
@pytest.mark.filterwarnings("ignore")
def test_vectors_are_those_of_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))  # only its preprocess_wav needs it
    package = pytest.importorskip("resemblyzer")
    theirs = package.VoiceEncoder("cpu", verbose=False)
    waves = [0.05 * torch.randn(samples) for samples in (25600, 25601, 31520, 31521, 38000, 44001, 50000, 70000)] + waveforms()
    found = ResemblyzerEncoder().load().embed(waves)
    for wave, vector in zip(waves, found, strict=True):
        expected = theirs.embed_utterance(package.normalize_volume(wave.numpy(), -30, increase_only=True))
        assert vector.numpy() == pytest.approx(expected, abs=1e-5)
