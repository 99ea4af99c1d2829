"""Speaker encoders: waveform to a vector of the voice; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "speaker",
    {
        "ecapa": "lpo_tts.speaker.ecapa:ECAPAEncoder",
    },
)
