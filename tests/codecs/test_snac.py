"""SNAC: the package's codes, noise that is always the same, and checkpoints that are tensors and nothing else."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lpo_tts.codecs import REGISTRY
from lpo_tts.codecs.snac import SeededNoise, SnacCodec
from lpo_tts.codes import Slot, TokenLayout
from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.testing.tiny_codecs import tiny_snac
from tests.codecs.kinds import SNAC_44KHZ

snac = pytest.importorskip("snac")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_snac(tmp_path_factory.mktemp("snac"))


@pytest.fixture(scope="module")
def codec(folder):
    return SnacCodec(folder).load()


def noise(*lengths):
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


def test_says_what_it_is(codec):
    assert REGISTRY.get("snac") is SnacCodec
    assert (codec.input_sample_rate, codec.sample_rate, codec.frame_rate) == (24000, 24000, 24000 / 2048)
    assert (codec.codebook_sizes, codec.rates) == ((4096,) * 3, (1, 2, 4))
    assert SnacCodec.about["tokens_per_second"] == round(7 * codec.frame_rate, 2)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [{}, SNAC_44KHZ], ids=["24 kHz", "44 kHz"])
def test_codes_and_quiet_decoding_are_those_of_the_package(tmp_path, sizes):
    codec = SnacCodec(tiny_snac(tmp_path, **sizes)).load()
    package = snac.SNAC.from_pretrained(str(tmp_path)).eval()
    frame = round(codec.sample_rate / codec.frame_rate)
    for length in (1, frame, frame + 1, 9 * frame - 7, 12 * frame):
        audio = noise(length)[0]
        with torch.inference_mode():
            expected = package.encode(audio[None, None])
        found = codec.encode([audio])[0]
        for level, whole, rate in zip(found.levels, expected, codec.rates, strict=True):
            assert level.numel() == rate * -(-length // frame)
            assert torch.equal(level, whole[0, : level.numel()])
        if not len(expected[0][0]) % 4 and len(expected[0][0]) == found.num_frames:
            for block in [*package.modules(), *codec._model.modules()]:
                if isinstance(block, snac.layers.NoiseBlock | SeededNoise):
                    block.linear = torch.nn.Conv1d(block.linear.in_channels, block.linear.in_channels, 1, bias=False)
                    torch.nn.init.zeros_(block.linear.weight)
            with torch.inference_mode():
                torch.testing.assert_close(codec.decode([found])[0], package.decode(expected)[0, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_noise_depends_on_seed_and_place_alone(folder, codec):
    first, second = codec.encode(noise(30000, 30000 + 2048))
    before = torch.random.get_rng_state()
    wave = codec.decode([first])[0]
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    for group in ([first, second], [second, first], [first, first, second]):
        for codes, found in zip(group, codec.decode(group), strict=True):
            torch.testing.assert_close(found, wave if codes is first else codec.decode([second])[0], atol=1e-6, rtol=1e-5)
    assert torch.equal(wave, SnacCodec(folder).load().decode([first])[0])
    assert not torch.allclose(wave, SnacCodec(folder, seed=1).load().decode([first])[0], atol=1e-3)


def test_noise_of_a_place_is_the_same_from_wherever_it_is_asked():
    block = SeededNoise(torch.nn.Identity(), 5, 2, per_frame=8)
    whole = block._noise(0, 1000)
    assert abs(whole.mean()) < 0.1
    assert abs(whole.std() - 1) < 0.1
    for start, stop in ((0, 8), (100, 300), (128, 256), (999, 1000)):
        assert (block._noise(start, stop) == whole[start:stop]).all()
    assert (SeededNoise(torch.nn.Identity(), 5, 3, 8)._noise(0, 1000) != whole).any()


def test_seven_slots_of_a_frame_carry_the_codes(codec):
    slots = ((0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (2, 2), (2, 3))
    layout = TokenLayout(tuple(Slot(level, index, 128266 + 4096 * n, 4096) for n, (level, index) in enumerate(slots)))
    codes = codec.encode(noise(9000))[0]
    tokens = layout.to_tokens(codes)
    assert tokens.numel() == 7 * codes.num_frames
    assert torch.equal(codec.decode([layout.to_codes(tokens)])[0], codec.decode([codes])[0])


def test_safetensors_are_read_too(folder, codec, tmp_path):
    state = torch.load(f"{folder}/pytorch_model.bin", weights_only=True)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "model.safetensors")
    shutil.copy(f"{folder}/config.json", tmp_path)
    audio = noise(5000)
    for one, other in zip(codec.encode(audio), SnacCodec(str(tmp_path)).load().encode(audio), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.levels, other.levels, strict=True))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_hub_id_is_read_at_its_revision(folder, codec, tmp_path, monkeypatch, name):
    from huggingface_hub import constants

    commit = "1" * 40
    place = tmp_path / "hub" / "models--owner--name" / "snapshots" / commit
    place.mkdir(parents=True)
    shutil.copy(f"{folder}/config.json", place)
    state = torch.load(f"{folder}/pytorch_model.bin", weights_only=True)
    if name.endswith("bin"):
        torch.save(state, place / name)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, place / name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    audio = noise(5000)
    found = SnacCodec("owner/name", revision=commit).load().encode(audio)
    assert torch.equal(found[0].levels[2], codec.encode(audio)[0].levels[2])
    with pytest.raises(ComponentError, match=r"owner/name .revision 2+.: expected a SNAC checkpoint"):
        SnacCodec("owner/name", revision="2" * 40).load()


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(folder, tmp_path, form):
    victim = tmp_path / "victim"
    shutil.copy(f"{folder}/config.json", tmp_path)
    state = {"encoder.block.0.bias": Attack(str(victim))}
    if form == "torch":
        torch.save(state, tmp_path / "pytorch_model.bin")
    else:
        (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(state))
    with pytest.raises(ComponentError, match=r"pytorch_model\.bin: expected a file of tensors alone") as caught:
        SnacCodec(str(tmp_path)).load()
    assert "\n" not in str(caught.value)
    assert not victim.exists()


def test_what_does_not_fit_is_refused_in_one_line(folder, tmp_path):
    with pytest.raises(ComponentError, match=r"no such folder: .*absent"):
        SnacCodec(str(tmp_path / "absent")).load()
    with pytest.raises(ComponentError, match=r"expected a SNAC checkpoint .* found \[\]"):
        SnacCodec(str(tmp_path)).load()
    (tmp_path / "pytorch_model.bin").write_bytes(b"nothing")
    config = json.loads(Path(folder, "config.json").read_text())
    for wrong in ({**config, "layers": 3}, {**config, "encoder_dim": "many"}, [1]):
        (tmp_path / "config.json").write_text(json.dumps(wrong))
        with pytest.raises(ComponentError, match="expected a SNAC checkpoint"):
            SnacCodec(str(tmp_path)).load()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ComponentError, match=r"pytorch_model\.bin: expected a file of tensors alone"):
        SnacCodec(str(tmp_path)).load()
    torch.save(torch.load(f"{folder}/pytorch_model.bin", weights_only=True), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({**config, "codebook_size": 512}))
    with pytest.raises(ComponentError, match=r"expected the weights that its config\.json tells of: quantizer.*\(512, 4\)"):
        SnacCodec(str(tmp_path)).load()
    torch.save([1, 2], tmp_path / "pytorch_model.bin")
    with pytest.raises(ComponentError, match=r"pytorch_model\.bin: expected the weights"):
        SnacCodec(str(tmp_path)).load()
    uneven = tiny_snac(tmp_path / "uneven", vq_strides=[3, 2, 1])
    with pytest.raises(ComponentError, match=r"expected vq_strides that divide the first, found \[3, 2, 1\]"):
        SnacCodec(uneven).load()
    with pytest.raises(ConfigError, match="seed must be at least 0"):
        SnacCodec(folder, seed=-1)
