"""Test vectors of DAC by its authors' package: run with `descript-audio-codec` installed, it writes vectors/dac.json.

`python tests/codecs/vectors/make_dac.py`, from the root of the checkout. The weights are a formula and not random numbers, so
that they are the same with every release of every library.
"""

import json
import zlib
from importlib.metadata import version
from pathlib import Path

import torch

VECTORS = Path(__file__).with_name("dac.json")
KINDS = {
    "44 kHz": {"sampling_rate": 44100, "downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 3},
    "24 kHz": {"sampling_rate": 24000, "downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 3},
    "16 kHz": {"sampling_rate": 16000, "downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 3},
}
SIZES = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_size": 64, "codebook_dim": 4}


def model_of(kind):
    """transformers' DacModel of a kind, its weights by formula."""
    from transformers import DacConfig, DacModel

    model = DacModel(DacConfig(**SIZES, **KINDS[kind])).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if not name.endswith("alpha"):
                place = torch.arange(value.numel(), dtype=torch.float64) + zlib.crc32(name.encode()) % 9973
                spread = value[0].numel() ** -0.5 if value.dim() == 3 else 0.1 if value.dim() == 1 else 1.0
                spread *= 0.02 if name == "decoder.conv2.weight" else 1.0  # or the tangent behind it makes a square wave
                value.copy_(((torch.sin(place * 12.9898) * 43758.5453 % 1 - 0.5) * 3.4 * spread).reshape(value.shape).float())
        for layer in model.quantizer.quantizers:  # latents about zero: else all sounds have the same few codes
            latents = []
            hook = layer.in_proj.register_forward_hook(lambda _, __, out, seen=latents: seen.append(out))
            model.encode(audio(40 * model.config.hop_length)[None, None])
            hook.remove()
            layer.in_proj.bias.sub_(latents[0].mean((0, 2)))
    return model


def audio(num_samples):
    """(num_samples,) float32: four sweeping tones."""
    place = torch.arange(num_samples, dtype=torch.float64)
    return sum(0.05 * torch.sin(place * (0.01 * k * k + place * 1e-6 * k)) for k in range(1, 5)).float()


def renamed(state, num_blocks):
    """The weights as the package names them; its convolutions keep direction and length apart."""

    def name(key):
        side, rest = key.split(".", 1)
        if side == "quantizer":
            return key
        inner = "block" if side == "encoder" else "model"
        units = {"snake1": "block.0", "conv1": "block.1", "snake2": "block.2", "conv2": "block.3"}
        if not rest.startswith("block."):
            number = {"conv1": 0, "snake1": num_blocks + 1, "conv2": num_blocks + 2}[rest.split(".")[0]]
            return f"{side}.{inner}.{number}.{rest.split('.')[-1]}"
        _, block, part, *last = rest.split(".")
        first = 1 if side == "encoder" else 0  # the encoder's blocks end with their convolution, the decoder's start with it
        if part.startswith("res_unit"):
            place = f"{int(part[-1]) - 1 + (0 if first else 2)}.{units[last[0]]}"
        else:
            place = str({"snake1": 3, "conv1": 4}[part] if first else {"snake1": 0, "conv_t1": 1}[part])
        return f"{side}.{inner}.{int(block) + 1}.block.{place}.{last[-1]}"

    found = {}
    for key, value in state.items():
        new = name(key)
        if value.dim() == 3 and new.endswith("weight"):
            found[new + "_v"] = value
            found[new + "_g"] = value.flatten(1).norm(dim=1)[:, None, None]
        else:
            found[new] = value
    return found


def main():
    from dac import DAC

    vectors = {"made by": f"descript-audio-codec {version('descript-audio-codec')}, torch {torch.__version__}", "kinds": {}}
    for kind, shape in KINDS.items():
        ratios = shape["downsampling_ratios"]
        package = DAC(
            encoder_dim=SIZES["encoder_hidden_size"],
            encoder_rates=ratios,
            decoder_dim=SIZES["decoder_hidden_size"],
            decoder_rates=ratios[::-1],
            n_codebooks=shape["n_codebooks"],
            codebook_size=SIZES["codebook_size"],
            codebook_dim=SIZES["codebook_dim"],
            sample_rate=shape["sampling_rate"],
        ).eval()
        package.load_state_dict(renamed(model_of(kind).state_dict(), len(ratios)))
        wave = audio(20 * package.hop_length + 77)
        with torch.no_grad():
            filled = package.preprocess(wave[None, None], shape["sampling_rate"])
            codes = package.encode(filled)[1]
            decoded = package.decode(package.quantizer.from_codes(codes)[0])[0, 0]
        vectors["kinds"][kind] = {
            "samples": len(wave),
            "codes": codes[0].tolist(),
            "decoded samples": len(decoded),
            "every 97th decoded sample": [round(float(value), 5) for value in decoded[::97]],
        }
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(vectors) + "\n")


if __name__ == "__main__":
    main()
