"""Recognisers: waveform to hypothesis; the table of their names."""

from lpo_tts.registry import Registry

REGISTRY = Registry(
    "asr",
    {
        "mini": "lpo_tts.asr.mini:MiniRecogniser",
        "ctc": "lpo_tts.asr.ctc:CTCRecogniser",
        "whisper": "lpo_tts.asr.whisper:WhisperRecogniser",
        "faster-whisper": "lpo_tts.asr.faster_whisper:FasterWhisperRecogniser",
        "parakeet": "lpo_tts.asr.parakeet:ParakeetRecogniser",
        "paraformer": "lpo_tts.asr.paraformer:ParaformerRecogniser",
        "qwen3-asr": "lpo_tts.asr.qwen3_asr:Qwen3ASRRecogniser",
        "pocketsphinx": "lpo_tts.asr.pocketsphinx:PocketsphinxRecogniser",
    },
)
