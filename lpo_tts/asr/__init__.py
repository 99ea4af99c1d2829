"""Recognisers: waveform to hypothesis; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "asr",
    {
        "mini": "lpo_tts.asr.mini:MiniCtc",
        "ctc": "lpo_tts.asr.ctc:CtcRecogniser",
        "whisper": "lpo_tts.asr.whisper:WhisperAsr",
        "pocketsphinx": "lpo_tts.asr.pocketsphinx:PocketsphinxRecogniser",
    },
)
