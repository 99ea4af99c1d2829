"""Every codec of the family, and every kind of checkpoint of it, on tiny random weights."""

import sys
from pathlib import Path

import pytest
import torch

from lpo_tts.codecs.dac import DacCodec
from lpo_tts.codecs.encodec import EncodecCodec
from lpo_tts.codecs.mimi import MimiCodec
from lpo_tts.codecs.mini import MiniCodec
from lpo_tts.codecs.neucodec import NeuCodec
from lpo_tts.codecs.process import ProcessCodec
from lpo_tts.codecs.qwen3_tts import Qwen3TtsCodec
from lpo_tts.codecs.s3 import S3Codec
from lpo_tts.codecs.snac import SnacCodec
from lpo_tts.codecs.xcodec2 import Xcodec2Codec
from lpo_tts.testing import tiny_codecs
from lpo_tts.testing.tiny_qwen3_tts import tiny_qwen3_tts_tokenizer

SNAC_44KHZ = {
    "sampling_rate": 44100,
    "encoder_rates": [3, 3, 7, 7],
    "decoder_rates": [7, 7, 3, 3],
    "vq_strides": [8, 4, 2, 1],
    "attn_window_size": 32,
    "encoder_dim": 8,  # attention has heads of 64 values
    "decoder_dim": 128,
}
DAC_24KHZ = {"sampling_rate": 24000, "downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 4}

ROOT = Path(__file__).parents[2]
MU_LAW = (sys.executable, str(ROOT / "recipes" / "codec_servers" / "mulaw.py"))
TONES = (sys.executable, str(Path(__file__).parent / "servers" / "tones.py"), "25", "6561")


def tiny_s3(folder):
    """Weights of an S3 tokenizer with one layer."""
    from s3tokenizer import model_v2

    torch.manual_seed(0)
    config = model_v2.ModelConfig(n_audio_state=64, n_audio_head=1, n_audio_layer=1)
    model = model_v2.S3TokenizerV2("speech_tokenizer_v2_25hz", config)
    with torch.no_grad():
        model.quantizer._codebook.project_down.weight.normal_()
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


# Name in the family (and which kind of it) -> its settings, what writes a tiny checkpoint, and the sizes of that.
KINDS = {
    "mini": (MiniCodec, tiny_codecs.tiny_mini, {}),
    "encodec": (EncodecCodec, tiny_codecs.tiny_encodec, {}),
    "encodec 48 kHz": (EncodecCodec, tiny_codecs.tiny_encodec_48khz, {}),
    "xcodec2": (Xcodec2Codec, tiny_codecs.tiny_xcodec2, {}),
    "neucodec": (NeuCodec, tiny_codecs.tiny_neucodec, {}),
    "snac": (SnacCodec, tiny_codecs.tiny_snac, {}),
    "snac 44 kHz": (SnacCodec, tiny_codecs.tiny_snac, SNAC_44KHZ),
    "mimi": (MimiCodec, tiny_codecs.tiny_mimi, {}),
    "dac": (DacCodec, tiny_codecs.tiny_dac, {}),
    "dac 24 kHz": (DacCodec, tiny_codecs.tiny_dac, DAC_24KHZ),
    "process": (lambda _, **settings: ProcessCodec(MU_LAW, **settings), lambda folder: folder, {}),
    "s3": (lambda model, **settings: S3Codec(model=model, decoder=ProcessCodec(TONES, batch_size=3), **settings), tiny_s3, {}),
    "qwen3-tts": (Qwen3TtsCodec, tiny_qwen3_tts_tokenizer, {"levels": 16}),
}
NEEDS = {"s3": "s3tokenizer", "xcodec2": "torchaudio", "neucodec": "torchaudio", "snac": "snac"}


def build(kind, folder, **settings):
    """Settings of a codec whose checkpoint lies in `folder`; skips the test where its package is not installed."""
    needed = NEEDS.get(kind.partition(" ")[0])
    if needed:
        pytest.importorskip(needed)
    cls, write, sizes = KINDS[kind]
    return cls(str(write(folder, **sizes)), **{"batch_size": 3, **settings})
