"""NISQA through torchmetrics: random weights in the published format where the real ones are not on this machine."""

import pytest
import torch

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.nisqa import NISQA
from lpo_tts.testing import check_metric

package = pytest.importorskip(
    "torchmetrics.functional.audio.nisqa", reason="torchmetrics is not installed: pip install 'lpo-tts[nisqa]'"
)
pytestmark = pytest.mark.slow

# The arguments in the published nisqa.tar that the network is built of.
ARGUMENTS = {
    "cnn_c_out_1": 16, "cnn_c_out_2": 32, "cnn_c_out_3": 64, "cnn_kernel_size": (3, 3), "cnn_dropout": 0.2,
    "cnn_pool_1": [24, 7], "cnn_pool_2": [12, 5], "cnn_pool_3": [6, 3],
    "td_sa_d_model": 64, "td_sa_nhead": 1, "td_sa_h": 64, "td_sa_num_layers": 2, "td_sa_dropout": 0.1,
    "pool_att_h": 128, "pool_att_dropout": 0,
    "ms_n_fft": 4096, "ms_hop_length": 0.01, "ms_win_length": 0.02, "ms_n_mels": 48, "ms_fmax": 20000,
    "ms_seg_length": 15, "ms_seg_hop_length": 4, "ms_max_segments": 1300,
}  # fmt: skip


@pytest.fixture
def weights(tmp_path, monkeypatch):
    torch.manual_seed(0)
    path = tmp_path / "nisqa.tar"
    torch.save({"args": ARGUMENTS, "model_state_dict": package._NISQADIM(ARGUMENTS).state_dict()}, path)
    monkeypatch.setattr(package, "NISQA_DIR", str(tmp_path))
    package._load_nisqa_model.cache_clear()
    yield path
    package._load_nisqa_model.cache_clear()


def speech(audio, rate=16000):
    return Speech(id="x", audio=audio, sample_rate=rate, text="")


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def test_values_and_dimensions_are_those_of_torchmetrics(weights):
    check_metric(NISQA())
    given = [speech(noise(16000)), speech(noise(24000), 48000), speech(0.5 * noise(16000)), speech(noise(16001))]
    for item, judgement in zip(given, NISQA(batch_size=2).load().judge(given), strict=True):
        expected = package.non_intrusive_speech_quality_assessment(item.audio, item.sample_rate).tolist()
        assert judgement.value == pytest.approx(expected[0], abs=1e-4)
        names = ("noisiness", "discontinuity", "coloration", "loudness")
        assert judgement.detail == pytest.approx(dict(zip(names, expected[1:], strict=True)), abs=2e-4)


def test_what_it_cannot_hear_has_its_reason(weights):
    given = [speech(noise(53 * 8000), 8000), speech(noise(96000), 96000), speech(noise(1600)), speech(noise(16000))]
    found = NISQA().load().judge(given)
    assert [one.detail.get("reason") for one in found[:3]] == [
        "the audio is too long: 53.0 s, NISQA hears 52 s at most",
        "the audio has 96000 Hz; NISQA hears 8000 to 48000 Hz",
        "the audio is too short: 0.10 s, at least 0.3 s are needed",
    ]
    assert found[3].value is not None


def test_the_longest_and_the_shortest_are_heard(weights):
    found = NISQA(min_duration=0.16).load().judge([speech(noise(52 * 8000), 8000), speech(noise(2560))])
    assert None not in [one.value for one in found]


def test_weights_that_cannot_be_had_are_named(weights, monkeypatch):
    import requests

    weights.write_bytes(b"<html>404</html>")
    with pytest.raises(
        ComponentError, match=r"nisqa\.tar: expected the weights of NISQA 2\.0, cannot load them: .* delete the file"
    ):
        NISQA().load()
    weights.unlink()

    def unreachable(url):
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", unreachable)
    with pytest.raises(ComponentError, match=r"nisqa cannot fetch https://github\.com/gabrielmittag/.* \(ConnectionError\); put"):
        NISQA().load()
    with pytest.raises(ConfigError, match=r"min_duration must be at least 0\.16"):
        NISQA(min_duration=0.1)
