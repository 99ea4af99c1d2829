"""DistillMOS with the network of the package."""

import contextlib
import io

import pytest
import torch

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics import distillmos as module
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.distillmos import DistillMOS
from lpo_tts.metrics.distillmos import _segments as segments
from lpo_tts.testing import check_metric

package = pytest.importorskip("distillmos", reason="the package distillmos is not installed: pip install 'lpo-tts[quality]'")


@pytest.fixture(scope="module")
def loaded():
    return DistillMOS(batch_size=3).load()


def speech(audio, rate=16000):
    return Speech(id="x", audio=audio, sample_rate=rate, text="")


def noise(seconds):
    return 0.1 * torch.randn(int(seconds * 16000), generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_the_contract():
    check_metric(DistillMOS())


@pytest.mark.slow
def test_values_are_those_of_the_package_whoever_shares_a_batch(loaded, capsys):
    waves = [noise(2.0), noise(7.68), noise(9.01) * torch.linspace(0, 1, 144160), noise(25.5), noise(0.5)]
    found = loaded.judge([speech(wave) for wave in waves])
    assert capsys.readouterr().out == "", "the package prints when it loads its weights"
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = package.ConvTransformerSQAModel().eval()
    with torch.inference_mode():
        for wave, judgement in zip(waves, found, strict=True):
            assert judgement.value == pytest.approx(float(theirs(wave[None])), abs=2e-5)
            assert 1.0 <= judgement.value <= 5.0


def test_segments_cover_a_clip_evenly():
    assert [len(one) for one in segments(torch.ones(1000))] == [122880]
    assert float(segments(torch.ones(1000))[0].sum()) == 1000
    long = torch.arange(122880 + 16001.0)
    assert [int(one[0]) for one in segments(long)] == [0, 8000, 16001]
    assert [len(one) for one in segments(long)] == [122880] * 3
    assert len(segments(torch.ones(122880 + 16000))) == 2


@pytest.mark.slow
def test_silence_scraps_and_nan_have_no_value(loaded):
    found = loaded.judge([speech(torch.zeros(16000)), speech(noise(0.1)), speech(torch.full((16000,), float("nan")))])
    assert [one.value for one in found] == [None] * 3
    assert found[0].detail == {"reason": "the audio is silent"}
    assert loaded.judge([]) == []


@pytest.mark.slow
def test_settings_and_a_broken_package(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        DistillMOS(batch_size=0)
    from distillmos import sqa

    (tmp_path / "torn.pt").write_bytes(b"torn")
    monkeypatch.setattr(sqa, "DEFAULT_WEIGHTS_CHKPT", str(tmp_path / "torn.pt"))
    with pytest.raises(ComponentError, match=r"distillmos: expected the network and weights of version 0\.9, cannot load them"):
        module.DistillMOS().load()
