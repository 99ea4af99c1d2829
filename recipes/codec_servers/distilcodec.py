"""DistilCodec (arXiv 2505.17426), the codec of UniTTS: 24 kHz, 93.75 frames a second, one codebook of 32,768.

Environment (the code is no package; of its requirements inference needs these):
    git clone https://github.com/IDEA-Emdoor-Lab/DistilCodec
    python -m venv envs/distilcodec
    envs/distilcodec/bin/pip install "numpy<2.1" torch torchaudio librosa soundfile matplotlib tqdm einops einx==0.3.0 \
        transformers "vector_quantize_pytorch<1.18" loguru wandb tensorboard
Weights: IDEA-Emdoor/DistilCodec-v1.0 on the Hugging Face hub (CC BY-NC-ND 4.0): a folder with `model_config.json` and
`g_00204000`; another name of the configuration goes into --config.
Recipe:
    codec:
      name: process
      command: [envs/distilcodec/bin/python, recipes/codec_servers/distilcodec.py, --repo, DistilCodec, --model, weights]
      sample_rate: 24000
      codebook_sizes: [32768]

What the authors' `from_pretrained` and `decode_from_codes` do is done here without `.cuda()`, so that it runs on a CPU. Codes
are 0 to 32767: the offset of UniTTS' vocabulary (152064) belongs to the language model. A last, begun frame is filled with
zeros, where the authors' code drops it, so that the last codes of such a recording may be others. With random weights and
vector_quantize_pytorch 1.17.8, codes of whole frames and all audio were those of the authors' code. Not verified: the published
weights, and bfloat16 on a GPU.
"""

import argparse
import json
import os
import sys

import numpy as np
from serve import serve


class DistilCodecServer:
    """The network in evaluation mode: in training mode its codebook would move with every recording."""

    def __init__(self, repo, model, config, bfloat16, device):
        sys.path.insert(0, os.path.abspath(repo))
        import torch
        from distil_codec import DistilCodec

        self.torch, self.device, self.bfloat16 = torch, torch.device(device), bfloat16
        config = config or os.path.join(model, "model_config.json")
        with open(config) as file:
            settings = json.load(file)
        found = DistilCodec.scan_checkpoint(model, "g_")
        if found is None:
            raise FileNotFoundError(f"{model}: expected a checkpoint g_ and eight digits, found none")
        codec = DistilCodec(settings)
        state = torch.load(found, map_location="cpu", weights_only=True)
        for part in ("encoder", "generator", "quantizer"):
            getattr(codec, part).load_state_dict(state[part])
        codec.device = self.device
        codec.move_to_cuda()  # to `device`, whatever its name says; the spectrogram stays on the CPU
        self.codec = codec.eval()
        if (codec.ngroups, codec.nresiduals, codec.ds_factor) != (1, 1, 1):
            found = (codec.ngroups, codec.nresiduals, codec.ds_factor)
            raise ValueError(f"{config}: expected one group, one residual and no down-sampling, found {found}")
        self.sample_rate = int(settings["spec_transform"]["sampling_rate"])
        self.hop = int(settings["spec_transform"]["hop_size"])
        self.shortest = int(settings["spec_transform"]["n_fft"])  # samples: the spectrogram mirrors the ends of what it is given
        self.frame_rate = self.sample_rate / self.hop
        self.codebook_sizes = (int(settings["quantizer"]["codebook_size"]),)

    def _precision(self):
        return self.torch.autocast(self.device.type, self.torch.bfloat16, enabled=self.bfloat16)

    def encode(self, audio):
        """Waveforms at 24 kHz to codes, one recording at a time: the network hears the padding of others."""
        torch, codes = self.torch, []
        for wave in audio:
            frames = -(-len(wave) // self.hop)
            size = max(frames * self.hop, self.shortest)
            whole = np.pad(wave, (1, size - len(wave)))  # the authors' code begins with a zero, too
            with torch.no_grad(), self._precision():
                mel = self.codec.spec_transform(torch.from_numpy(whole)[None, None]).to(self.device)
                found = self.codec.quantizer(self.codec.encoder(mel)).codes  # (group, batch, frame, residual)
            codes.append([found[0, 0, :frames, 0].cpu().numpy()])
        return codes

    def decode(self, codes):
        """Codes to waveforms, one at a time."""
        torch, waves = self.torch, []
        for (level,) in codes:
            indices = torch.from_numpy(level)[None, None, :, None].to(self.device)
            with torch.no_grad(), self._precision():
                wave = self.codec.generator(self.codec.quantizer.decode(indices=indices))
            waves.append(wave.float().reshape(-1).cpu().numpy())
        return waves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="DistilCodec as a codec server.")
    parser.add_argument("--repo", required=True, help="checkout of IDEA-Emdoor-Lab/DistilCodec")
    parser.add_argument("--model", required=True, help="folder of the checkpoint g_XXXXXXXX")
    parser.add_argument("--config", help="model_config.json, where it does not lie in the folder")
    parser.add_argument("--bfloat16", action="store_true", help="as UniTTS encodes; float32 is exact")
    options = parser.parse_args()
    serve(lambda device, voice: DistilCodecServer(options.repo, options.model, options.config, options.bfloat16, device))
