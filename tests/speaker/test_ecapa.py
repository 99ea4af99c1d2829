"""ECAPA speaker vectors from tiny random checkpoints in the real format."""

import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lpo_tts.errors import ComponentError, ConfigError
from lpo_tts.metrics.base import Speech
from lpo_tts.metrics.similarity import SpeakerSimilarity
from lpo_tts.speaker import REGISTRY, ecapa
from lpo_tts.speaker.ecapa import ECAPAEncoder
from lpo_tts.testing import check_encoder

pytest.importorskip("speechbrain")

CHECKPOINTS = Path(__file__).resolve().parents[2] / "recipes" / "mini" / "checkpoints"

# The keys of the published checkpoint (speechbrain/spkrec-ecapa-voxceleb), with a tiny model.
HYPERPARAMS = """
pretrained_path: speechbrain/spkrec-ecapa-voxceleb
sample_rate: 16000
n_mels: 24
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
embedding_model: !new:speechbrain.lobes.models.ECAPA_TDNN.ECAPA_TDNN
    input_size: !ref <n_mels>
    channels: [16, 16, 16, 16, 48]
    kernel_sizes: [5, 3, 3, 3, 1]
    dilations: [1, 2, 3, 4, 1]
    attention_channels: 16
    lin_neurons: 20
mean_var_norm_emb: !new:speechbrain.processing.features.InputNormalization
    norm_type: global
    std_norm: False
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    mean_var_norm_emb: !ref <mean_var_norm_emb>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        embedding_model: !ref <embedding_model>
    paths:
        embedding_model: !ref <pretrained_path>/embedding_model.ckpt
"""


class Thief:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def build(folder, style, dtype=torch.float32):
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS)
    torch.manual_seed(7)
    sizes = {"channels": [16, 16, 16, 16, 48], "kernel_sizes": [5, 3, 3, 3, 1], "dilations": [1, 2, 3, 4, 1]}
    model = ECAPA_TDNN(24, **sizes, attention_channels=16, lin_neurons=20)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in model.state_dict().items()}
    if style == "ckpt":
        torch.save(state, folder / "embedding_model.ckpt")
    else:
        save_file(state, folder / "embedding_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("ecapa")
    return {
        "ckpt": build(root / "ckpt", "ckpt"),
        "safetensors": build(root / "safetensors", "safetensors"),
        "half": build(root / "half", "safetensors", torch.float16),
    }


@pytest.fixture(scope="module")
def waveforms():
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(samples, generator=generator) for samples in (16000, 9000, 16000, 12345)]


def test_vectors_are_of_unit_length_and_do_not_depend_on_batch_mates(folders, waveforms):
    check_encoder(ECAPAEncoder(str(folders["ckpt"])))
    loaded = ECAPAEncoder(str(folders["ckpt"])).load()
    together = loaded.embed(waveforms)
    assert together.shape == (4, 20)
    assert torch.allclose(together.norm(dim=-1), torch.ones(4), atol=1e-5)
    alone = torch.cat([loaded.embed([waveform]) for waveform in waveforms])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together[0], together[2], atol=1e-3)


def test_both_weight_formats_agree_and_half_precision_is_near(folders, waveforms):
    first, second, half = (ECAPAEncoder(str(folders[name])).load().embed(waveforms) for name in ("ckpt", "safetensors", "half"))
    assert torch.equal(first, second)
    assert float((first * half).sum(-1).min()) > 0.999


def test_vectors_equal_those_of_speechbrains_own_loader(folders, waveforms, tmp_path):
    from speechbrain.inference.speaker import SpeakerRecognition
    from speechbrain.utils.fetching import LocalStrategy

    source = str(folders["ckpt"])
    overrides = {"pretrained_path": source}
    theirs = SpeakerRecognition.from_hparams(
        source=source, savedir=str(tmp_path / "copy"), overrides=overrides, local_strategy=LocalStrategy.COPY
    )
    expected = torch.nn.functional.normalize(theirs.encode_batch(waveforms[1][None]).squeeze(1), dim=-1)
    assert torch.allclose(ECAPAEncoder(source).load().embed([waveforms[1]]), expected, atol=1e-5)


