"""Audio codecs: waveform to codes and back; one file per codec, named here."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "codec",
    {
        "mini": "lpo_tts.codecs.mini:MiniCodec",
    },
)
