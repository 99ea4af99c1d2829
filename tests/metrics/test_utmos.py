"""UTMOS with the network of its package: random weights in the published format, of one transformer layer instead of twelve."""

import pytest
import torch

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.utmos import UTMOS
from lpo_tts.testing import check_metric

package = pytest.importorskip("utmos_pytorch.utmos_torch", reason="utmos-pytorch is not installed: pip install 'lpo-tts[utmos]'")
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    wav2vec = package.Wav2Vec2Config
    monkeypatch.setattr(package, "Wav2Vec2Config", lambda: wav2vec(encoder_layers=1))
    torch.manual_seed(0)
    torch.save(package.UTMOSModel().state_dict(), tmp_path / "utmos_state_dict.pt")
    return tmp_path


def speech(audio):
    return Speech(id="x", audio=audio, sample_rate=16000, text="")


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def test_values_are_those_of_the_package(folder):
    check_metric(UTMOS(str(folder)))
    waves = [noise(16000), noise(9000)]
    found = UTMOS(str(folder)).load().judge([speech(wave) for wave in waves])
    theirs = package.UTMOSScoreTorch(str(folder / "utmos_state_dict.pt"))
    assert [one.value for one in found] == pytest.approx([float(theirs.score(wave)) for wave in waves], abs=1e-5)


def test_weights_that_the_package_would_go_on_without_are_refused(folder):
    path = folder / "utmos_state_dict.pt"
    state = torch.load(path, weights_only=True)
    some = next(name for name in state if name.startswith("output_layers.1"))
    torch.save({name: value for name, value in state.items() if name != some}, path)
    assert package.UTMOSScoreTorch(str(path)) is not None, "the package takes it"
    with pytest.raises(ComponentError, match=rf"1 tensors do not fit, {some} the first"):
        UTMOS(str(folder)).load()
    torch.save(state | {"other": torch.zeros(1)}, path)
    with pytest.raises(ComponentError, match="other the first"):
        UTMOS(str(folder)).load()
    path.write_bytes(b"torn")
    with pytest.raises(ComponentError, match="cannot read it"):
        UTMOS(str(folder)).load()
    path.unlink()
    with pytest.raises(ComponentError, match=r"utmos_state_dict\.pt: expected a folder or hub repository .*, found no such file"):
        UTMOS(str(folder)).load()


def test_settings():
    with pytest.raises(ComponentError, match="no such folder"):
        UTMOS("no/such/folder").load()
    with pytest.raises(ConfigError, match="revision"):
        UTMOS(revision="a b")