def test_similarity_of_a_recording_with_itself_is_one(folders, waveforms):
    metric = SpeakerSimilarity(ECAPAEncoder(str(folders["safetensors"]))).load()
    said = {"sample_rate": 16000, "text": "", "voice_sample_rate": 16000}
    same = Speech(id="a", audio=waveforms[0], voice=waveforms[0], **said)
    other = Speech(id="b", audio=waveforms[0], voice=waveforms[1], **said)
    short = Speech(id="c", audio=waveforms[0][:3000], voice=waveforms[1], **said)
    values = [judgement.value for judgement in metric.judge([same, other, short])]
    assert values[0] == pytest.approx(1.0, abs=1e-5)
    assert values[1] < 0.9999
    assert values[2] is None


def test_too_short_and_nothing_are_refused(folders, waveforms):
    loaded = ECAPAEncoder(str(folders["safetensors"]), min_duration=0.5).load()
    assert (loaded.sample_rate, loaded.min_duration) == (16000, 0.5)
    with pytest.raises(ComponentError, match=r"waveform 1: expected at least 0\.5 s, found 0\.050 s"):
        loaded.embed([waveforms[0], torch.zeros(800)])
    with pytest.raises(ComponentError, match="expected at least one waveform"):
        loaded.embed([])


def test_what_is_wrong_with_a_folder_is_named(folders, tmp_path):
    with pytest.raises(ComponentError, match=r"hyperparams\.yaml: expected SpeechBrain's settings"):
        ECAPAEncoder(str(tmp_path)).load()
    (tmp_path / "hyperparams.yaml").write_text(HYPERPARAMS)
    with pytest.raises(ComponentError, match=r"expected embedding_model\.safetensors or embedding_model\.ckpt, found neither"):
        ECAPAEncoder(str(tmp_path)).load()
    (tmp_path / "embedding_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ComponentError, match=r"embedding_model\.safetensors: expected the weights .* do not fit"):
        ECAPAEncoder(str(tmp_path)).load()
    save_file({"other": torch.zeros(1)}, tmp_path / "embedding_model.safetensors")
    with pytest.raises(ComponentError, match="do not fit"):
        ECAPAEncoder(str(tmp_path)).load()
    (tmp_path / "hyperparams.yaml").write_text("sample_rate: 8000\n")
    with pytest.raises(ComponentError, match="found no compute_features"):
        ECAPAEncoder(str(tmp_path)).load()
    with pytest.raises(ComponentError, match="no such folder: 'no/such/model/anywhere'"):
        ECAPAEncoder("no/such/model/anywhere").load()
    (tmp_path / "hyperparams.yaml").write_text(HYPERPARAMS)
    (tmp_path / "embedding_model.safetensors").unlink()
    torch.save(Thief(tmp_path / "run"), tmp_path / "embedding_model.ckpt")
    with pytest.raises(ComponentError, match="do not fit"):
        ECAPAEncoder(str(tmp_path)).load()
    assert not (tmp_path / "run").exists()


def test_the_shipped_encoders_are_what_speechbrain_builds_of_their_files():
    hyperpyyaml = pytest.importorskip("hyperpyyaml")
    for name in ("speaker-train", "speaker-judge"):
        folder = CHECKPOINTS / name
        theirs = hyperpyyaml.load_hyperpyyaml((folder / "hyperparams.yaml").read_text())
        ours, sample_rate = ecapa._build(folder / "hyperparams.yaml")
        assert sample_rate == theirs["sample_rate"]
        for part, module in zip(ecapa.PARTS, ours, strict=True):
            assert repr(module) == repr(theirs[part])
            settings = {key: value for key, value in vars(theirs[part]).items() if isinstance(value, int | float | str | list)}
            assert settings == {key: getattr(module, key) for key in settings}


# What a file may try; each line stands in for a part, a setting of a part, or a key that nobody needs.
CRIMES = {
    "apply": "!apply:os.mkdir [{path}]",
    "apply by name": "!apply:os.mkdir\n    path: {path}",
    "python object": "!!python/object/apply:os.mkdir [{path}]",
    "python object new": "!!python/object/new:os.mkdir [{path}]",
    "python name": "!!python/name:os.mkdir",
    "python module": "!!python/module:os",
    "new": "!new:os.mkdir [{path}]",
    "new by name": "!new:os.mkdir\n    path: {path}",
    "new of another class": "!new:pathlib.Path\n    path: {path}",
    "name": "!name:os.mkdir [{path}]",
    "module": "!module:os",
    "include": "!include:{path}.yaml",
    "arithmetic": "!ref <n_mels> * 2",
    "text around": "!ref <n_mels>/x",
    "attribute": "!ref <compute_features.__class__>",
    "item": "!ref <modules[x]>",
    "copy": "!copy <n_mels>",
    "tuple": "!tuple (1, 2)",
    "placeholder": "!PLACEHOLDER",
    "itself": "!ref <circle>",
    "mapping": "{{a: 1}}",
    "nested list": "[[1], [2]]",
}


@pytest.mark.parametrize("place", ["part", "setting", "list", "sample_rate"])
@pytest.mark.parametrize("crime", CRIMES)
def test_a_file_that_would_run_code_is_refused_by_name_and_runs_nothing(crime, place, tmp_path):
    (tmp_path / "made.yaml").write_text("x: 1")
    path = tmp_path / "made"
    text = CRIMES[crime].format(path=path)
    before = {
        "part": "compute_features: !new:speechbrain.lobes.features.Fbank\n    n_mels: !ref <n_mels>",
        "setting": "    attention_channels: 16",
        "list": "    channels: [16, 16, 16, 16, 48]",
        "sample_rate": "sample_rate: 16000",
    }[place]
    key = before.partition(":")[0]
    assert before in HYPERPARAMS
    indented = text.replace("\n", "\n    ") if place in ("setting", "list") else text
    if place == "list":
        indented = f"[16, {text}, 16]" if "\n" not in text else indented
    (tmp_path / "hyperparams.yaml").write_text(HYPERPARAMS.replace(before, f"{key}: {indented}") + "circle: !ref <circle>\n")
    with pytest.raises(ComponentError) as caught:
        ECAPAEncoder(str(tmp_path)).load()
    message = str(caught.value)
    assert not path.exists()
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'hyperparams.yaml'}: ")
    assert key.strip() in message


