"""Speaker encoders: waveform to a vector of the voice; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "speaker",
    {
        "ecapa": "lpo_tts.speaker.ecapa:ECAPAEncoder",
        "resemblyzer": "lpo_tts.speaker.resemblyzer:ResemblyzerEncoder",
        "wavlm-large-sv": "lpo_tts.speaker.wavlm_large_sv:WavLMLargeSpeakerEncoder",
        "wavlm-sv": "lpo_tts.speaker.wavlm_sv:WavLMSpeakerEncoder",
    },
)
