"""Audio codecs: waveform to codes and back; one file per codec, named here."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "codecs",
    {
        "dac": "lpo_tts.codecs.dac:DacCodec",
        "encodec": "lpo_tts.codecs.encodec:EncodecCodec",
        "mimi": "lpo_tts.codecs.mimi:MimiCodec",
        "mini": "lpo_tts.codecs.mini:MiniCodec",
        "neucodec": "lpo_tts.codecs.neucodec:NeuCodec",
        "process": "lpo_tts.codecs.process:ProcessCodec",
        "qwen3-tts": "lpo_tts.codecs.qwen3_tts:Qwen3TtsCodec",
        "s3": "lpo_tts.codecs.s3:S3Codec",
        "snac": "lpo_tts.codecs.snac:SnacCodec",
        "xcodec2": "lpo_tts.codecs.xcodec2:Xcodec2Codec",
    },
)
