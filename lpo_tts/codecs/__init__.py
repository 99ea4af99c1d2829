"""Audio codecs: waveform to codes and back; one file per codec, named here."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "codecs",
    {
        "mini": "lpo_tts.codecs.mini:MiniCodec",
        "encodec": "lpo_tts.codecs.encodec:EncodecCodec",
        "xcodec2": "lpo_tts.codecs.xcodec2:Xcodec2Codec",
        "process": "lpo_tts.codecs.process:ProcessCodec",
        "s3": "lpo_tts.codecs.s3:S3Codec",
    },
)
