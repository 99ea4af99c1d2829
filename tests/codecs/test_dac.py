"""DAC: codes and audio of its authors' package, at three sample rates, and what does not fit is refused."""

import json

import pytest
import torch

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.dac import DacCodec
from lpo_tts.codes import Codes
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing.tiny_codecs import tiny_dac, tiny_mimi
from tests.codecs.vectors.make_dac import KINDS, VECTORS, audio, model_of


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_codes_and_audio_are_those_of_the_package(kind, tmp_path):
    model_of(kind).save_pretrained(tmp_path)
    codec = DacCodec(str(tmp_path)).load()
    expected = json.loads(VECTORS.read_text())["kinds"][kind]
    codes = codec.encode([audio(expected["samples"])])[0]
    assert codec.sample_rate == KINDS[kind]["sampling_rate"]
    told = torch.tensor(expected["codes"])
    assert all(len(level.unique()) > 4 for level in told)
    assert torch.stack(codes.levels).shape == told.shape
    assert float((torch.stack(codes.levels) == told).float().mean()) > 0.98  # rounding may decide between near codes
    wave = codec.decode([Codes(tuple(told))])[0]
    length = expected["decoded samples"]
    assert wave.numel() == told.shape[1] * round(codec.sample_rate / codec.frame_rate)
    assert 0 <= wave.numel() - length < 20
    assert not wave[length:].any()
    torch.testing.assert_close(wave[:length][::97], torch.tensor(expected["every 97th decoded sample"]), atol=2e-3, rtol=0)


def test_the_first_codebooks_can_be_used_alone(tmp_path):
    folder = tiny_dac(tmp_path)
    wave = [audio(9000)]
    all_of_them, few = DacCodec(folder).load(), DacCodec(folder, num_codebooks=3).load()
    assert (len(all_of_them.codebook_sizes), few.codebook_sizes) == (9, (1024,) * 3)
    codes = all_of_them.encode(wave)[0]
    assert all(torch.equal(one, other) for one, other in zip(codes.levels, few.encode(wave)[0].levels, strict=False))


def test_what_does_not_fit_is_refused(tmp_path):
    assert REGISTRY.get("dac") is DacCodec
    folder = tiny_dac(tmp_path / "dac", n_codebooks=2)
    with pytest.raises(ComponentError, match="expected at most 2 as `num_codebooks`, found 3"):
        DacCodec(folder, num_codebooks=3).load()
    with pytest.raises(ComponentError, match="expected a DAC checkpoint, found a mimi one"):
        DacCodec(tiny_mimi(tmp_path / "mimi", num_quantizers=2, codebook_size=16)).load()
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        DacCodec(str(tmp_path / "absent")).load()
    with pytest.raises(ConfigError, match="num_codebooks must be at least 1"):
        DacCodec(folder, num_codebooks=0)
