"""Audio codecs: waveform to codes and back; one file per codec, named here."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "codecs",
    {
        "mini": "lpo_tts.codecs.mini:MiniCodec",
        "encodec": "lpo_tts.codecs.encodec:EncodecCodec",
        "xcodec2": "lpo_tts.codecs.xcodec2:Xcodec2Codec",
        "dac": "lpo_tts.codecs.dac:DacCodec",
        "qwen3-tts": "lpo_tts.codecs.qwen3_tts:Qwen3TtsCodec",
        "mimi": "lpo_tts.codecs.mimi:MimiCodec",
        "neucodec": "lpo_tts.codecs.neucodec:NeuCodec",
        "process": "lpo_tts.codecs.process:ProcessCodec",
        "snac": "lpo_tts.codecs.snac:SnacCodec",
    },
)
