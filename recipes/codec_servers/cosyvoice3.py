"""CosyVoice3's flow and vocoder: S3 tokens v3 (25 a second, 6,561 codes) and a reference voice to 24 kHz; encodes 16 kHz.

Environment (its requirements pin torch 2.3.1 and transformers 4.51.3):
    git clone --recursive https://github.com/FunAudioLLM/CosyVoice
    python3.10 -m venv envs/cosyvoice && envs/cosyvoice/bin/pip install -r CosyVoice/requirements.txt
Weights: FunAudioLLM/Fun-CosyVoice3-0.5B-2512 on the Hugging Face hub (Apache-2.0), as a folder.
Recipe:
    codec:
      name: process
      command: [envs/cosyvoice/bin/python, recipes/codec_servers/cosyvoice3.py, --repo, CosyVoice, --model, weights]
      voice: voices/reference.wav
      sample_rate: 24000
      codebook_sizes: [6561]

All speech takes on the voice of `voice`, at most 30 seconds at 16 kHz or more; so is what is encoded at most 30 seconds long.
The language model of the folder is loaded with the rest and dropped again. Written from the public code and not run: the
number of samples is checked by lpo-tts, and nothing else is verified.
"""

import argparse
import os
import sys
import tempfile

import numpy as np
from serve import only_device, serve


class CosyVoice:
    """The flow and the vocoder with one voice."""

    sample_rate, input_sample_rate, frame_rate, codebook_sizes = 24000, 16000, 25.0, (6561,)

    def __init__(self, repo, model, device, voice):
        if voice is None:
            raise ValueError("expected a reference recording, found none; set `voice` of the codec to an audio file")
        only_device(device)  # the library takes the first GPU that it sees
        sys.path[:0] = [os.path.abspath(repo), os.path.abspath(os.path.join(repo, "third_party", "Matcha-TTS"))]
        import soundfile
        import torch
        from cosyvoice.cli.cosyvoice import CosyVoice3

        if not os.path.isdir(model):
            raise FileNotFoundError(f"{model}: expected the folder of Fun-CosyVoice3-0.5B-2512")
        self.torch, self.soundfile = torch, soundfile
        torch.manual_seed(0)  # the vocoder draws its noise once, when it is made
        whole = CosyVoice3(model, fp16=False)
        if whole.sample_rate != self.sample_rate:
            raise ValueError(f"{model}: expected {self.sample_rate} Hz, found {whole.sample_rate}")
        self.frontend, self.model = whole.frontend, whole.model
        self.model.llm = None
        tokens, _ = self.frontend._extract_speech_token(voice)
        mel, _ = self.frontend._extract_speech_feat(voice)
        frames = min(mel.shape[1] // 2, tokens.shape[1])  # two mel frames a token, as the front end cuts them
        self.voice = {
            "prompt_token": tokens[:, :frames],
            "prompt_feat": mel[:, : 2 * frames],
            "embedding": self.frontend._extract_spk_embedding(voice),
        }

    def encode(self, audio):
        """Waveforms at 16 kHz, each filled up with zeros to whole tokens, one at a time through the library's own path."""
        codes = []
        for wave in audio:
            frames = -(-len(wave) // 640)
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                self.soundfile.write(file.name, np.pad(wave, (0, frames * 640 - len(wave))), 16000, subtype="FLOAT")
                found, _ = self.frontend._extract_speech_token(file.name)
            codes.append([found[0, :frames].cpu().numpy()])
        return codes

    def decode(self, codes):
        """Codes to waveforms, one at a time: the flow takes no batch."""
        waves = []
        for (level,) in codes:
            tokens = self.torch.from_numpy(level)[None]
            self.torch.manual_seed(0)  # the vocoder draws noise: the same codes sound the same
            self.model.hift_cache_dict["serve"] = None
            with self.torch.inference_mode():
                wave = self.model.token2wav(tokens, token_offset=0, uuid="serve", finalize=True, **self.voice)
            del self.model.hift_cache_dict["serve"]
            waves.append(wave.reshape(-1).float().cpu().numpy())
        return waves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="CosyVoice3's flow and vocoder as a codec server.")
    parser.add_argument("--repo", required=True, help="checkout of FunAudioLLM/CosyVoice, with its submodules")
    parser.add_argument("--model", required=True, help="folder of Fun-CosyVoice3-0.5B-2512")
    options = parser.parse_args()
    serve(lambda device, voice: CosyVoice(options.repo, options.model, device, voice))
