"""The official speaker verification checkpoint in its own names and format, tiny and random, against a computation by hand."""

import re

import pytest
import torch
from torch.nn.functional import batch_norm, conv1d, linear, relu
from transformers import WavLMConfig, WavLMModel

from lpo_tts.errors import ComponentError
from lpo_tts.speaker.ecapa_small import EcapaSmall
from lpo_tts.speaker.wavlm_large_sv import MAX_DISTANCE, WavLMLargeSpeakerEncoder, _wavlm
from lpo_tts.speaker.wavlm_names import HEAD_NAMES, WAVLM_NAMES, new_name, published_name
from lpo_tts.testing import check_encoder

HIDDEN, CHANNELS, JOINT, DIM = 16, 32, 48, 10


def published(net):
    """The names of WavLM as its authors' code has them, from those of transformers; written apart from the table."""
    names = {}
    for name, value in net.state_dict().items():
        name = name.replace("masked_spec_embed", "mask_emb").replace("feature_projection.projection", "post_extract_proj")
        name = name.replace("feature_projection.layer_norm", "layer_norm")
        name = re.sub(r"(conv_layers\.\d)\.conv", r"\1.0", name)
        name = re.sub(r"(conv_layers\.\d)\.layer_norm", r"\1.2.1", name)
        name = name.replace("pos_conv_embed.conv", "pos_conv.0").replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        name = re.sub(r"(layers\.\d)\.layer_norm", r"\1.self_attn_layer_norm", name)
        name = name.replace("feed_forward.intermediate_dense", "fc1").replace("feed_forward.output_dense", "fc2")
        name = name.replace("attention.gru_rel_pos_linear", "self_attn.grep_linear")
        name = name.replace("attention.gru_rel_pos_const", "self_attn.grep_a")
        name = name.replace("attention.rel_attn_embed", "self_attn.relative_attention_bias")
        names["feature_extract.model." + name.replace(".attention.", ".self_attn.")] = value
    return names


