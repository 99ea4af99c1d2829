"""Audiobox Aesthetics by its package: random weights in the published format, of two layers instead of twelve."""

import pytest
import torch

from lpo_tts.errors import ComponentError
from lpo_tts.metrics.audiobox import AudioboxAesthetics
from lpo_tts.metrics.base import Speech
from lpo_tts.testing import check_metric

package = pytest.importorskip(
    "audiobox_aesthetics.model.aes", reason="audiobox-aesthetics is not installed: pip install 'lpo-tts[audiobox]'"
)
pytestmark = pytest.mark.slow


@pytest.fixture
def net(monkeypatch):
    monkeypatch.setattr(package.DEFAULT_AUDIO_CFG, "encoder_layers", 2)
    torch.manual_seed(0)
    scales = {axis: {"mean": 5.0 + at, "std": 1.5} for at, axis in enumerate(package.AXES_NAME)}
    return package.AesMultiOutput(proj_num_layer=2, proj_ln=True, nth_layer=3, precision="bf16", target_transform=scales).eval()


def speech(audio):
    return Speech(id="x", audio=audio, sample_rate=16000, text="")


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def test_windows_of_ten_seconds_are_averaged_by_their_length(net, tmp_path):
    net.save_pretrained(tmp_path)
    check_metric(AudioboxAesthetics(str(tmp_path)))
    waves = [noise(32000), noise(200000)]
    found = AudioboxAesthetics(str(tmp_path), batch_size=2).load().judge([speech(wave) for wave in waves])
    net.precision, net.enable_autocast = torch.float32, False

    def axis(name, wave, mean):
        padded = torch.nn.functional.pad(wave, (0, 160000 - len(wave)))[None, None]
        with torch.inference_mode():
            return float(net({"wav": padded, "mask": (torch.arange(160000) < len(wave))[None, None]})[name]) * 1.5 + mean

    assert found[0].value == pytest.approx(axis("PQ", waves[0], 8.0), abs=1e-4)
    halves = axis("PQ", waves[1][:160000], 8.0), axis("PQ", waves[1][160000:], 8.0)
    assert found[1].value == pytest.approx((160000 * halves[0] + 40000 * halves[1]) / 200000, abs=1e-4)
    assert found[0].detail["content_enjoyment"] == pytest.approx(axis("CE", waves[0], 5.0), abs=1e-3)
    assert set(found[0].detail) == {"content_enjoyment", "content_usefulness", "production_complexity"}


def test_a_checkpoint_that_lacks_weights_is_refused(net, tmp_path):
    from safetensors.torch import load_file, save_file

    net.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["proj_layer.PQ.0.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ComponentError, match=r"expected a checkpoint of Audiobox Aesthetics .* cannot load it"):
        AudioboxAesthetics(str(tmp_path)).load()
    with pytest.raises(ComponentError, match="no such folder"):
        AudioboxAesthetics("no/such/folder").load()
