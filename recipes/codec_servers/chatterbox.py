"""Chatterbox's S3Gen: S3 tokens (25 a second, 6,561 codes) and a reference voice to 24 kHz; encodes 16 kHz to S3 tokens.

Environment:
    python -m venv envs/chatterbox && envs/chatterbox/bin/pip install chatterbox-tts
Weights: ResembleAI/chatterbox, or ResembleAI/chatterbox-turbo with --turbo, on the Hugging Face hub (MIT); --model takes
either, or a folder with `s3gen.safetensors` (with --turbo: `s3gen_meanflow.safetensors`).
Recipe:
    codec:
      name: process
      command: [envs/chatterbox/bin/python, recipes/codec_servers/chatterbox.py, --model, ResembleAI/chatterbox]
      voice: voices/reference.wav
      sample_rate: 24000
      codebook_sizes: [6561]

All speech takes on the timbre of `voice`, of which the first ten seconds are used. Differences from the package: no watermark
is put into the audio, and Turbo's reference is not brought to -27 LUFS (do that to the file). Noise is drawn from a fixed seed,
so that codes always sound the same. Run with random weights on a CPU, chatterbox-tts 0.1.7. Not verified: the published weights,
and a GPU.
"""

import argparse
import os

import numpy as np
from serve import serve

SILENCE = 4299  # the code of silence; Turbo's decoder is given three of them at the end
CODES, SAMPLES = 6561, 960  # codes of the tokenizer, and samples of one at 24 kHz


class Chatterbox:
    """The flow and the vocoder with one voice."""

    sample_rate, input_sample_rate, frame_rate, codebook_sizes = 24000, 16000, 25.0, (CODES,)

    def __init__(self, model, turbo, device, voice):
        if voice is None:
            raise ValueError("expected a reference recording, found none; set `voice` of the codec to an audio file")
        import librosa
        import torch
        from chatterbox.models.s3gen import S3GEN_SR, S3Gen
        from safetensors.torch import load_file

        name = "s3gen_meanflow.safetensors" if turbo else "s3gen.safetensors"
        path = os.path.join(model, name)
        if not os.path.isdir(model):
            from huggingface_hub import hf_hub_download

            path = hf_hub_download(model, name)
        self.torch, self.device, self.turbo = torch, device, turbo
        self.model = S3Gen(meanflow=turbo)
        missing, unknown = self.model.load_state_dict(load_file(path), strict=False)
        known = getattr(self.model, "ignore_state_dict_missing", ())
        missing = [one for one in missing if one not in known]
        if missing or (unknown and not turbo):
            raise ValueError(f"{path}: {missing[:3]} weights are missing, {unknown[:3]} unknown")
        self.model.to(device).eval()
        wave = librosa.load(voice, sr=S3GEN_SR)[0][: 10 * S3GEN_SR]
        with torch.inference_mode():
            self.reference = self.model.embed_ref(wave, S3GEN_SR, device=device)

    def encode(self, audio):
        """Waveforms at 16 kHz, each filled up with zeros to whole tokens, one at a time."""
        codes = []
        for wave in audio:
            frames = -(-len(wave) // 640)
            whole = np.pad(wave, (0, frames * 640 - len(wave)))
            with self.torch.inference_mode():
                found, _ = self.model.tokenizer(self.torch.from_numpy(whole)[None])
            codes.append([found[0, :frames].cpu().numpy()])
        return codes

    def decode(self, codes):
        """Codes to waveforms, one at a time."""
        waves = []
        for (level,) in codes:
            tokens = np.concatenate([level, [SILENCE] * 3]) if self.turbo else level
            self.torch.manual_seed(0)
            with self.torch.inference_mode():
                wave, _ = self.model.inference(
                    self.torch.from_numpy(tokens)[None].to(self.device),
                    ref_dict=dict(self.reference),
                    n_cfm_timesteps=2 if self.turbo else None,
                )
            waves.append(wave.reshape(-1).float().cpu().numpy()[: len(level) * SAMPLES])
        return waves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Chatterbox's S3Gen as a codec server.")
    parser.add_argument("--model", default="ResembleAI/chatterbox", help="hub id, or folder of the weights")
    parser.add_argument("--turbo", action="store_true", help="the two-step decoder of chatterbox-turbo")
    options = parser.parse_args()
    serve(lambda device, voice: Chatterbox(options.model, options.turbo, device, voice))