def random_head(num_layers):
    """Every tensor of the head under its published name."""
    shapes = {"feature_weight": (num_layers,)}

    def unit(name, outputs, inputs, kernel):
        shapes.update({f"{name}.conv.weight": (outputs, inputs, kernel), f"{name}.conv.bias": (outputs,)})
        norm(f"{name}.bn", outputs)

    def norm(name, size):
        shapes.update({f"{name}.{one}": (size,) for one in ("weight", "bias", "running_mean", "running_var")})

    unit("layer1", CHANNELS, HIDDEN, 5)
    for layer in ("layer2", "layer3", "layer4"):
        unit(f"{layer}.Conv1dReluBn1", CHANNELS, CHANNELS, 1)
        unit(f"{layer}.Conv1dReluBn2", CHANNELS, CHANNELS, 1)
        for index in range(7):
            shapes[f"{layer}.Res2Conv1dReluBn.convs.{index}.weight"] = (CHANNELS // 8, CHANNELS // 8, 3)
            shapes[f"{layer}.Res2Conv1dReluBn.convs.{index}.bias"] = (CHANNELS // 8,)
            norm(f"{layer}.Res2Conv1dReluBn.bns.{index}", CHANNELS // 8)
        for name, rows, columns in (("linear1", 6, CHANNELS), ("linear2", CHANNELS, 6)):
            shapes.update({f"{layer}.SE_Connect.{name}.weight": (rows, columns), f"{layer}.SE_Connect.{name}.bias": (rows,)})
    shapes.update({"conv.weight": (JOINT, 3 * CHANNELS, 1), "conv.bias": (JOINT,)})
    shapes.update({"pooling.linear1.weight": (5, JOINT, 1), "pooling.linear1.bias": (5,)})
    shapes.update({"pooling.linear2.weight": (JOINT, 5, 1), "pooling.linear2.bias": (JOINT,)})
    norm("bn", 2 * JOINT)
    shapes.update({"linear.weight": (DIM, 2 * JOINT), "linear.bias": (DIM,)})
    state = {}
    for name, shape in shapes.items():
        fan = shape[1] * (shape[2] if len(shape) > 2 else 1) if len(shape) > 1 else 4
        state[name] = torch.randn(shape) / fan**0.5 if not name.endswith("running_var") else torch.rand(shape) + 0.5
    counts = [name.replace("running_var", "num_batches_tracked") for name in shapes if name.endswith("running_var")]
    return state | dict.fromkeys(counts, torch.tensor(7))


@pytest.fixture(scope="module")
def wavlm():
    torch.manual_seed(2)
    config = WavLMConfig(
        hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, conv_dim=(8,) * 7, conv_bias=False,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, feat_extract_norm="layer", do_stable_layer_norm=True,
        max_bucket_distance=MAX_DISTANCE, layerdrop=0.0,
    )  # fmt: skip
    net = WavLMModel(config).eval()
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return net


@pytest.fixture
def state(wavlm):
    torch.manual_seed(3)
    return published(wavlm) | random_head(3) | {"loss_calculator.projection.weight": torch.randn(4, DIM)}


def write(path, state):
    torch.save({"model": state, "best_valid_eer": 0.431}, path)
    return str(path)


def by_hand(wavlm, state, wave):
    """The speaker vector of one waveform from tensors of published names."""
    inputs = []
    hooks = [layer.register_forward_hook(lambda _, given, __: inputs.append(given[0])) for layer in wavlm.encoder.layers]
    level = (wave - wave.mean()) / (wave.var(unbiased=False) + 1e-5).sqrt()
    last = wavlm(level[None]).last_hidden_state
    for hook in hooks:
        hook.remove()
    weights = torch.exp(state["feature_weight"]) / torch.exp(state["feature_weight"]).sum()
    x = sum(weight * layer for weight, layer in zip(weights, [*inputs, last], strict=True)).transpose(1, 2) + 1e-6
    x = (x - x.mean(2, keepdim=True)) / (x.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()

    def norm(name, y):
        parts = (state[f"{name}.{one}"] for one in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(y, *parts)

    def unit(name, y, padding=0):
        return norm(f"{name}.bn", relu(conv1d(y, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], padding=padding)))

    def dense(name, y):
        return linear(y, state[f"{name}.weight"], state[f"{name}.bias"])

    x, outputs = unit("layer1", x, 2), []
    for dilation in (2, 3, 4):
        layer = f"layer{dilation}"
        groups = unit(f"{layer}.Conv1dReluBn1", x).split(CHANNELS // 8, 1)
        heard, previous = [], 0
        for index in range(7):
            name = f"{layer}.Res2Conv1dReluBn.convs.{index}"
            y = conv1d(
                groups[index] + previous, state[f"{name}.weight"], state[f"{name}.bias"], padding=dilation, dilation=dilation
            )
            previous = norm(f"{layer}.Res2Conv1dReluBn.bns.{index}", relu(y))
            heard.append(previous)
        y = unit(f"{layer}.Conv1dReluBn2", torch.cat([*heard, groups[7]], 1))
        gate = torch.sigmoid(dense(f"{layer}.SE_Connect.linear2", relu(dense(f"{layer}.SE_Connect.linear1", y.mean(2)))))
        x = x + y * gate[..., None]
        outputs.append(x)
    x = relu(conv1d(torch.cat(outputs, 1), state["conv.weight"], state["conv.bias"]))
    tanh = torch.tanh(conv1d(x, state["pooling.linear1.weight"], state["pooling.linear1.bias"]))
    share = conv1d(tanh, state["pooling.linear2.weight"], state["pooling.linear2.bias"]).softmax(2)
    mean = (share * x).sum(2)
    spread = ((share * x**2).sum(2) - mean**2).clamp(min=1e-9).sqrt()
    vector = dense("linear", norm("bn", torch.cat([mean, spread], 1)))[0]
    return vector / vector.norm()


def waves(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [0.1 * torch.randn(size, generator=generator) * torch.sin(torch.arange(size) / (20 + size % 7)) for size in sizes]


def test_vectors_are_those_computed_by_hand_though_padded(wavlm, state, tmp_path):
    path = write(tmp_path / "tiny.pth", state)
    check_encoder(WavLMLargeSpeakerEncoder(path))
    given = waves(16000, 4800, 16000, 12345)
    found = WavLMLargeSpeakerEncoder(path, batch_size=3).load().embed(given)
    with torch.inference_mode():
        expected = torch.stack([by_hand(wavlm, state, wave) for wave in given])
    assert torch.allclose(found, expected, atol=2e-5)
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3, "else any vector would do"


def test_sizes_of_wavlm_large_have_the_711_tensors_of_the_published_file():
    with torch.device("meta"):
        front = _wavlm(LargeShapes())
        head = EcapaSmall(num_layers=25, features=1024, channels=512, squeezed=128, joint=1536, attention=128, dim=256)
    names = [published_name(name, WAVLM_NAMES) for name in front.state_dict()]
    heads = [published_name(name, HEAD_NAMES) for name in head.state_dict()]
    assert (len(set(names)), len(set(heads))) == (488, 222)  # and the classifier of the training
    assert {"encoder.layers.23.self_attn.grep_a", "encoder.pos_conv.0.weight_g", "post_extract_proj.weight"} <= set(names)
    assert {"layer4.Res2Conv1dReluBn.bns.6.num_batches_tracked", "layer2.SE_Connect.linear2.bias"} <= set(heads)
    assert [new_name(name, WAVLM_NAMES) for name in names] == list(front.state_dict())


class LargeShapes(dict):
    """As much of wavlm_large_finetune.pth as its sizes are read from."""

    def __init__(self):
        convs = {
            f"feature_extractor.conv_layers.{index}.0.weight": (512, 512, kernel)
            for index, kernel in enumerate((10, 3, 3, 3, 3, 2, 2))
        }
        layers = {f"encoder.layers.{index}.fc1.weight": (4096, 1024) for index in range(24)}
        first = {"self_attn.grep_a": (1, 16, 1, 1), "self_attn.relative_attention_bias.weight": (320, 16)}
        shapes = convs | layers | {f"encoder.layers.0.{name}": shape for name, shape in first.items()}
        shapes["encoder.pos_conv.0.weight_v"] = (1024, 64, 128)
        super().__init__({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})


def test_what_is_missing_or_does_not_belong_there_is_named(state, tmp_path):
    path = tmp_path / "tiny.pth"

    def refused(changed, message):
        write(path, changed)
        with pytest.raises(ComponentError, match=message):
            WavLMLargeSpeakerEncoder(str(path)).load()

    def without(name):
        return {key: value for key, value in state.items() if key != name}

    front = "feature_extract.model.encoder.layers.1.self_attn.k_proj.bias"
    refused(without(front), rf"tiny\.pth: expected wavlm_large_finetune\.pth .* found no {re.escape(front)}$")
    refused(without("layer3.SE_Connect.linear1.bias"), r"found no layer3\.SE_Connect\.linear1\.bias$")
    refused(without("layer1.conv.weight"), r"found no layer1\.conv\.weight$")
    refused(without("feature_weight"), "found no feature_weight$")
    refused(state | {"layer5.conv.weight": torch.zeros(1)}, r"found layer5\.conv\.weight, which it does not have$")
    refused(state | {"linear.bias": torch.zeros(3)}, "tensors do not fit: .*last.bias")
    refused(
        {name: value for name, value in state.items() if name.startswith("feature_extract")}, r"found no layer1\.conv\.weight"
    )


def test_a_file_that_is_none_or_runs_code_is_refused(tmp_path):
    path = tmp_path / "wavlm_large_finetune.pth"
    with pytest.raises(ComponentError, match=r"expected the file wavlm_large_finetune\.pth .* found none; download it"):
        WavLMLargeSpeakerEncoder(str(path)).load()
    path.write_bytes(b"torn")
    with pytest.raises(ComponentError, match="cannot read it"):
        WavLMLargeSpeakerEncoder(str(path)).load()
    torch.save({"model": {"x": print}}, path)
    with pytest.raises(ComponentError, match="may run code"):
        WavLMLargeSpeakerEncoder(str(path)).load()
    torch.save({"state": {}}, path)
    with pytest.raises(ComponentError, match="cannot read it"):
        WavLMLargeSpeakerEncoder(str(path)).load()