@pytest.mark.parametrize("crime", CRIMES)
def test_what_stands_at_a_key_that_is_not_needed_is_never_built(crime, folders, waveforms, tmp_path):
    (tmp_path / "made.yaml").write_text("x: 1")
    text = CRIMES[crime].format(path=tmp_path / "made")
    text = f"circle: 1\n{HYPERPARAMS}__set_seed: {text}\nnot_needed:\n    - {text if chr(10) not in text else 1}\n"
    (tmp_path / "hyperparams.yaml").write_text(text)
    (tmp_path / "embedding_model.safetensors").write_bytes((folders["safetensors"] / "embedding_model.safetensors").read_bytes())
    vectors = ECAPAEncoder(str(tmp_path)).load().embed(waveforms[:1])
    assert torch.equal(vectors, ECAPAEncoder(str(folders["safetensors"])).load().embed(waveforms[:1]))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("n_mels: 24", "n_mels: 24\nn_mels: 25"), "not YAML: the key 'n_mels' stands twice"),
        (("n_mels: 24", "n_mels: [" * 5000), "not YAML"),
        (("n_mels: 24", "n_mels: -3"), "cannot build SpeechBrain's modules of these settings"),
        (("n_mels: 24", "n_mels: many"), "cannot build SpeechBrain's modules of these settings"),
        (("lin_neurons: 20", "neurons: 20"), "unexpected keyword argument 'neurons'"),
        (("dilations: [1, 2, 3, 4, 1]", "dilations: [1]"), "cannot build SpeechBrain's modules of these settings"),
        (("sample_rate: 16000", "sample_rate: fast"), "expected a sample_rate in Hz, found 'fast'"),
        (("norm_type: sentence", "norm_type: global"), "norm_type sentence or batch, found global"),
        (("lin_neurons: 20", "activation: !name:torch.hub.load"), "expected !name: of torch.nn.GELU, torch.nn.LeakyReLU"),
    ],
)
def test_settings_of_no_encoder_are_one_line(change, message, tmp_path):
    (tmp_path / "hyperparams.yaml").write_text(HYPERPARAMS.replace(*change))
    with pytest.raises(ComponentError) as caught:
        ECAPAEncoder(str(tmp_path)).load()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_and_quiet(folders):
    ECAPAEncoder(str(folders["safetensors"])).load()
    with pytest.raises(ConfigError, match="min_duration must be above 0, found 0"):
        ECAPAEncoder(min_duration=0)
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        ECAPAEncoder(batch_size=0)
    assert REGISTRY.get("ecapa") is ECAPAEncoder
    assert logging.getLogger("speechbrain").level == logging.ERROR
