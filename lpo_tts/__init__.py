"""lpo-tts: preference alignment (LPO) for codec-language-model text-to-speech."""

__version__ = "0.1.0"
