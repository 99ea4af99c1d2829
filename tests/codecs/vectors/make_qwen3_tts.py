"""Writes qwen3_tts.json: what the published package makes of the tiny checkpoint; run where qwen-tts 0.1.1 is installed.

The checkpoint is that of `lpo_tts.testing.tiny_qwen3_tts`; its folder is the only argument.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from qwen_tts import Qwen3TTSTokenizer  # pyright: ignore[reportMissingImports]

LENGTHS = (1, 1919, 1920, 1921, 9601, 48000)  # samples
FRAMES = (1, 2, 7, 40, 300)
EVERY = 1997  # of a waveform's samples, one is kept in so many


def main(folder: str) -> None:
    """Encodes noise and decodes random codes, each from a generator of its own seed."""
    tokenizer = Qwen3TTSTokenizer.from_pretrained(folder)
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["decoder_config"]
    encoded, decoded = [], []
    for seed, length in enumerate(LENGTHS):
        wave = 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(seed))
        codes = tokenizer.encode(wave.numpy(), sr=24000).audio_codes[0]
        encoded.append({"seed": seed, "num_samples": length, "levels": codes.T.tolist()})
    for seed, frames in enumerate(FRAMES):
        generator = torch.Generator().manual_seed(seed)
        codes = torch.randint(config["codebook_size"], (config["num_quantizers"], frames), generator=generator)
        wave = torch.from_numpy(tokenizer.decode({"audio_codes": codes.T})[0][0])
        kept = [round(value, 6) for value in wave[::EVERY].tolist()]
        decoded.append({"seed": seed, "num_frames": frames, "num_samples": len(wave), "every": EVERY, "samples": kept})
    made_with = {name: version(name) for name in ("qwen-tts", "transformers", "torch")}
    vectors = {"made_with": made_with, "made_by": "make_qwen3_tts.py", "encode": encoded, "decode": decoded}
    Path(__file__).with_name("qwen3_tts.json").write_text(json.dumps(vectors) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
